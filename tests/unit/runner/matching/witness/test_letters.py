"""Characters and patterns that two engines certainly treat alike."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from kalla_runner.matching.session import new_session
from kalla_runner.matching.witness.functions import CHARACTERS
from kalla_runner.matching.witness.letters import PLAIN, is_plain, same_pattern

_LETTERS = [chr(code) for code in range(1, 0x3000) if not 0xD800 <= code <= 0xDFFF] + ["中", "\U0001f600"]


def _both(theirs: str, ours: str) -> list[tuple[str, object, object]]:
    """For every letter, between two others, what both engines make of it."""
    rows = pa.table({"n": range(len(_LETTERS)), "c": [f"a{letter}b" for letter in _LETTERS]})
    session = new_session()
    session.register_record_batches("rows", [rows.to_batches()])
    mine = session.sql(f"SELECT {ours} AS v FROM rows ORDER BY n").to_arrow_table().column(0).to_pylist()
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        other = connection.execute(f"SELECT {theirs} FROM rows ORDER BY n").fetchall()
    return [(letter, one, two[0]) for letter, one, two in zip(_LETTERS, mine, other, strict=True)]


@pytest.mark.parametrize(
    ("duck", "fusion"),
    [
        ("upper(replace(c, 'ß', 'SS'))", "upper(c)"),
        ("lower(c)", "lower(c)"),
        ("c ILIKE '%s%'", "c ILIKE '%s%'"),
        ("c ILIKE '_i_'", "c ILIKE '_i_'"),
        ("regexp_matches(c, 'k', 'i')", "c ~* 'k'"),
    ],
)
def test_the_case_of_plain_letters_is_the_same_in_both_engines(duck: str, fusion: str) -> None:
    different = {letter for letter, one, other in _both(duck, fusion) if one != other}
    assert not [letter for letter in different if is_plain(letter)]


@pytest.mark.parametrize(
    "call", ["length(c)", "substr(c, 2, 1)", "left(c, 2)", "right(c, 2)", "lpad(c, 5, 'x')", "c LIKE '___'"]
)
def test_functions_that_count_characters_count_every_letter_alike(call: str) -> None:
    assert not [letter for letter, one, other in _both(call, call) if one != other]
    name = call.partition("(")[0]
    assert name in CHARACTERS or " " in name


def test_both_readings_of_the_class_are_one() -> None:
    rows = pa.table({"c": _LETTERS})
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        found = connection.execute(f"SELECT c FROM rows WHERE regexp_full_match(c, '{PLAIN}')").fetchall()
    assert {row[0] for row in found} == {letter for letter in _LETTERS if is_plain(letter)}


@pytest.mark.parametrize(
    "pattern", ["^INV-[0-9]+$", "a|b", "(ab)+c?", "[A-Z]{2,3}", "x\\.y", "größe", "^$", ""]
)
def test_patterns_of_plain_parts_mean_the_same(pattern: str) -> None:
    assert same_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["\\d+", "\\w", "a.c", "(?i)a", "\\bx", "[[:alpha:]]", "a*?b*+", "\\p{L}", "(?P<n>a)"]
)
def test_patterns_that_may_mean_different_things_are_known(pattern: str) -> None:
    assert not same_pattern(pattern)
