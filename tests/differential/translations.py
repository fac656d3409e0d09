"""Functions and operators for DuckDB where the catalogue gives no template, and all of them for PostgreSQL.

The catalogue itself is translated only where that is certain whatever the arguments; here are also the
translations that hold for what this generator draws, such as ASCII patterns and lists without ties.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from kalla_runner.matching.sql.catalogue import ENTRIES, OPERATORS, Entry, Family, Parameter, Signature

from tests.integration.matching.catalogue.oracles import postgres


@dataclass(frozen=True)
class Way:
    """One way to call an entry.

    Attributes:
        entry: of the catalogue.
        signature: of the entry.
        duck: the template for DuckDB.
        postgres: the template for PostgreSQL, or None.
        results: families that the result may have.
        kalla: the template for Kalla; empty: name(arguments).
        elements: the result is of the family of the elements of the first argument, a list.
        families: what the arguments must be, where a template does not hold for all that the entry takes.
    """

    entry: Entry
    signature: Signature
    duck: str
    postgres: str | None
    results: frozenset[Family]
    kalla: str = ""
    elements: bool = False
    families: tuple[Family, ...] = ()


DRAWN: Final = frozenset(Family) - {
    *(Family.INTERVAL, Family.STRUCT, Family.BINARY, Family.TIME, Family.DURATION),
}
"""Families that expressions are drawn of."""
_Texts = tuple[str, str, str | None]
"""Templates for Kalla, DuckDB and PostgreSQL."""

_ELEMENTS: Final = frozenset({"array_element", "array_min", "array_max"})

_TEXT, _DATE, _STAMP, _ZONED = Family.TEXT, Family.DATE, Family.TIMESTAMP, Family.ZONED

# By the entry and the place of its signature.
_DUCK: Final[Mapping[tuple[str, int], str]] = {
    ("reverse", 0): "array_to_string(list_reverse(regexp_extract_all({0}, '(?s).')), '')",
    ("power", 0): "pow(CAST({0} AS DOUBLE), CAST({1} AS DOUBLE))",
    ("exp", 0): "exp(CAST({0} AS DOUBLE))",
    ("ln", 0): "ln(CAST({0} AS DOUBLE))",
    ("log10", 0): "log10(CAST({0} AS DOUBLE))",
    ("stddev_samp", 0): "stddev_samp(CAST({0} AS DOUBLE))",
    ("stddev_pop", 0): "stddev_pop(CAST({0} AS DOUBLE))",
    ("var_samp", 0): "var_samp(CAST({0} AS DOUBLE))",
    ("var_pop", 0): "var_pop(CAST({0} AS DOUBLE))",
    # Its own give DECIMAL(38,0), beside which it leaves other numbers no digits after the point.
    **{(name, 1): f"CAST({name}({{0}}) AS DECIMAL(20,0))" for name in ("trunc", "ceil", "floor")},
    # Each element at its first place, NULL too.
    ("array_distinct", 0): (
        "list_filter({0}, lambda v, i: CASE WHEN v IS NULL "
        "THEN len(list_filter(({0})[:i - 1], lambda w: w IS NULL)) = 0 "
        "ELSE NOT coalesce(list_contains(({0})[:i - 1], v), false) END)"
    ),
    ("ilike", 0): "{0} ILIKE {1} ESCAPE '\\'",
    ("initcap", 0): "py_initcap({0})",
    ("levenshtein", 0): "py_levenshtein({0}, {1})",
    ("first_value", 0): "first({0} ORDER BY {0})",
    ("last_value", 0): "last({0} ORDER BY {0})",
    ("any_value", 0): "min(CASE WHEN {0} IS NULL THEN 1 ELSE 1 END)",
    ("string_agg", 0): "string_agg({0}, {1} ORDER BY {0})",
    ("sum", 2): "sum({0})",
    ("avg", 0): (
        "divided(CAST(sum({0}) AS DECIMAL(38,{scale0})), CAST(nullif(count({0}), 0) AS DECIMAL(38,0)), "
        "{scale0}, 0)"
    ),
    ("avg", 1): "avg({0})",
    ("median", 0): "middle(list_sort(list({0}) FILTER (WHERE {0} IS NOT NULL)))",
}
_KALLA: Final[Mapping[str, str]] = {
    "string_agg": "{name}({0}, {1} ORDER BY {0})",
    "first_value": "first_value({0} ORDER BY {0})",
    "last_value": "last_value({0} ORDER BY {0})",
    # Which value it gives is not said, so all are alike.
    "any_value": "any_value(CASE WHEN {0} IS NULL THEN 1 ELSE 1 END)",
}
"""How Kalla is asked where name(arguments) would leave something open."""

_POSTGRES: Final[Mapping[tuple[str, int], str]] = {
    ("lpad", 0): "lpad({0}, {1}::int)",
    ("lpad", 1): "lpad({0}, {1}::int, {2})",
    ("rpad", 0): "rpad({0}, {1}::int)",
    ("rpad", 1): "rpad({0}, {1}::int, {2})",
    ("round", 0): "round({0}::numeric)",
    ("round", 1): "round({0}::numeric, {1}::int)",
    ("trunc", 2): "trunc({0}, {1}::int)",
    ("ceil", 0): "{0}",
    ("floor", 0): "{0}",
    ("mod", 0): "{0}::numeric % {1}::numeric",
    ("gcd", 0): "gcd({0}::bigint, {1}::bigint)",
    ("lcm", 0): "lcm({0}::bigint, {1}::bigint)",
    ("log10", 0): "log({0}::float8)",
    ("last_day", 0): "(date_trunc('month', {0}::timestamp) + interval '1 month' - interval '1 day')::date",
    ("from_unixtime", 0): "timestamp 'epoch' + {0}::float8 * interval '1 second'",
    **{
        (name, at): template
        for name, sign in (("date_add", "+"), ("date_sub", "-"))
        for at, template in enumerate((f"({{0}} {sign} {{1}})::date", *[f"{{0}} {sign} {{1}}"] * 2))
    },
    ("avg", 0): "pg_temp.divided(sum({0})::numeric, nullif(count({0}), 0)::numeric)",
    ("median", 0): "pg_temp.middle(array_agg({0}::numeric ORDER BY {0}) FILTER (WHERE {0} IS NOT NULL))",
    ("any_value", 0): "min(CASE WHEN {0} IS NULL THEN 1 ELSE 1 END)",
    ("first_value", 0): "(array_agg({0} ORDER BY {0}))[1]",
    ("last_value", 0): "(array_agg({0} ORDER BY {0} DESC))[1]",
    ("array_agg", 0): "array_agg({0})",
    ("string_agg", 0): "string_agg({0}, {1} ORDER BY {0})",
    **{(name, 0): f"{name}({{0}}::bigint)" for name in ("bit_and", "bit_or", "bit_xor")},
    **{
        (sign, 0): f"{{0}}::bigint {word} {{1}}::bigint"
        for sign, word in (("&", "&"), ("|", "|"), ("^", "#"))
    },
}
"""PostgreSQL's words where those of the catalogue's own trials do not hold for the fuzz's arguments."""
_UNSURE: Final = frozenset(
    {
        *("array_element", "array_has_all", "array_has_any", "array_position", "array_remove_all"),
        *("array_distinct", "array_sort", "array_append", "array_concat", "regexp_match"),
        *("datediff", "dateadd", "to_char", "concat", "concat_ws", "make_array"),
    }
)
"""What PostgreSQL takes in another way, or of other types: DuckDB alone answers."""


def _postgres(name: str, at: int) -> str | None:
    """PostgreSQL's words for a signature, from the trials of the catalogue where they hold."""
    own = _POSTGRES.get((name, at))
    if own is not None or name in _UNSURE:
        return own
    found = postgres(name, at)
    return found if isinstance(found, str) else None


_DRAWN_OPERATORS: Final = frozenset({"&", "|", "^", "~*", "ilike", "position", "at time zone"})
"""Operators that are drawn as calls; `expressions` draws the others, so that their binding is tried."""


_DATE_PATTERNS: Final = (
    ("%d.%m.%Y", "%d.%m.%Y", "DD.MM.YYYY"),
    ("DD.MM.YYYY", "%d.%m.%Y", "DD.MM.YYYY"),
    ("dd.MM.yyyy", "%d.%m.%Y", "DD.MM.YYYY"),
    ("YYYY-MM", "%Y-%m", "YYYY-MM"),
    ("yyyy-MM", "%Y-%m", "YYYY-MM"),
    ("YYYYMMDD", "%Y%m%d", "YYYYMMDD"),
    ("%Y%m%d", "%Y%m%d", "YYYYMMDD"),
    ("MM/DD/YY", "%m/%d/%y", "MM/DD/YY"),
    ("YYYY-DDD", "%Y-%j", "YYYY-DDD"),
)
"""One pattern for Kalla, DuckDB and PostgreSQL."""


def _as_written(entry: Entry, at: int, families: tuple[Family, ...], result: Family, texts: _Texts) -> Way:
    """Return a way with a template for Kalla too, and arguments of these families."""
    kalla, duck, postgres = texts
    parameters = tuple(Parameter("value", frozenset({family})) for family in families)
    signature = Signature(parameters, duckdb=duck, result=entry.signatures[at].result)
    return Way(entry, signature, duck, postgres, frozenset({result}), kalla, families=families)


def _written(entry: Entry) -> list[Way]:
    """Return the ways of functions whose literals must fit each other, or another function around them."""
    match entry.name:
        case "to_char":
            return [
                _as_written(
                    entry,
                    0,
                    (family,),
                    _TEXT,
                    (
                        f"{{name}}({{0}}, '{kalla}')",
                        f"strftime({{0}}, '{duck}')",
                        f"to_char({{0}}::timestamp, '{postgres}')",
                    ),
                )
                for kalla, duck, postgres in _DATE_PATTERNS
                for family in (_DATE, _STAMP)
            ]
        case "to_date":
            # What was written is read again: of days that four digits of a year hold.
            near = "least(greatest({0}, DATE '1000-01-01'), DATE '2999-12-31')"
            return [
                _as_written(
                    entry,
                    1,
                    (_DATE,),
                    _DATE,
                    (f"{{name}}(TO_CHAR({near}, '{kalla}'), '{kalla}')", near, near),
                )
                for kalla in ("%d.%m.%Y", "DD.MM.YYYY", "YYYYMMDD", "%Y-%m-%d")
            ]
        case "to_timestamp":
            near = (
                "least(greatest(date_trunc('second', {0}), TIMESTAMP '1000-01-01 00:00:00'), "
                "TIMESTAMP '2999-12-31 00:00:00')"
            )
            return [
                _as_written(
                    entry,
                    1,
                    (_STAMP,),
                    _STAMP,
                    (f"{{name}}(TO_CHAR({near}, '{kalla}'), '{kalla}')", near, near),
                )
                for kalla in ("%d.%m.%Y %H:%M:%S", "DD.MM.YYYY HH24:MI:SS")
            ]
        case "sha224" | "sha256" | "sha384" | "sha512":
            made = (
                f"encode({entry.name}({{0}}), 'hex')",
                f"py_{entry.name}({{0}})",
                f"encode({entry.name}(convert_to({{0}}, 'UTF8')), 'hex')",
            )
            return [_as_written(entry, 0, (_TEXT,), _TEXT, made)]
        case "regexp_match":
            made = (
                ("{name}({0}, '[0-9]+')", "[regexp_extract({0}, '[0-9]+')]"),
                (
                    "{name}({0}, '([A-Z]+)[- ]([0-9]+)')",
                    (
                        "[regexp_extract({0}, '([A-Z]+)[- ]([0-9]+)', 1), "
                        "regexp_extract({0}, '([A-Z]+)[- ]([0-9]+)', 2)]"
                    ),
                ),
            )
            return [
                _as_written(
                    entry,
                    0,
                    (_TEXT,),
                    Family.LIST,
                    (kalla, f"CASE WHEN regexp_matches({{0}}, {kalla[12:-1]}) THEN {duck} END", kalla[7:]),
                )
                for kalla, duck in made
            ]
        case _:
            return []


def _special(entry: Entry) -> list[Way]:
    """Return the ways whose result follows from more than the catalogue's form says."""
    signatures = entry.signatures

    def way(at: int, families: tuple[Family, ...], result: Family, duck: str, postgres: str | None) -> Way:
        return Way(entry, signatures[at], duck, postgres, frozenset({result}), families=families)

    match entry.name:
        case "date_trunc":
            day = "date_trunc({0}, {1})::DATE"
            return [
                way(0, (_TEXT, _DATE), _DATE, day, "date_trunc({0}, {1}::timestamp)::date"),
                *(
                    way(1, (_TEXT, f), f, "date_trunc({0}, {1})", "date_trunc({0}, {1})")
                    for f in (_STAMP, _ZONED)
                ),
            ]
        case "timezone" | "at time zone":
            text = "timezone({0}, {1})" if entry.name == "timezone" else "{0} AT TIME ZONE {1}"
            turned = 1 if entry.name == "timezone" else -1
            return [
                way(0, (_TEXT, f)[::turned], result, text, text)
                for f, result in ((_ZONED, _STAMP), (_STAMP, _ZONED))
            ]
        case "dateadd":
            later = "{2} + CAST({1} || ' ' || {0} AS INTERVAL)"
            return [
                way(0, (_TEXT, Family.INTEGER, _DATE), _DATE, f"CAST({later} AS DATE)", None),
                way(0, (_TEXT, Family.INTEGER, _STAMP), _STAMP, later, None),
            ]
        case _:
            return []


def _ways() -> list[Way]:
    found: list[Way] = []
    for entry in (*ENTRIES, *(o for o in OPERATORS if o.name in _DRAWN_OPERATORS)):
        special = _special(entry)
        found += [*special, *_written(entry)]
        for at, signature in enumerate(() if special else entry.signatures):
            duck = _DUCK.get((entry.name, at)) or signature.duckdb
            if duck is None or (entry.name, at) in _LEFT_OUT:
                continue
            given: Collection[Family] = (
                {signature.result} if signature.result else signature.parameters[0].families
            )
            elements = entry.name in _ELEMENTS
            results = DRAWN if elements else frozenset(given) & DRAWN
            if entry.name == "any_value":
                results = frozenset({Family.INTEGER})
            found.append(
                Way(
                    entry,
                    signature,
                    duck,
                    _postgres(entry.name, at),
                    results,
                    _KALLA.get(entry.name, ""),
                    elements,
                )
            )
    return found


NOT_DRAWN: Final[Mapping[str, str]] = {"get_field": "no source of the fuzz has structs"}
"""Entries that the fuzz does not draw, and why."""
_LEFT_OUT: Final = frozenset({("grouping", 0)})
"""Signatures that are not drawn as calls: `structure` draws GROUPING, whose argument is a grouped column."""
WAYS: Final = tuple(_ways())
DRAWN_ENTRIES: Final = frozenset(e.name for e in (*ENTRIES, *OPERATORS)) - set(NOT_DRAWN)
"""Every other entry; a run of enough cases compares values of each."""
