"""Two minutes of bad luck; `make soak MINUTES=30` gives any number of them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from tests.soak.soak import soak

SEED = 8


@pytest.mark.timeout(600)
def test_no_run_is_lost_doubled_or_wrong_and_nothing_is_left_behind() -> None:
    with tempfile.TemporaryDirectory(prefix="kalla-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        wrong = soak(folder, minutes=2, seed=SEED, runs=300, say=_say)
    assert not wrong, "\n".join(wrong)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
