"""Functions over text."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature

_TEXT: Final = Parameter("text", frozenset({Family.TEXT}))

TEXT_FUNCTIONS: Final[tuple[Entry, ...]] = (
    Entry(
        "upper",
        "scalar",
        "The text in capital letters.",
        (Signature((_TEXT,), duckdb="upper({0})", result=Family.TEXT),),
    ),
    Entry(
        "length",
        "scalar",
        "The number of characters.",
        (Signature((_TEXT,), duckdb="length({0})", result=Family.INTEGER),),
        aliases=("char_length", "character_length"),
    ),
)
