"""Functions that DuckDB lacks, or has with another meaning, as Python writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import duckdb


def add_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection py_initcap, py_levenshtein and py_sha224 to py_sha512."""
    connection.create_function("py_initcap", initcap, ["VARCHAR"], "VARCHAR")  # pyright: ignore[reportArgumentType]
    connection.create_function(  # pyright: ignore[reportArgumentType]
        "py_levenshtein", levenshtein, ["VARCHAR", "VARCHAR"], "BIGINT"
    )
    for bits in (224, 256, 384, 512):
        connection.create_function(f"py_sha{bits}", _hash(f"sha{bits}"), ["VARCHAR"], "VARCHAR")  # pyright: ignore[reportArgumentType]


def initcap(text: str) -> str:
    """Return every run of letters and digits with a capital first letter and small letters after it."""
    made: list[str] = []
    inside = False
    for character in text:
        made.append(character.lower() if inside else character.upper())
        inside = character.isalnum()
    return "".join(made)


def levenshtein(one: str, two: str) -> int:
    """Return how many characters must be inserted, deleted or replaced."""
    before = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        here = [i]
        for j, b in enumerate(two, 1):
            here.append(min(before[j] + 1, here[j - 1] + 1, before[j - 1] + (a != b)))
        before = here
    return before[-1]


def _hash(name: str) -> Callable[[str], str]:
    def hexadecimal(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    return hexadecimal
