"""What make says while it installs is counted from what pip says."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_FILE = Path(__file__).parents[3] / "libs" / "kalla_cli" / "install.py"
_LINES = """\
Obtaining file:///x
  Installing build dependencies: started
Collecting duckdb (from kalla==0.1.0)
  Downloading duckdb-1.4.0-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (14 kB)
Downloading duckdb-1.4.0-cp311-cp311-manylinux_2_28_x86_64.whl (20.5 MB)
Collecting zipp
  Using cached zipp-3.0-py3-none-any.whl (500 kB)
"""


@pytest.fixture(scope="module")
def install() -> Any:
    spec = importlib.util.spec_from_file_location("install", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["install"] = module
    spec.loader.exec_module(module)
    return module


def test_packages_and_their_sizes_are_counted(install: Any) -> None:
    progress = install.Progress()
    for line in _LINES.splitlines():
        progress.take(line)
    assert progress.describe(0) == "found 3 packages, downloaded 2 (21 MB)"
    progress.take("Installing collected packages: duckdb, zipp, kalla")
    assert progress.describe(2) == "installing 3 packages, 2 are in place"


def test_a_failed_installation_says_why_and_exits_with_its_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, _FILE, "--no-index", f"--target={tmp_path}", "no-such-package-of-anybody"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_QUIET": "3"},
    )
    assert done.returncode == 1
    assert "ERROR: No matching distribution found for no-such-package-of-anybody" in done.stdout
