"""Makes sides and columns for tests."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from kalla_chat.inference import Source
from kalla_chat.inference.columns import Column, Side, read_side


def side(alias: str = "t", **columns: Any) -> Side:
    """A side of these columns; lists take the type that pyarrow gives them."""
    table = pa.table(columns)
    return read_side(Source(alias, table, table.num_rows))


def column(values: Any) -> Column:
    """One column."""
    return side(x=values).columns[0]
