"""ROUND as casts, which are exact and of a type that is known when the query is planned.

The engine takes `ROUND(x, 2)` of a decimal for the scale of x while it makes the types of operands agree,
and returns two digits. A cast rounds the same values, half away from zero, as SQL does.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from sqlglot import exp

from kalla_runner.matching.sql.dialect import literal_text, wrap
from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import MAX_128, MAX_256, Typer, digits

_ROUND: Final = "round"
_INTEGER_DIGITS: Final = 20


def make_rounding_exact(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Rewrite ROUND of exact numbers in one SELECT, in place.

    Rounding a decimal to n places gives DECIMAL(p, n), wide enough for the carry; one that has no more
    places stays as it is. Integers stay integers.
    The catalogue has seen to it that n is a literal; floats are left to the engine.
    """
    calls = [n for n in own_parts(scope) if isinstance(n, exp.Anonymous) and n.name.lower() == _ROUND]
    calls = [call for call in calls if len(call.expressions) in (1, 2)]
    types = typer.types([call.expressions[0] for call in calls], found, quiet=True)
    for call, data_type in reversed(list(zip(calls, types, strict=True))):
        places = _places(call)
        if data_type is None or places is None or pa.types.is_null(data_type):
            continue
        exact = digits(data_type)
        if exact is not None:
            _rewrite(call, exact, data_type, places)


def _places(call: exp.Anonymous) -> int | None:
    if len(call.expressions) == 1:
        return 0
    text = literal_text(call.expressions[1])
    if text is not None and text.lstrip("-").isdigit() and len(text) <= 4:  # noqa: PLR2004
        return int(text)
    return None


def _rewrite(call: exp.Anonymous, exact: tuple[int, int], data_type: pa.DataType, places: int) -> None:
    whole, scale = exact
    value: exp.Expr = call.expressions[0]
    if places >= scale:
        # It has no more places than are asked for.
        call.replace(exp.Paren(this=value))
        return
    call.replace(value)
    if pa.types.is_integer(data_type):
        whole = _INTEGER_DIGITS
        value = wrap(value, f"CAST({{}} AS {_decimal(whole, 0)})")
    if places >= 0:
        wrap(value, f"CAST({{}} AS {_decimal(whole + 1, places)})")
        return
    # Tens, hundreds, ...: the point is moved, which is exact, and moved back. Beyond the digits, all is 0.
    moved = min(-places, whole + 1, MAX_256 - scale)
    room = whole + scale + moved + 2
    tenth, tens = f"0.{'1'.zfill(moved)}", f"1{'0' * moved}.0"
    wide = max(whole + scale, 1) if room <= MAX_128 else max(whole + scale, MAX_128 + 1)
    value = wrap(value, f"CAST({{}} AS DECIMAL({min(wide, MAX_256)},{scale})) * {tenth}")
    value = wrap(value, f"CAST({{}} AS {_decimal(max(whole + 1, 1), 0)}) * {tens}")
    value = wrap(value, f"CAST({{}} AS {_decimal(whole + 1, 0)})")
    if pa.types.is_integer(data_type):
        wrap(value, f"CAST({{}} AS {'BIGINT UNSIGNED' if pa.types.is_uint64(data_type) else 'BIGINT'})")


def _decimal(whole: int, scale: int) -> str:
    return f"DECIMAL({min(max(whole + scale, 1), MAX_256)},{scale})"
