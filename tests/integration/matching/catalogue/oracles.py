"""How the two oracles say what the catalogue says, where its own template is not the answer.

A text is SQL with {0}, {1}, ... for the arguments; a `Reason` says why there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Reason:
    """Why an oracle cannot say it."""

    text: str


Oracle = str | Reason

_UNICODE: Final = Reason("it has no function of this meaning")
_FLOAT: Final = Reason("its result is a float of another algorithm")

DUCKDB: Final[dict[tuple[str, int], Oracle]] = {
    ("initcap", 0): _UNICODE,
    ("reverse", 0): Reason("it keeps letters and their marks together"),
    ("normalize", 1): Reason("it has NFC only"),
    ("sha224", 0): _UNICODE,
    ("sha384", 0): _UNICODE,
    ("sha512", 0): _UNICODE,
    ("levenshtein", 0): Reason("it counts bytes"),
    ("regexp_match", 0): "CASE WHEN regexp_matches({0}, {1}) THEN [regexp_extract({0}, {1}, 1)] END",
    (
        "regexp_match",
        1,
    ): "CASE WHEN regexp_matches({0}, {1}, {2}) THEN [regexp_extract({0}, {1}, 1, {2})] END",
    ("power", 0): "power({0}, {1})",
    ("exp", 0): "exp({0})",
    ("ln", 0): "ln({0})",
    ("log10", 0): "log10({0})",
    ("to_date", 1): "strptime({0}, '%d.%m.%Y')::DATE",
    ("to_timestamp", 1): "strptime({0}, '%d.%m.%Y %H:%M:%S')",
    ("to_char", 0): "strftime({0}, '%Y-%m-%d')",
    ("dateadd", 0): "({2} + INTERVAL '3' DAY)::DATE",
    ("dateadd", 1): "{2} + INTERVAL '3' DAY",
    ("dateadd", 2): "({2}::TIMESTAMP + INTERVAL '3' DAY)::TIMESTAMPTZ",
    ("array_distinct", 0): Reason("it gives another order"),
    ("sum", 2): "sum({0})",
    ("avg", 0): Reason("its average is a float"),
    ("avg", 1): "avg({0})",
    ("median", 0): Reason("its median of decimals is a float"),
    ("any_value", 0): "first({0} ORDER BY t.id)",
    ("first_value", 0): "first({0} ORDER BY t.id)",
    ("last_value", 0): "last({0} ORDER BY t.id)",
    ("array_agg", 0): "array_agg({0} ORDER BY t.id)",
    ("string_agg", 0): "string_agg({0}, ',' ORDER BY t.id)",
    ("stddev_samp", 0): "stddev_samp({0}::DOUBLE)",
    ("stddev_pop", 0): "stddev_pop({0}::DOUBLE)",
    ("var_samp", 0): "var_samp({0}::DOUBLE)",
    ("var_pop", 0): "var_pop({0}::DOUBLE)",
    ("ilike", 0): "{0} ILIKE {1} ESCAPE '\\'",
    ("/", 0): Reason("its quotient of decimals is a float"),
    ("/", 1): "{0}::DOUBLE / {1}::DOUBLE",
    ("+", 1): "{0}::DOUBLE + {1}::DOUBLE",
    ("-", 1): "{0}::DOUBLE - {1}::DOUBLE",
    ("*", 1): "{0}::DOUBLE * {1}::DOUBLE",
    ("-", 7): "{0} - {1}",
}
"""By entry and number of the signature; before the template of the catalogue."""

_SAME: Final = ("abs", "sign", "gcd", "lcm", "sqrt", "power", "exp", "ln", "upper", "lower", "initcap", "md5")
_TO_BYTES: Final = "convert_to({0}, 'UTF8')"

POSTGRES: Final[dict[str, Oracle | tuple[Oracle, ...]]] = {
    **{name: f"{name}({{all}})" for name in (*_SAME, "length", "octet_length", "btrim", "ltrim", "rtrim")},
    **{
        name: f"{name}({{all}})"
        for name in ("coalesce", "nullif", "greatest", "least", "concat", "concat_ws")
    },
    "substr": ("substr({0}, {1}::int)", "substr({0}, {1}::int, {2}::int)"),
    "left": "left({0}, {1}::int)",
    "right": "right({0}, {1}::int)",
    "lpad": ("lpad({0}, {1})", "lpad({0}, {1}, {2})"),
    "rpad": ("rpad({0}, {1})", "rpad({0}, {1}, {2})"),
    "repeat": "repeat({0}, {1})",
    "reverse": "reverse({0})",
    "replace": "replace({0}, {1}, {2})",
    "translate": "translate({0}, {1}, {2})",
    "overlay": (
        "overlay({0} placing {1} from {2}::int)",
        "overlay({0} placing {1} from {2}::int for {3}::int)",
    ),
    "split_part": "split_part({0}, {1}, {2}::int)",
    "strpos": "strpos({0}, {1})",
    "starts_with": "starts_with({0}, {1})",
    "ends_with": "right({0}, length({1})) = {1}",
    "contains": "strpos({0}, {1}) > 0",
    "ascii": "ascii({0})",
    "chr": "chr({0}::int)",
    "levenshtein": Reason("it needs an extension"),
    "normalize": ("normalize({0}, NFC)", "normalize({0}, NFD)"),
    **{f"sha{bits}": f"sha{bits}({_TO_BYTES})" for bits in (224, 256, 384, 512)},
    "encode": f"encode({_TO_BYTES}, {{1}})",
    "regexp_like": "regexp_like({all})",
    "regexp_match": "regexp_match({all})",
    "regexp_replace": "regexp_replace({all})",
    "regexp_count": "regexp_count({all})",
    "regexp_substr": "regexp_substr({all})",
    "string_to_array": "string_to_array({all})",
    "round": ("round({0})", "round({0}, {1})", "round({0})", Reason("it rounds decimals only")),
    "trunc": ("{0}", "trunc({0})", "trunc({0}, {1})", "trunc({0})"),
    "ceil": "ceil({0})",
    "floor": "floor({0})",
    "mod": "{0} % {1}",
    "log10": "log10({0})",
    "sqrt": "sqrt({0}::float8)",
    "power": "power({0}::float8, {1}::float8)",
    "exp": "exp({0}::float8)",
    "ln": "ln({0}::float8)",
    "isnan": "{0} = 'NaN'::float8",
    "date_part": "floor(date_part({0}, {1}))::bigint",
    "extract": "floor(date_part({0}, {1}))::bigint",
    **{part: f"floor(date_part('{part}', {{0}}))::bigint" for part in ("year", "quarter", "month", "day")},
    **{part: f"floor(date_part('{part}', {{0}}))::bigint" for part in ("hour", "minute", "second")},
    "date_trunc": (
        "date_trunc({0}, {1}::timestamp)::date",
        *("date_trunc({0}, {1})", "date_trunc({0}, {1})"),
    ),
    "last_day": "(date_trunc('month', {0}) + interval '1 month' - interval '1 day')::date",
    "make_date": "make_date({0}::int, {1}::int, {2}::int)",
    "to_date": ("{0}::date", "to_date({0}, 'DD.MM.YYYY')"),
    "to_timestamp": ("{0}::timestamp", "to_timestamp({0}, 'DD.MM.YYYY HH24:MI:SS')::timestamp"),
    "from_unixtime": "to_timestamp({0})::timestamp",
    "to_char": "to_char({0}, 'YYYY-MM-DD')",
    "datediff": "{2}::date - {1}::date",
    "dateadd": ("({2} + 3)", "{2} + interval '3 days'", "{2} + interval '3 days'"),
    "date_add": (
        "({0} + interval '1 month')::date",
        *("{0} + interval '1 month'", "{0} + interval '1 month'"),
    ),
    "date_sub": (
        "({0} - interval '1 month')::date",
        *("{0} - interval '1 month'", "{0} - interval '1 month'"),
    ),
    "timezone": "timezone({0}, {1})",
    "if": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "nvl2": "CASE WHEN {0} IS NOT NULL THEN {1} ELSE {2} END",
    "make_array": "ARRAY[{all}]",
    "array_length": "cardinality({0})",
    "array_has": "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL THEN coalesce({1} = ANY({0}), false) END",
    "array_has_all": "({0} @> {1})",
    "array_has_any": "({0} && {1})",
    "array_position": "array_position({0}, {1})",
    "array_element": "({0})[{1}]",
    "array_append": "array_append({0}, {1})",
    "array_concat": "{0} || {1}",
    "array_distinct": "CASE WHEN {0} IS NOT NULL THEN ARRAY(SELECT x FROM (SELECT x, min(o) AS o FROM "
    "unnest({0}) WITH ORDINALITY AS u(x, o) GROUP BY x) g ORDER BY o) END",
    "array_sort": "CASE WHEN {0} IS NOT NULL THEN "
    "ARRAY(SELECT x FROM unnest({0}) u(x) ORDER BY x NULLS FIRST) END",
    "array_reverse": "array_reverse({0})",
    "array_min": "(SELECT min(x) FROM unnest({0}) u(x))",
    "array_max": "(SELECT max(x) FROM unnest({0}) u(x))",
    "array_remove_all": "array_remove({0}, {1})",
    "array_to_string": "array_to_string({0}, {1})",
    "get_field": Reason("its structs are other types; test_structs holds the rule"),
    "count": ("count({0})", "count(*)"),
    "sum": ("sum({0})", "sum({0})", "sum({0})"),
    "avg": ("avg({0})", "avg({0})"),
    "min": "min({0})",
    "max": "max({0})",
    "median": Reason("it has no exact median"),
    "any_value": "(array_agg({0} ORDER BY t.id) FILTER (WHERE {0} IS NOT NULL))[1]",
    "first_value": "(array_agg({0} ORDER BY t.id))[1]",
    "last_value": "(array_agg({0} ORDER BY t.id DESC))[1]",
    "array_agg": "array_agg({0} ORDER BY t.id)",
    "string_agg": "string_agg({0}, ',' ORDER BY t.id)",
    **{n: f"{n}({{0}})" for n in ("bool_and", "bool_or", "bit_and", "bit_or", "bit_xor")},
    **{n: f"{n}({{0}}::float8)" for n in ("stddev_samp", "stddev_pop", "var_samp", "var_pop")},
    "grouping": Reason("test_grouping_sets holds the rule"),
    **{n: f"{n}()" for n in ("row_number", "rank", "dense_rank", "percent_rank", "cume_dist")},
    "ntile": "ntile({0})",
    "lag": "lag({all})",
    "lead": "lead({all})",
    "nth_value": "nth_value({all})",
    **{sign: f"{{0}} {sign} {{1}}" for sign in ("*", "%", "&", "|", "=", "<>", "<", "<=", ">", ">=")},
    **{sign: f"{{0}} {sign} {{1}}" for sign in ("~", "~*", "||", "like", "ilike", "and", "or")},
    "+": (
        *("{0} + {1}", "{0}::float8 + {1}::float8", "{0} + {1}::int"),
        *("({0} + {1})::date", "{0} + {1}", "{0} + {1}"),
    ),
    "-": (
        *("{0} - {1}", "{0}::float8 - {1}::float8", "{0} - {1}::int"),
        *("({0} - {1})::date", "{0} - {1}", "{0} - {1}", "{0} - {1}", "{0} - {1}"),
    ),
    "/": ("{0}::numeric / {1}", "{0}::float8 / {1}::float8"),
    "-x": "-{0}",
    "^": "{0} # {1}",
    "is distinct from": "{0} IS DISTINCT FROM {1}",
    "is not distinct from": "{0} IS NOT DISTINCT FROM {1}",
    "between": "{0} BETWEEN {1} AND {2}",
    "in": "{0} IN ({1}, {2})",
    "is null": "{0} IS NULL",
    "is true": "{0} IS TRUE",
    "not": "NOT {0}",
    "case": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "position": "position({0} in {1})",
    "at time zone": "{0} AT TIME ZONE {1}",
}
"""By entry; one for all signatures, or one for each."""


def postgres(name: str, signature: int) -> Oracle:
    """PostgreSQL's words for a signature."""
    found = POSTGRES[name]
    return found[signature] if isinstance(found, tuple) else found
