"""What the engine says when a query fails on the data, as errors that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from kalla_common.errors import Code, KallaError

from kalla_runner.matching.limits import Limits
from kalla_runner.matching.panics import panics_as_errors
from kalla_runner.matching.sql.engine_errors import value_problem
from kalla_runner.matching.sql.tolerance import INEXACT_FLOAT, NEGATIVE_THRESHOLD

_LONGEST: Final = 200
"""Characters of an engine's message that are passed on."""

_KNOWN: Final[tuple[tuple[re.Pattern[str], Code, str], ...]] = (
    (
        re.compile(re.escape(NEGATIVE_THRESHOLD)),
        Code.INVALID_DATA,
        "The threshold of tolerance_match is negative or not a number in at least one row; correct it.",
    ),
    (
        re.compile(re.escape(INEXACT_FLOAT)),
        Code.INVALID_DATA,
        "tolerance_match meets a float without an exact decimal form of 38 digits; cast it to a decimal.",
    ),
    (
        re.compile(r"No space left on device", re.IGNORECASE),
        Code.STORAGE_FULL,
        "There is no room on the disk for the match's intermediate data; free some space and run again.",
    ),
    (
        re.compile(r"resources exhausted|memory exhausted|failed to allocate|offset overflow", re.IGNORECASE),
        Code.MEMORY_LIMIT,
        "The match needs more memory than its limit of {limit}; raise the limit or filter the sources.",
    ),
    (
        re.compile(r"divide by zero", re.IGNORECASE),
        Code.INVALID_DATA,
        "match_sql divides by zero in at least one row; write NULLIF(divisor, 0) where that may happen.",
    ),
    (
        re.compile(
            r"overflow(?:[^\n]*happened on: (?P<what>[^\n]+))?|is too large to store in a Decimal",
            re.IGNORECASE,
        ),
        Code.INVALID_DATA,
        "A number computed in match_sql is too large for its type{what}; cast the operands to a wider type.",
    ),
    (
        re.compile(r"Parser error: (?P<what>[^\n]+)"),
        Code.INVALID_DATA,
        "A text cannot be read as the type that match_sql asks for{what}; correct it or use TRY_CAST.",
    ),
    (
        re.compile(r"subquery returned more than one row", re.IGNORECASE),
        Code.INVALID_DATA,
        "A subquery of match_sql that must give one value gives several rows; aggregate it.",
    ),
    (
        re.compile(r"(?:Schema error|SQL error|Error during planning)[^:]*: (?P<what>[^\n]+)"),
        Code.INVALID_SQL,
        "match_sql cannot be planned{what}.",
    ),
    (
        re.compile(r"(?:Arrow|Execution|External) error: (?P<what>[^\n]+)"),
        Code.INVALID_DATA,
        "match_sql fails on the data{what}.",
    ),
)


@contextmanager
def engine_failures(limits: Limits) -> Generator[None]:
    """Turn the engine's failures below into KallaErrors; defects of the engine stay what they are.

    Raises:
        KallaError: MEMORY_LIMIT, STORAGE_FULL, INVALID_DATA or INVALID_SQL.
    """
    try:
        with panics_as_errors(Code.INVALID_DATA, "match_sql fails on the data"):
            yield
    except KallaError:
        raise
    except Exception as error:
        known = _explain(str(error), limits)
        if known is None:
            raise
        raise known from error


def _explain(text: str, limits: Limits) -> KallaError | None:
    value = value_problem(text)
    if value is not None:
        sentence = f"A value does not fit what match_sql makes of it: {value}; correct it, or use TRY_CAST."
        return KallaError(Code.INVALID_DATA, sentence)
    for pattern, code, sentence in _KNOWN:
        found = pattern.search(text)
        if found:
            what = (found.groupdict().get("what") or "").strip().rstrip(".")[:_LONGEST]
            return KallaError(
                code, sentence.format(limit=limits.memory_text(), what=f" ({what})" if what else "")
            )
    return None
