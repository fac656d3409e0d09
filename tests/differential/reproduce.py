"""Cases as Python files: the repr of a case builds it again."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

from tests.differential import model
from tests.differential.model import Case
from tests.differential.render import match_sql, meaning

_MODEL = {
    name: getattr(model, name)
    for name in ("Case", "Column", "Expr", "Filter", "Grouped", "Item", "Kind", "Level", "Lookup")
}
_NAMES: dict[str, object] = {
    **_MODEL,
    "Query": model.Query,
    "Table": model.Table,
    "Decimal": Decimal,
    "datetime": dt,
}


def save_case(case: Case, folder: Path) -> Path:
    """Write a case with its two queries as comments."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.seed}.case"
    queries = f"# Kalla:  {match_sql(case)!r}\n# oracle: {meaning(case).sql!r}\n"
    path.write_text(f"{queries}{case!r}\n")
    return path


def load_case(path: Path) -> Case:
    """Read a case that `save_case` wrote; the file is code and is trusted as such."""
    found = eval(compile(path.read_text(), str(path), "eval"), dict(_NAMES))  # noqa: S307 - our own file
    assert isinstance(found, Case)
    return found
