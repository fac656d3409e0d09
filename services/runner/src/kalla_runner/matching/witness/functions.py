"""Calls of functions, by the translations that the catalogue of functions holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import duckdb
from sqlglot import exp

from kalla_runner.matching.sql.catalogue import Entry, Family, Signature, find
from kalla_runner.matching.witness.letters import is_plain
from kalla_runner.matching.witness.typed import (
    NULL,
    Type,
    Typed,
    as_type,
    combined,
    not_possible,
    type_named,
    united,
)

CHARACTERS: Final = frozenset(
    {
        *("concat", "length", "char_length", "character_length", "substr", "substring", "left", "right"),
        *("btrim", "ltrim", "rtrim", "trim", "lpad", "rpad"),
        *("starts_with", "ends_with", "strpos", "replace", "position", "octet_length", "md5", "sha256"),
        *("count", "min", "max", "array_agg", "string_agg", "any_value", "contains", "split_part"),
    }
)
"""Functions that take characters as they are, whatever they look like."""

_CHOICES: Final = {"coalesce": "coalesce", "nvl": "coalesce", "ifnull": "coalesce"} | {
    name: name for name in ("greatest", "least", "nullif")
}
"""Functions that give one of their arguments back."""
_EXACT_FLOATS: Final = frozenset({"min", "max", "abs", "count"})
"""Functions of binary fractions that round nothing."""
IN_ORDER: Final = frozenset(
    {"array_agg", "string_agg", "first_value", "last_value", "nth_value", "any_value"}
)
"""Aggregates whose result depends on the order of rows, or on which of them comes first."""

_PLAIN_CALL: Final = re.compile(r"(\w+)\(\{(?:0|all)\}\)")


def arguments_of(call: exp.Expr) -> tuple[str, list[exp.Expr]] | None:
    """The name and the arguments of a call, also of those with words between them; None for anything else."""
    match call:
        case exp.Anonymous():
            return call.name.lower(), list(call.expressions)
        case exp.Substring():
            parts = [call.this, call.args.get("start"), call.args.get("length")]
            return "substr", [part for part in parts if part is not None]
        case exp.Trim():
            name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(call.text("position").upper(), "btrim")
            return name, [part for part in (call.this, call.args.get("expression")) if part is not None]
        case exp.StrPosition():
            return "strpos", [call.this, call.args["substr"]]
        case _:
            return None


class Functions:
    """Writes calls in DuckDB's SQL; their types are those that DuckDB itself states.

    Args:
        connection: asked for the types of calls.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.plain_needed: dict[tuple[int, int], str] = {}
        """Columns that must hold plain characters alone, with the function that needs it."""

    @staticmethod
    def is_aggregate(name: str) -> bool:
        """Whether a function gathers many rows."""
        entry = find(name)
        return entry is not None and entry.kind == "aggregate"

    def scalar(self, name: str, values: Sequence[Typed]) -> Typed:
        """The call of a function of one row."""
        if name in _CHOICES:
            return self._choice(name, values)
        entry, signature = self._entry(name, values)
        if entry.kind != "scalar":
            not_possible(f"{name} is used where one row has no rows to gather")
        return self._written(name, signature, values)

    def aggregate(self, name: str, values: Sequence[Typed], *, distinct: bool = False) -> Typed:
        """The call of a function of many rows, of the kind that does not depend on their order.

        Its text is one plain call, so that FILTER or OVER may follow.
        """
        if name in IN_ORDER:
            not_possible(f"the result of {name} depends on the order of the rows")
        entry, signature = self._entry(name, values)
        if entry.kind != "aggregate":
            not_possible(f"{name} is not an aggregate")
        plain = _PLAIN_CALL.fullmatch(signature.duckdb or "")
        if plain is None or len(values) != 1:
            not_possible(f"there is no certain translation of {name}")
        template = f"{plain[1]}(DISTINCT {{0}})" if distinct else f"{plain[1]}({{0}})"
        return self._typed(name, signature, template, values)

    def window(self, name: str, values: Sequence[Typed]) -> Typed:
        """The call of a function that exists only with OVER."""
        entry, signature = self._entry(name, values)
        if entry.kind != "window" or signature.duckdb is None:
            not_possible(f"there is no certain translation of {name}")
        return self._written(name, signature, values, over=" OVER ()")

    def _entry(self, name: str, values: Sequence[Typed]) -> tuple[Entry, Signature]:
        entry = find(name)
        signature = None if entry is None else entry.signature([value.family for value in values])
        if entry is None or signature is None or signature.duckdb is None:
            not_possible(f"there is no certain translation of {name}")
        return entry, signature

    def _choice(self, name: str, values: Sequence[Typed]) -> Typed:
        same, data_type = united(values, name)
        sql = f"{_CHOICES[name]}({', '.join(value.sql for value in same)})"
        return combined(sql, data_type, same)

    def _written(self, name: str, signature: Signature, values: Sequence[Typed], over: str = "") -> Typed:
        return self._typed(name, signature, signature.duckdb or "", values, over)

    def _typed(
        self, name: str, signature: Signature, template: str, values: Sequence[Typed], over: str = ""
    ) -> Typed:
        ready = [_argument(value) for value in values]
        self._check_characters(name, ready)
        sql = f"({_filled(template, [value.sql for value in ready])})"
        if over or _PLAIN_CALL.fullmatch(template) or "DISTINCT" in template:
            sql = sql[1:-1]
        data_type = self._type(name, template, ready, over)
        wanted = signature.result or (values[0].family if values else None)
        if wanted is not None and data_type.family not in (wanted, None):
            not_possible(f"{name} gives another kind of value in DuckDB")
        if data_type.family is Family.FLOAT and name not in _EXACT_FLOATS:
            not_possible(f"{name} gives a binary fraction, which the two engines may round differently")
        return combined(sql, data_type, ready)

    def _type(self, name: str, template: str, values: Sequence[Typed], over: str) -> Type:
        names = [value.sql if _is_constant(value) else f"a{at}" for at, value in enumerate(values)]
        columns = [f"CAST(NULL AS {value.type.sql()}) AS a{at}" for at, value in enumerate(values)]
        query = f"SELECT typeof({_filled(template, names)}{over}) FROM (SELECT {', '.join(columns or ['1'])})"  # noqa: S608 - types and our own templates
        try:
            rows = self._connection.execute(query).fetchall()
        except duckdb.Error:
            not_possible(f"DuckDB does not take {name} with these arguments")
        found = type_named(str(rows[0][0]))
        if found is None:
            not_possible(f"{name} gives a kind of value that the comparison does not know")
        return found

    def _check_characters(self, name: str, values: Sequence[Typed]) -> None:
        if name in CHARACTERS:
            return
        self.need_plain(name, values)

    def need_plain(self, what: str, values: Sequence[Typed]) -> None:
        """Note that what is done with texts is certain only for plain characters."""
        for value in values:
            if value.family is Family.TEXT and value.sql.startswith("'") and not is_plain(value.sql):
                not_possible(f"{what} is used with a character that the two engines may treat differently")
            for column in value.texts:
                self.plain_needed.setdefault(column, what)


def _argument(value: Typed) -> Typed:
    # Few functions take integers of 128 bits; one that does not fit 64 fails, and is said to.
    return as_type(value, Type(Family.INTEGER, 19)) if value.type.is_long else value


def _is_constant(value: Typed) -> bool:
    return value.literal is not None or value.sql.startswith("'") or value.type == NULL


def _filled(template: str, arguments: Sequence[str]) -> str:
    bracketed = [f"({argument})" for argument in arguments]
    # In one pass: an argument may itself hold braces, as a pattern does.
    return re.sub(
        r"\{(all|\d+)\}",
        lambda place: ", ".join(bracketed) if place[1] == "all" else bracketed[int(place[1])],
        template,
    )
