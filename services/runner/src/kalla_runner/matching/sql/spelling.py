"""What other databases spell otherwise, in the engine's words: names, types and calls of one meaning.

No types are known yet; what depends on them is left to calls.py. Sources of meanings are named where
databases differ: a call that two of them read in two ways is refused with what to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from kalla_common.errors import Code, KallaError
from sqlglot import exp

from kalla_runner.matching.natives import NORMAL_FORMS, normal_form
from kalla_runner.matching.sql.casts import NO_SECONDS, ZONE
from kalla_runner.matching.sql.catalogue import find
from kalla_runner.matching.sql.dialect import bare, literal_text, parse, plain_number, render, sql_error
from kalla_runner.matching.sql.functions import unknown
from kalla_runner.matching.sql.marks import DAYS_OF, call_name

_QUOTES: Final = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/"
    r"|`(?P<ticked>[^`\"\n]+)`|(?P<before>\w+|[)\]\"])?(?P<blank>\s*)\[(?P<boxed>[A-Za-z_][\w ]*)\]",
    re.DOTALL,
)
_BEFORE_NAMES: Final = frozenset(
    {
        *("select", "distinct", "from", "join", "on", "and", "or", "not", "where", "by", "in", "between"),
        *("like", "when", "then", "else", "case", "as", "is", "having", "using"),
    }
)
_FOREIGN_TYPES: Final = re.compile(r"\b(number|varchar2|nvarchar2?)\b", re.IGNORECASE)
"""Names of types that the parser knows and the engine does not."""
_NO_NAMES: Final = frozenset({"true", "false", "null"})

_RENAMED: Final[Mapping[str, str]] = {
    "mid": "substr",
    "lcase": "lower",
    "ucase": "upper",
    "ceiling": "ceil",
    "pow": "power",
    "datefromparts": "make_date",
    "every": "bool_and",
    "trim": "btrim",
    "strptime": "to_timestamp",
    "strftime": "to_char",
    "make_list": "make_array",
    "list_min": "array_min",
    "mean": "avg",
    "sign": "signum",
}
"""Names that the engine does not know, or knows by another name."""

_PARTS: Final = frozenset({"year", "quarter", "month", "day", "hour", "minute", "second"})
_UNITS: Final = frozenset({*_PARTS, "week"})
_UNIT_NAMES: Final[Mapping[str, str]] = {
    "yy": "year",
    "yyyy": "year",
    "qq": "quarter",
    "q": "quarter",
    "mm": "month",
    "m": "month",
    "dd": "day",
    "d": "day",
    "wk": "week",
    "ww": "week",
    "hh": "hour",
    "mi": "minute",
    "n": "minute",
    "ss": "second",
    "s": "second",
}
_LONGEST_TWICE: Final = 500
"""Nodes of an expression that may be written twice."""
_TYPES: Final[Mapping[str, str]] = {"SIGNED": "BIGINT", "SIGNED INTEGER": "BIGINT"}


def plain_quotes(text: str) -> str:
    """Write names in `backquotes` and [boxes] in double quotes; every character keeps its place.

    A box after a name, or that holds no plain name, is the place in a list.
    """

    def replaced(found: re.Match[str]) -> str:
        if found["ticked"]:
            return f'"{found["ticked"]}"'
        name, before = found["boxed"], found["before"]
        if not name or name.lower() in _NO_NAMES or (before and before.lower() not in _BEFORE_NAMES):
            return found[0]
        return f'{before or ""}{found["blank"]}"{name}"'

    return _QUOTES.sub(replaced, text)


def respell(query: exp.Query, text: str) -> tuple[list[KallaError], bool]:
    """Rewrite calls and types of other databases, in place.

    Returns:
        Problems, with their places; and whether anything was rewritten that the engine cannot read.
    """
    speller = _Speller(text)
    speller.changed = _FOREIGN_TYPES.search(text) is not None
    for node in reversed(list(query.walk(bfs=False))):
        speller.spell(node)
    return list(reversed(speller.problems)), speller.changed


class _RefusedError(Exception):
    """The sentence for the author of the query."""


class _Speller:
    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[KallaError] = []
        self.changed = False

    def spell(self, node: exp.Expr) -> None:
        try:
            made = self._respelt(node)
        except _RefusedError as error:
            self.problems.append(sql_error(Code.INVALID_SQL, str(error), self.text, node))
            return
        if made is None or made is node:
            return
        made.meta.setdefault("start", node.meta.get("start", _start(node)))
        if made.meta["start"] is None:
            del made.meta["start"]
        made = exp.Paren(this=made) if isinstance(made, exp.Binary | exp.Unary | exp.Case) else made
        node.replace(made)
        self.changed = True

    def _respelt(self, node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Anonymous):
            return self._call(node)
        if isinstance(node, exp.Cast | exp.TryCast):
            return self._cast(node)
        if isinstance(node, exp.Substring):
            start = bare(node.args["start"]) if node.args.get("start") is not None else None
            if isinstance(start, exp.Literal) and start.is_string and node.args.get("length") is None:
                return _first_match(node.this, start.name, group=None)
        if isinstance(node, exp.StrPosition):
            return call("strpos", node.this, node.args["substr"])
        if isinstance(node, exp.EQ):
            return _any_of_list(node)
        return None

    def _call(self, node: exp.Anonymous) -> exp.Expr | None:
        name = node.name.lower()
        rewrite = _REWRITES.get(name)
        if rewrite is None and _is_type_of_convert(node):
            return None
        refused = None if rewrite is not None else unknown(name)
        if refused is not None:
            raise _RefusedError(refused)
        if rewrite is not None:
            return rewrite(node, list(node.expressions))
        if name in _PARTS:
            return call("date_part", exp.Literal.string(name), *_exactly(node, 1))
        if name in _RENAMED:
            call_name(node)
            node.set("this", _RENAMED[name])
            self.changed = True
        return None

    def _cast(self, node: exp.Cast | exp.TryCast) -> exp.Expr | None:
        made = _retyped(node)
        if made is not None:
            return made
        value = bare(node.this)
        if isinstance(value, exp.Literal) and value.is_string:
            text = _literal(value.name.strip(), node.to.this)
            if text is not None:
                value.set("this", text)
                self.changed = True
        return None


def _start(node: exp.Expr) -> int | None:
    starts = [inner.meta["start"] for inner in node.walk() if "start" in inner.meta]
    return min(starts) if starts else None


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of one of the engine's functions."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def _exactly(node: exp.Anonymous, count: int) -> list[exp.Expr]:
    if len(node.expressions) != count:
        entry = find(node.name)
        raise _RefusedError(
            f"{node.name.upper()} takes {count} argument{'s' if count > 1 else ''}, not "
            f"{len(node.expressions)}. {entry.meaning if entry else ''}".rstrip()
        )
    return list(node.expressions)


def _coalesce(node: exp.Anonymous, arguments: list[exp.Expr]) -> exp.Expr:
    if node.name.lower() == "isnull" and len(arguments) == 1:
        return exp.Is(this=_operand(arguments[0]), expression=exp.Null())
    return call("coalesce", *arguments)


def _operand(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary | exp.Unary | exp.Between | exp.In) else node


def _if(node: exp.Anonymous, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) not in (2, 3):
        raise _RefusedError(f"{node.name.upper()} takes a condition and two values: as CASE WHEN ... END.")
    case = exp.Case(ifs=[exp.If(this=arguments[0], true=arguments[1])])
    if len(arguments) == 3:  # noqa: PLR2004
        case.set("default", arguments[2])
    return case


def _nvl2(node: exp.Anonymous, _: list[exp.Expr]) -> exp.Expr:
    value, then, otherwise = _exactly(node, 3)
    missing = exp.Is(this=_operand(value), expression=exp.Null())
    return exp.Case(ifs=[exp.If(this=missing, true=otherwise)], default=then)


def _mod(node: exp.Anonymous, _: list[exp.Expr]) -> exp.Expr:
    one, two = _exactly(node, 2)
    return exp.Mod(this=_operand(one), expression=_operand(two))


def _unit(node: exp.Anonymous, argument: exp.Expr) -> str:
    argument = bare(argument)
    written = argument.name if isinstance(argument, exp.Literal | exp.Column | exp.Var) else ""
    if isinstance(argument, exp.Column) and argument.args.get("table"):
        written = ""
    name = written.lower()
    unit = _UNIT_NAMES.get(name, name.removesuffix("s"))
    if unit not in _UNITS:
        example = "DATEADD(day, 3, x)" if node.name.lower() == "dateadd" else "DATEDIFF(day, a, b), or b - a"
        raise _RefusedError(f"{node.name.upper()} begins with a unit: write {example}.")
    return unit


def _days(node: exp.Anonymous, value: exp.Expr) -> exp.Expr:
    cast = exp.Cast(this=_operand(value), to=exp.DataType(this=exp.DataType.Type.DATE, nested=False))
    cast.meta[DAYS_OF] = node.name.upper()
    return cast


def _part(unit: str, value: exp.Expr) -> exp.Expr:
    return call("date_part", exp.Literal.string(unit), value)


def _datediff(node: exp.Anonymous, arguments: list[exp.Expr]) -> exp.Expr:
    name = node.name.upper()
    if len(arguments) == 2:  # noqa: PLR2004
        raise _RefusedError(
            f"{name} of two dates counts from the second in MySQL and needs a unit elsewhere: write "
            f"{name}(day, start, end), or b - a for the days from a to b."
        )
    first, start, end = _exactly(node, 3)
    unit = _unit(node, first)
    if unit == "day":
        return exp.Sub(this=_days(node, end), expression=_days(node, start))
    if unit == "year":
        return exp.Sub(this=_part("year", end), expression=_part("year", start))
    if unit in ("month", "quarter"):
        count = 12 if unit == "month" else 4

        def number(value: exp.Expr) -> exp.Expr:
            if sum(1 for _ in value.walk()) > _LONGEST_TWICE:
                raise _RefusedError(f"An argument of {name} is too long: name it in a WITH query.")
            years = exp.Mul(this=_part("year", value), expression=exp.Literal.number(count))
            return exp.Paren(this=exp.Add(this=years, expression=_part(unit, value.copy())))

        return exp.Sub(this=number(end), expression=number(start))
    raise _RefusedError(
        f"{name} with {unit} counts in two ways: write end - start, and compare it with INTERVAL '1' "
        f"{unit.upper()}."
    )


def _dateadd(node: exp.Anonymous, _: list[exp.Expr]) -> exp.Expr:
    first, count, value = _exactly(node, 3)
    unit, number = _unit(node, first), literal_text(count)
    if number is None or not re.fullmatch(r"-?\d+", number):
        raise _RefusedError(f"{node.name.upper()} takes a whole number: write x + INTERVAL '3' DAY.")
    return exp.Add(this=_operand(value), expression=_interval(number, unit))


def _interval(number: str, unit: str) -> exp.Expr:
    count = int(number) * (3 if unit == "quarter" else 1)
    word = "MONTH" if unit == "quarter" else unit.upper()
    return exp.Interval(this=exp.Literal.string(str(count)), unit=exp.Var(this=word))


def _date_add(node: exp.Anonymous, _: list[exp.Expr]) -> exp.Expr:
    name = node.name.lower()
    if len(node.expressions) == 3 and name == "date_add":  # noqa: PLR2004
        return _dateadd(node, [])
    value, interval = _exactly(node, 2)
    if not isinstance(bare(interval), exp.Interval):
        raise _RefusedError(f"{name.upper()} takes an interval: write x + INTERVAL '3' DAY.")
    operation = exp.Sub if name in ("date_sub", "subdate") else exp.Add
    return operation(this=_operand(value), expression=interval)


def _last_day(node: exp.Anonymous, _: list[exp.Expr]) -> exp.Expr:
    (value,) = _exactly(node, 1)
    first = call("date_trunc", exp.Literal.string("month"), _days(node, value))
    next_month = exp.Add(this=first, expression=_interval("1", "month"))
    return exp.Sub(this=exp.Paren(this=next_month), expression=_interval("1", "day"))


def _timezone(node: exp.Anonymous, _: list[exp.Expr]) -> exp.Expr:
    zone, value = _exactly(node, 2)
    return exp.AtTimeZone(this=_operand(value), zone=zone)


def _normalize(_: exp.Anonymous, arguments: list[exp.Expr]) -> exp.Expr:
    form = bare(arguments[1]).name.upper() if len(arguments) == 2 else "NFC"  # noqa: PLR2004
    if form not in NORMAL_FORMS or len(arguments) not in (1, 2):
        raise _RefusedError(f"NORMALIZE takes a text and one of {', '.join(NORMAL_FORMS)}.")
    made = call(normal_form(form), arguments[0])
    made.meta["name"] = "normalize"
    return made


def _convert(node: exp.Anonymous, arguments: list[exp.Expr]) -> exp.Expr:
    name = node.name.upper()
    cast = "TRY_CAST" if name == "TRY_CONVERT" else "CAST"
    if len(arguments) == 2:  # noqa: PLR2004
        for target, value in (arguments, reversed(arguments)):
            data_type = _type_of(target)
            if data_type is not None:
                made = (exp.TryCast if cast == "TRY_CAST" else exp.Cast)(this=value, to=data_type)
                return _retyped(made) or made
    raise _RefusedError(
        f"{name} with a style is not available: write {cast}(x AS type), or TO_DATE(x, '%d.%m.%Y')."
    )


def _is_type_of_convert(node: exp.Anonymous) -> bool:
    around = node.parent
    return isinstance(around, exp.Anonymous) and around.name.lower() in ("convert", "try_convert")


def _type_of(node: exp.Expr) -> exp.DataType | None:
    """The type that an argument names, as in CONVERT(DECIMAL(18,2), x)."""
    plain = (isinstance(node, exp.Column) and not node.args.get("table")) or isinstance(node, exp.Anonymous)
    if not plain:
        return None
    try:
        cast = parse(f"SELECT CAST(NULL AS {render(node)})")[0].find(exp.Cast)
    except KallaError:
        return None
    known = cast is not None and cast.to.this is not exp.DataType.Type.USERDEFINED
    return cast.to if cast is not None and (known or cast.to.text("kind").upper() in _TYPES) else None


def _retyped(node: exp.Cast | exp.TryCast) -> exp.Expr | None:
    kinds = exp.DataType.Type
    target, written = node.to, node.to.text("kind").upper()
    if written == "MONEY" or target.this in (kinds.MONEY, kinds.SMALLMONEY):
        raise _RefusedError(
            "MONEY has two digits after the point in some databases and four in others: write DECIMAL(19,4) "
            "or DECIMAL(18,2)."
        )
    if target.this in (kinds.CHAR, kinds.NCHAR, kinds.BPCHAR):
        raise _RefusedError("CHAR is filled up with blanks: write VARCHAR, or rpad(x, n) for the blanks.")
    if written in _TYPES:
        return _cast_to(node, exp.DataType.build(_TYPES[written]))
    if target.this is kinds.DATETIME and not target.expressions:
        return _cast_to(node, exp.DataType(this=kinds.TIMESTAMP, nested=False))
    if target.this in (kinds.VARCHAR, kinds.NVARCHAR) and target.expressions:
        length = target.expressions[0].this
        text = _cast_to(node, exp.DataType(this=kinds.VARCHAR, nested=False))
        # The engine reads the length and forgets it.
        return call("left", text, length) if length.name.isdigit() else text
    if target.this is kinds.NVARCHAR:
        return _cast_to(node, exp.DataType(this=kinds.VARCHAR, nested=False))
    return None


def _literal(text: str, target: object) -> str | None:
    """A literal as the engine reads it, where it would not read what the catalogue of casts allows."""
    kinds = exp.DataType.Type
    if target is kinds.DECIMAL and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", text):
        return plain_number(text.removeprefix("+"))
    if target in (kinds.TIMESTAMP, kinds.TIMESTAMPTZ):
        short = re.fullmatch(NO_SECONDS, text)
        if short:
            return f"{short[1]}:00{short[2] or ''}"
    if target in (kinds.DATE, kinds.TIMESTAMP) and re.fullmatch(ZONE, text):
        raise _RefusedError(
            f"'{text}' has a time zone, which this type does not keep: write TIMESTAMP WITH TIME ZONE."
        )
    return None


def _cast_to(node: exp.Cast | exp.TryCast, target: exp.DataType) -> exp.Expr:
    return type(node)(this=node.this, to=target)


def _any_of_list(node: exp.EQ) -> exp.Expr | None:
    for one, two in ((node.left, node.right), (node.right, node.left)):
        if isinstance(two, exp.Any) and not isinstance(bare(two.this), exp.Query):
            return call("array_has", bare(two.this), one)
    return None


def _regexp_part(node: exp.Anonymous, arguments: list[exp.Expr]) -> exp.Expr:
    name = node.name.upper()
    pattern = bare(arguments[1]) if len(arguments) in (2, 3) else None
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise _RefusedError(f"{name} takes a text, a pattern in quotes, and the number of a group.")
    if len(arguments) == 3:  # noqa: PLR2004
        group = literal_text(arguments[2])
        if name != "REGEXP_EXTRACT" or group is None or not group.isdigit():
            raise _RefusedError(f"{name} takes a text and a pattern: write (regexp_match(text, pattern))[1].")
        return _first_match(arguments[0], pattern.name, int(group))
    if name == "REGEXP_EXTRACT" and _groups(pattern.name):
        raise _RefusedError(
            "REGEXP_EXTRACT gives the whole match in some databases and the first group in others: write "
            "REGEXP_EXTRACT(text, pattern, 0) or REGEXP_EXTRACT(text, pattern, 1)."
        )
    return _first_match(arguments[0], pattern.name, 0)


def _first_match(text: exp.Expr, pattern: str, group: int | None) -> exp.Expr:
    """A group of the first match; 0 is all of it, None the first group if there is one."""
    groups = _groups(pattern)
    if group is not None and group > groups:
        raise _RefusedError(f"The pattern '{pattern}' has {groups} groups, and no group {group}.")
    if group == 0:
        pattern = _GROUP.sub(lambda found: found[0] if found[0] != "(" else "(?:", pattern)
    found = call("regexp_match", text, exp.Literal.string(pattern))
    return call("array_element", found, exp.Literal.number(group or 1))


_GROUP: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P?<(?![=!])|\(\?|\(", re.DOTALL)


def _groups(pattern: str) -> int:
    return sum(found[0] in ("(", "(?<", "(?P<") for found in _GROUP.finditer(pattern))


_REWRITES: Final[Mapping[str, Callable[[exp.Anonymous, list[exp.Expr]], exp.Expr]]] = {
    **dict.fromkeys(("isnull", "nvl", "ifnull"), _coalesce),
    **dict.fromkeys(("if", "iif"), _if),
    **dict.fromkeys(("datediff", "date_diff"), _datediff),
    **dict.fromkeys(("date_add", "adddate", "date_sub", "subdate"), _date_add),
    **dict.fromkeys(("last_day", "eomonth"), _last_day),
    **dict.fromkeys(("regexp_substr", "regexp_extract"), _regexp_part),
    **dict.fromkeys(("convert", "try_convert"), _convert),
    "nvl2": _nvl2,
    "mod": _mod,
    "dateadd": _dateadd,
    "timezone": _timezone,
    "normalize": _normalize,
}
