"""Calls, casts and quotients of one SELECT: held against the catalogue, and made exact.

Arguments come before what they are in, so that every type is that of what will run. The engine's own
functions are used where they do what the catalogue says; where they do not, the call is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.connectors.type_names import is_list
from kalla_runner.matching.natives import PREFIX
from kalla_runner.matching.sql.casts import settle_cast
from kalla_runner.matching.sql.catalogue import Entry, Family, Signature, family, find, operator
from kalla_runner.matching.sql.dialect import bare, literal_text, wrap
from kalla_runner.matching.sql.formats import PatternError, read_pattern
from kalla_runner.matching.sql.marks import SHOWN, WRAPPER, call_name, put, shown
from kalla_runner.matching.sql.moments import date_part, date_trunc, read_moment, write_moment, zoned
from kalla_runner.matching.sql.quotients import around_call, average, divide, middle
from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import Kind, Typer, kind

_SETTLED: Final = (
    *(exp.Anonymous, exp.Cast, exp.TryCast, exp.Div, exp.Extract, exp.AtTimeZone, exp.Bracket),
    *(exp.DPipe, exp.Substring, exp.Trim, exp.Overlay),
)
_OPERATORS: Final[Mapping[type[exp.Expr], str]] = {
    exp.DPipe: "||",
    exp.Substring: "substr",
    exp.Trim: "btrim",
    exp.Overlay: "overlay",
}
_BELOW_A_DAY: Final = ("HOUR", "MINUTE", "SECOND")


def settle_calls(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Note a problem for every call that the catalogue does not have, and rewrite the others, in place."""
    parts = list(own_parts(scope))
    nodes = [node for node in parts if isinstance(node, _SETTLED)]
    for level in _levels(nodes):
        arguments = [_arguments(node) for node in level]
        types = iter(typer.types([a for each in arguments for a in each], found))
        for node, each in zip(level, arguments, strict=True):
            here = [next(types) for _ in each]
            if all(t is not None for t in here):
                _settle(node, each, [t for t in here if t is not None], found)
    _check_intervals(parts, found, typer)
    _add_days(parts, found, typer)


def _levels(nodes: Sequence[exp.Expr]) -> list[list[exp.Expr]]:
    """Nodes in groups, so that what a node holds is in an earlier group."""
    depth: dict[int, int] = dict.fromkeys(map(id, nodes), 0)
    levels: list[list[exp.Expr]] = []
    for node in reversed(nodes):  # the order of a walk puts parents first
        at = depth[id(node)]
        while len(levels) <= at:
            levels.append([])
        levels[at].append(node)
        parent = node.parent
        while parent is not None and id(parent) not in depth:
            parent = parent.parent
        if parent is not None:
            depth[id(parent)] = max(depth[id(parent)], at + 1)
    return levels


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Anonymous):
        return [inner for argument in node.expressions for inner in _values(argument)]
    if isinstance(node, exp.Div | exp.DPipe):
        return [node.left, node.right]
    if isinstance(node, exp.Extract):
        return [node.expression]
    if isinstance(node, exp.Bracket):
        return [node.this]
    keys: Mapping[type[exp.Expr], tuple[str, ...]] = {
        exp.Substring: ("this", "start", "length"),
        exp.Trim: ("this", "expression"),
        exp.Overlay: ("this", "expression", "from_", "for_"),
    }
    return [node.args[key] for key in keys.get(type(node), ("this",)) if node.args.get(key) is not None]


def _values(argument: exp.Expr) -> list[exp.Expr]:
    """What an argument of an aggregate is about, without DISTINCT and ORDER BY."""
    if isinstance(argument, exp.Order):
        return _values(argument.this)
    if isinstance(argument, exp.Distinct):
        return list(argument.expressions)
    return [] if isinstance(argument, exp.Star) else [argument]


def _settle(node: exp.Expr, arguments: list[exp.Expr], types: list[pa.DataType], found: Resolution) -> None:
    if isinstance(node, exp.Cast | exp.TryCast):
        settle_cast(node, types[0], found)
    elif isinstance(node, exp.Div):
        if _fits("/", node, arguments, types, found):
            divide(node, types[0], types[1], found)
    elif isinstance(node, exp.Extract):
        unit = node.this.name.lower()
        if _fits("extract", node, [exp.Literal.string(unit), *arguments], [pa.string(), *types], found):
            date_part(node, unit, node.expression, types[0], found)
    elif isinstance(node, exp.AtTimeZone):
        if _fits("at time zone", node, [node.this, node.args["zone"]], [types[0], pa.string()], found):
            zoned(node, types[0], found)
    elif isinstance(node, exp.Bracket):
        _bracket(node, types[0], found)
    elif isinstance(node, exp.Anonymous):
        _settle_call(node, arguments, types, found)
    else:
        _fits(_OPERATORS[type(node)], node, arguments, types, found)


def _fits(
    name: str, node: exp.Expr, arguments: Sequence[exp.Expr], types: Sequence[pa.DataType], found: Resolution
) -> Signature | None:
    """The signature of a call, or None and a problem."""
    entry = find(name) or operator(name)
    written = str(node.meta.get("name", name)).upper()
    families: list[Family | None] = []
    for argument, data_type in zip(arguments, types, strict=True):
        try:
            families.append(family(data_type))
        except LookupError:
            found.problem(
                Code.TYPE_MISMATCH,
                f"{shown(argument)} is of the type {data_type}, which no function takes: leave it out.",
                argument,
            )
            return None
    signature = entry.signature(families)
    if signature is None:
        code = Code.TYPE_MISMATCH if _counts(entry, len(families)) else Code.INVALID_SQL
        found.problem(code, _refusal(entry, written, arguments, families), node)
        return None
    for at, argument in enumerate(arguments):
        parameter = signature.parameters[min(at, len(signature.parameters) - 1)]
        if parameter.literal and not _is_literal(argument):
            found.problem(
                Code.INVALID_SQL,
                f"The {parameter.name} of {written} must be written out, not computed: {shown(argument)}.",
                argument,
            )
            return None
    return signature


def _is_literal(node: exp.Expr) -> bool:
    node = bare(node)
    return (
        isinstance(node, exp.Literal | exp.Null | exp.Interval | exp.Boolean)
        or literal_text(node) is not None
    )


def _counts(entry: Entry, count: int) -> bool:
    return any(
        len(s.parameters) - s.optional <= count and (s.repeated or count <= len(s.parameters))
        for s in entry.signatures
    )


def _refusal(
    entry: Entry, written: str, arguments: Sequence[exp.Expr], families: Sequence[Family | None]
) -> str:
    takes = " or ".join(dict.fromkeys(_listed(entry, written, s) for s in entry.signatures))
    if not _counts(entry, len(families)):
        count = len(families)
        return f"{written} does not take {count} argument{'' if count == 1 else 's'}: write {takes}."
    named = [f"{shown(a)} is {f}" for a, f in zip(arguments, families, strict=True) if f is not None]
    advice = _cast_advice(entry, arguments, families)
    return f"{written} is {takes}, and {', '.join(named)}{advice}."


def _listed(entry: Entry, written: str, signature: Signature) -> str:
    named: list[str] = []
    for parameter in signature.parameters:
        families = sorted(parameter.families)
        plain = len(families) > _FEW or families == [parameter.name]
        named.append(parameter.name if plain else f"{parameter.name} {' or '.join(families)}")
    if entry.form is not None and entry.form.count("{") == len(named):
        return entry.form.format(*named)
    return f"{written}({', '.join(named)}{', ...' if signature.repeated else ''})"


_FEW: Final = 3
"""So many families of a parameter are listed."""


def _cast_advice(entry: Entry, arguments: Sequence[exp.Expr], families: Sequence[Family | None]) -> str:
    for at, given in enumerate(families):
        wanted = {
            f
            for s in entry.signatures
            if at < len(s.parameters) or s.repeated
            for f in s.parameters[min(at, len(s.parameters) - 1)].families
        }
        if given is None or given in wanted:
            continue
        advice = _cast_to(entry.name, given, wanted)
        if advice:
            return ": write " + advice.format(shown(arguments[at]))
    return ""


_NUMBERS: Final = frozenset({Family.INTEGER, Family.DECIMAL, Family.FLOAT})


def _cast_to(name: str, given: Family, wanted: set[Family]) -> str:
    """The cast of an argument, at {0}, to a family that the function takes; empty if none is known."""
    text, integer = given is Family.TEXT, wanted == {Family.INTEGER}
    advice = (
        (
            name == "to_char" and given in _NUMBERS,
            "CAST({0} AS TEXT), after CAST(... AS DECIMAL(18,2)) for its digits",
        ),
        (Family.TEXT in wanted, "CAST({0} AS TEXT)"),
        (Family.DATE in wanted and text, "CAST({0} AS DATE), or TO_DATE({0}, '%d.%m.%Y')"),
        (integer and text, "CAST({0} AS BIGINT)"),
        (integer and given is Family.DECIMAL, "CAST(FLOOR({0}) AS BIGINT)"),
        (text and bool(wanted & _NUMBERS), "CAST({0} AS DECIMAL(18,2))"),
        (
            given is Family.FLOAT and Family.DECIMAL in wanted,
            "CAST({0} AS DECIMAL(18,2)), with the digits it needs",
        ),
    )
    return next((words for applies, words in advice if applies), "")


def _settle_call(
    node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], found: Resolution
) -> None:
    name = node.name.lower()
    if name.startswith(PREFIX):
        _fits("normalize", node, arguments, types, found)
        return
    if find(name) is None:
        return  # tolerance_match, and what Kalla itself wrote
    call_name(node)
    signature = _fits(name, node, arguments, types, found)
    if signature is None:
        return
    if signature.alike and not _alike(node, arguments, types, found):
        return
    entry = find(name)
    assert entry is not None  # noqa: S101  # see above
    rewrite = _REWRITES.get(entry.name)
    if rewrite is not None:
        rewrite(node, arguments, types, found)


def _alike(
    node: exp.Anonymous, arguments: Sequence[exp.Expr], types: Sequence[pa.DataType], found: Resolution
) -> bool:
    """Whether the elements of lists and the values beside them are of one type; a literal is made so."""
    if not any(is_list(t) for t in types) or find(node.name) is find("coalesce"):
        return True
    elements = [t.value_type if is_list(t) else t for t in types]
    known = [t for t in elements if not pa.types.is_null(t)]
    for argument, element in zip(arguments, elements, strict=True):
        first = known[0] if known else element
        if pa.types.is_null(element) or element == first:
            continue
        if {kind(element), kind(first)} == {Kind.TEXT}:
            continue
        both_integers = pa.types.is_integer(element) and pa.types.is_integer(first)
        literal = literal_text(argument)
        if literal is not None and pa.types.is_decimal(first) and kind(element) is Kind.NUMBER:
            if len(literal.partition(".")[2]) <= first.scale:
                wrap(argument, f"CAST({{}} AS DECIMAL({first.precision},{first.scale}))").meta[WRAPPER] = True
                continue
        elif both_integers:
            continue
        found.problem(
            Code.TYPE_MISMATCH,
            f"{node.name.upper()} compares elements of one type, and {shown(arguments[0])} holds "
            f"{_name(known[0])} where {shown(argument)} is {_name(element)}: cast one of them.",
            argument,
        )
        return False
    return True


def _name(data_type: pa.DataType) -> str:
    known = family(data_type)
    return str(known.value) if known is not None else "NULL"


def _bracket(node: exp.Bracket, data_type: pa.DataType, found: Resolution) -> None:
    """A place in a list, or a field of a struct: the engine reads a field also where the struct is NULL."""
    if pa.types.is_struct(data_type):
        _guard_struct(node, node.this, found)
    elif not is_list(data_type):
        found.problem(
            Code.TYPE_MISMATCH,
            f"{shown(node.this)} is neither a list nor a struct: write substr(text, start, count) for a part "
            "of a text.",
            node,
        )


def _get_field(
    node: exp.Anonymous, arguments: list[exp.Expr], _: list[pa.DataType], found: Resolution
) -> None:
    _guard_struct(node, arguments[0], found)


def _guard_struct(node: exp.Expr, struct: exp.Expr, found: Resolution) -> None:
    twin = found.copy(struct)
    whole = wrap(node, "CASE WHEN __kalla_struct IS NOT NULL THEN {} END")
    whole.meta[SHOWN] = shown(node)
    for column in list(whole.find_all(exp.Column)):
        if column.name == "__kalla_struct":
            column.replace(exp.Paren(this=twin))


def _pattern_call(
    node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], found: Resolution
) -> None:
    if len(arguments) < 2:  # noqa: PLR2004
        made = exp.Cast(this=arguments[0], to=_moment_type(node))
        made.meta["start"] = node.meta.get("start", 0)
        node.replace(made)
        settle_cast(made, types[0], found)
        return
    name = call_name(node)
    writes = node.name.lower() in ("to_char", "date_format")
    pattern = bare(arguments[1])
    if not isinstance(pattern, exp.Literal):
        return  # NULL
    try:
        read = read_pattern(pattern.name, name, "write" if writes else "read")
    except PatternError as error:
        found.problem(Code.INVALID_SQL, str(error), pattern)
        return
    if writes:
        write_moment(node, read, types[0])
    else:
        read_moment(node, read, found, to_date=node.name.lower() == "to_date")


def _moment_type(node: exp.Anonymous) -> exp.DataType:
    kinds = exp.DataType.Type
    return exp.DataType(this=kinds.DATE if node.name.lower() == "to_date" else kinds.TIMESTAMP, nested=False)


def _part_call(
    node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], found: Resolution
) -> None:
    date_part(node, bare(arguments[0]).name.lower(), arguments[1], types[1], found)


def _trunc_call(
    node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], found: Resolution
) -> None:
    date_trunc(node, bare(arguments[0]).name.lower(), arguments[1], types[1], found)


def _whole(node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], _: Resolution) -> None:
    """trunc, ceil and floor: the engine makes floats of integers, and leaves no room for a carry."""
    data_type = types[0]
    if pa.types.is_integer(data_type) and len(arguments) == 1:
        node.replace(exp.Paren(this=arguments[0]))
    elif pa.types.is_decimal(data_type) and node.name.lower() != "trunc" and data_type.scale > 0:
        wider = min(data_type.precision + 1, 38 if data_type.precision <= 38 else 76)  # noqa: PLR2004
        wrap(arguments[0], f"CAST({{}} AS DECIMAL({wider},{data_type.scale}))").meta[WRAPPER] = True


def _sign(node: exp.Anonymous, _: list[exp.Expr], __: list[pa.DataType], ___: Resolution) -> None:
    wrap(node, "CAST({} AS BIGINT)").meta[WRAPPER] = True


def _as_doubles(
    node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], _: Resolution
) -> None:
    """The engine computes these of a float of 4 bytes in 4 bytes, and is soon at infinity."""
    del node
    for argument, data_type in zip(arguments, types, strict=True):
        if pa.types.is_floating(data_type) and not pa.types.is_float64(data_type):
            wrap(argument, "CAST({} AS DOUBLE)").meta[WRAPPER] = True


def _as_text(node: exp.Anonymous, _: list[exp.Expr], __: list[pa.DataType], ___: Resolution) -> None:
    """The engine gives a layout of text that many readers do not know."""
    wrap(node, "CAST({} AS TEXT)").meta[WRAPPER] = True


def _as_integer(node: exp.Anonymous, _: list[exp.Expr], __: list[pa.DataType], ___: Resolution) -> None:
    """The engine's are unsigned, and have no opposite."""
    wrap(around_call(node), "CAST({} AS BIGINT)").meta[WRAPPER] = True


def _still_frame(node: exp.Anonymous, _: list[exp.Expr], __: list[pa.DataType], found: Resolution) -> None:
    """These can add a row to a frame and take none away.

    Some say so only when they run; deviations of floats take the row away from a sum that has lost it.
    """
    if _frame_moves(node):
        found.problem(
            Code.INVALID_SQL,
            f"{call_name(node).upper()} is not available over a frame that moves: write ROWS BETWEEN "
            "UNBOUNDED PRECEDING AND CURRENT ROW, or leave the frame out.",
            node,
        )


def _frame_moves(node: exp.Anonymous) -> bool:
    whole = around_call(node)
    spec = whole.args.get("spec") if isinstance(whole, exp.Window) else None
    return spec is not None and spec.args.get("start") != "UNBOUNDED"


def _still_floats(
    node: exp.Anonymous, _: list[exp.Expr], types: list[pa.DataType], found: Resolution
) -> None:
    """A float that leaves a frame is subtracted, and with a large one the small ones are lost."""
    if types and pa.types.is_floating(types[0]) and _frame_moves(node):
        name = call_name(node).upper()
        found.problem(
            Code.INVALID_SQL,
            f"{name} of a float loses digits over a frame that moves: write "
            f"{name}(CAST(x AS DECIMAL(38,6))), or leave the frame out.",
            node,
        )


def _extreme(node: exp.Anonymous, arguments: list[exp.Expr], _: list[pa.DataType], found: Resolution) -> None:
    """The engine's array_min and array_max fail on a batch without rows."""
    order = "DESC" if node.name.lower().endswith("max") else "ASC"
    put(node, f"array_element(array_sort({{0}}, '{order}', 'NULLS LAST'), 1)", arguments, found)


def _without_nulls(
    node: exp.Anonymous, arguments: list[exp.Expr], _: list[pa.DataType], found: Resolution
) -> None:
    """To the engine a NULL equals a NULL, among the elements and where a list that is computed is NULL."""
    template = "CASE WHEN {{0}} IS NOT NULL AND {{1}} IS NOT NULL THEN {name}({inner}, {{1}}) END"
    put(node, template.format(name=node.name, inner="array_except({0}, make_array(NULL))"), arguments, found)


def _as_microseconds(node: exp.Anonymous, _: list[exp.Expr], __: list[pa.DataType], ___: Resolution) -> None:
    wrap(node, "CAST({} AS TIMESTAMP(6))").meta[WRAPPER] = True


def _repeat(node: exp.Anonymous, arguments: list[exp.Expr], _: list[pa.DataType], found: Resolution) -> None:
    times = literal_text(arguments[1])
    if times is not None and not 0 <= float(times) <= _MOST_REPEATED:
        found.problem(
            Code.INVALID_SQL, f"{node.name.upper()} takes a count from 0 to {_MOST_REPEATED:,}.", node
        )


def _encode(node: exp.Anonymous, arguments: list[exp.Expr], _: list[pa.DataType], found: Resolution) -> None:
    if bare(arguments[1]).name.lower() != "hex":
        found.problem(
            Code.INVALID_SQL, "encode takes 'hex' only: write encode(x, 'hex') on both sides.", node
        )


def _string_to_array(
    node: exp.Anonymous, arguments: list[exp.Expr], _: list[pa.DataType], found: Resolution
) -> None:
    if bare(arguments[1]).name == "":
        found.problem(
            Code.INVALID_SQL, "The delimiter of string_to_array is empty: write the sign between parts.", node
        )


def _regexp_replace(
    node: exp.Anonymous, arguments: list[exp.Expr], _: list[pa.DataType], found: Resolution
) -> None:
    """A dollar in a replacement is a dollar; to the engine it begins the name of a group."""
    replacement = bare(arguments[2])
    if not isinstance(replacement, exp.Literal):
        wrap(arguments[2], "replace({}, '$', '$$')").meta[WRAPPER] = True
    elif "\\&" in replacement.name:
        found.problem(
            Code.INVALID_SQL,
            "\\& is not available in a replacement: put the pattern in brackets and write \\1.",
            node,
        )
    else:
        replacement.set("this", replacement.name.replace("$", "$$"))


def _average(
    node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], found: Resolution
) -> None:
    _still_floats(node, arguments, types, found)
    average(node, arguments[0], types[0], found)


def _median(
    node: exp.Anonymous, arguments: list[exp.Expr], types: list[pa.DataType], found: Resolution
) -> None:
    middle(node, arguments[0], types[0], found)


_MOST_REPEATED: Final = 1_000

_REWRITES: Final[
    Mapping[str, Callable[[exp.Anonymous, list[exp.Expr], list[pa.DataType], Resolution], None]]
] = {
    **dict.fromkeys(("to_char", "to_date", "to_timestamp"), _pattern_call),
    **dict.fromkeys(("trunc", "ceil", "floor"), _whole),
    **dict.fromkeys(("array_length", "array_position"), _as_integer),
    **dict.fromkeys(("row_number", "rank", "dense_rank", "ntile"), _as_integer),
    **dict.fromkeys(("array_min", "array_max"), _extreme),
    **dict.fromkeys(("array_has_all", "array_has_any"), _without_nulls),
    **dict.fromkeys(("bool_and", "bool_or", "bit_and", "bit_or", "string_agg", "any_value"), _still_frame),
    **dict.fromkeys(("stddev_samp", "stddev_pop", "var_samp", "var_pop"), _still_frame),
    "sum": _still_floats,
    "from_unixtime": _as_microseconds,
    "date_part": _part_call,
    "date_trunc": _trunc_call,
    "sign": _sign,
    **dict.fromkeys(("sqrt", "power", "exp", "ln", "log10"), _as_doubles),
    "md5": _as_text,
    **dict.fromkeys(("repeat", "lpad", "rpad"), _repeat),
    "encode": _encode,
    "string_to_array": _string_to_array,
    "get_field": _get_field,
    "regexp_replace": _regexp_replace,
    "avg": _average,
    "median": _median,
}


def _add_days(parts: Sequence[exp.Expr], found: Resolution, typer: Typer) -> None:
    """Sums of a date and an integer: the engine's wrap around."""
    sums = [node for node in parts if isinstance(node, exp.Add | exp.Sub)]
    types = iter(typer.types([side for node in sums for side in (node.left, node.right)], found, quiet=True))
    for node in reversed([(node, next(types), next(types)) for node in sums]):
        operation, left, right = node
        if left is None or right is None or literal_text(operation.right) is not None:
            continue  # no literal reaches so far
        if pa.types.is_date(left) and pa.types.is_integer(right):
            sign = "+" if isinstance(operation, exp.Add) else "-"
            days = "CAST(arrow_cast({0}, 'Int32') AS BIGINT)"
            number = f"CAST({days} {sign} CAST(CAST({{1}} AS INT) AS BIGINT) AS INT)"
            put(operation, f"arrow_cast({number}, 'Date32')", [operation.left, operation.right], found)


def _check_intervals(parts: Sequence[exp.Expr], found: Resolution, typer: Typer) -> None:
    """Sums with an interval: the engine forgets the hours that are added to a date."""
    sums = [
        (node, other, term)
        for node in parts
        if isinstance(node, exp.Add | exp.Sub)
        for other, term in ((node.left, bare(node.right)), (node.right, bare(node.left)))
        if isinstance(term, exp.Interval)
    ]
    types = typer.types([other for _, other, _ in sums], found, quiet=True)
    for (node, other, term), data_type in zip(sums, types, strict=True):
        if data_type is None:
            continue
        words = f"{term.text('unit')} {term.this.name if term.this else ''}".upper()
        if pa.types.is_date(data_type) and (any(w in words for w in _BELOW_A_DAY) or ":" in words):
            found.problem(
                Code.TYPE_MISMATCH,
                f"{shown(other)} is a date, which has no hours: write CAST({shown(other)} AS TIMESTAMP).",
                node,
            )
        elif kind(data_type) is Kind.TEXT:
            found.problem(
                Code.TYPE_MISMATCH,
                f"{shown(other)} is text, not a date: write CAST({shown(other)} AS DATE).",
                node,
            )
