"""Borders inside the code that import-linter cannot hold."""

from __future__ import annotations

import ast
from pathlib import Path

RUNNER = Path(__file__).parents[2] / "services" / "runner" / "src" / "kalla_runner"


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_reading_matching_and_keeping_do_not_know_flight() -> None:
    files = [path for name in ("connectors", "matching", "outputs") for path in (RUNNER / name).rglob("*.py")]
    assert len(files) > 10
    assert not [path for path in files if "pyarrow.flight" in imported(path)]
    assert "pyarrow.flight" in imported(RUNNER / "flight.py"), "the search must find it where it is"
