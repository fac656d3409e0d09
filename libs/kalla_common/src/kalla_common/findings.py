"""Sentences about a run that every surface says alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_SHOWN: Final = 2


def shared_keys(alias: str, rows: int, examples: Sequence[str]) -> str:
    """Say how many rows of a source share their primary key with a matched row; "" for none.

    Args:
        alias: the source.
        rows: SideDiagnostics.shared_key_rows.
        examples: SideDiagnostics.shared_key_examples.
    """
    if not rows:
        return ""
    such = f" (key {'; '.join(examples[:_SHOWN])})" if examples else ""
    if rows == 1:
        return f"1 row of {alias} shares the key of a matched row and was not matched itself{such}."
    return f"{rows:,} rows of {alias} share the key of a matched row and were not matched themselves{such}."


def duplicated_keys(alias: str, keys: int, examples: Sequence[str]) -> str:
    """Say how many primary keys of a source are those of several rows, and the way out; "" for none."""
    if not keys:
        return ""
    such = f", such as {'; '.join(examples[:_SHOWN])}" if examples else ""
    come = "primary key comes" if keys == 1 else "primary keys come"
    return (
        f"{alias}: {keys:,} {come} more than once{such}. Add columns to the key, or write "
        '"primary_key": ["@row"] to tell rows apart by their number.'
    )
