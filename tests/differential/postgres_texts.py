"""The catalogue's functions as PostgreSQL writes them."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue import Entry, Signature


def postgres_text(entry: Entry, signature: Signature) -> str | None:
    """Return a template like `Signature.duckdb`, or None where no translation is certain."""
    del signature
    return _TEXTS.get(entry.name)


_TEXTS: Final[dict[str, str]] = {"upper": "upper({0})", "length": "length({0})"}
