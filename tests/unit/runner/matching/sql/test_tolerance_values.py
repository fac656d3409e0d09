"""tolerance_match against Python's Decimal, run by the real engine on rows in memory."""

from __future__ import annotations

import math
from decimal import Context, Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql.tolerance import INEXACT_FLOAT, NEGATIVE_THRESHOLD, Operand, native

EXACT = Context(prec=400)
Value = int | float | Decimal | None


def exact(value: float | Decimal) -> Decimal:
    """A float's shortest decimal form, any other number itself."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def expected(a: Value, b: Value, threshold: Value) -> bool:
    if a is None or b is None or threshold is None:
        return False
    if any(isinstance(v, float) and not math.isfinite(v) for v in (a, b)):
        return False
    # copy_abs: abs() would round to the digits of the default context.
    distance = EXACT.subtract(exact(a), exact(b)).copy_abs()
    return distance <= exact(threshold)


def literal_type(text: str) -> pa.DataType:
    scale = len(text.partition(".")[2])
    return (
        pa.decimal128(max(len(text.replace(".", "").lstrip("0")), scale, 1), scale) if scale else pa.int64()
    )


def run(
    a: list[Value], b: list[Value], types: tuple[pa.DataType, pa.DataType], threshold: str
) -> list[bool | None]:
    """Evaluate tolerance_match(a, b, threshold) row by row; the threshold is a literal."""
    session = new_session()
    batch = pa.record_batch({"a": pa.array(a, types[0]), "b": pa.array(b, types[1])})
    session.register_record_batches("t", [[batch]])
    t = Operand(threshold, literal_type(threshold), Decimal(threshold))
    sql = native(Operand('"a"', types[0]), Operand('"b"', types[1]), t)
    assert sql is not None
    return session.sql(f"SELECT ({sql}) AS x FROM t").to_arrow_table()["x"].to_pylist()


def hold(a: list[Value], b: list[Value], types: tuple[pa.DataType, pa.DataType], threshold: str) -> None:
    got = [bool(x) for x in run(a, b, types, threshold)]
    assert got == [expected(x, y, Decimal(threshold)) for x, y in zip(a, b, strict=True)]


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    top = 10**precision - 1
    return st.integers(-top, top).map(lambda n: Decimal(n).scaleb(-scale, EXACT))


I64 = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), 2**63 - 1, 0, -1, 1, 2**62]))
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Value]]] = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), I64),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "decimal(12,2)": (pa.decimal128(12, 2), decimals(12, 2)),
    "decimal(18,6)": (pa.decimal128(18, 6), decimals(18, 6)),
    "decimal(38,0)": (pa.decimal128(38, 0), decimals(38, 0)),
    "decimal(38,2)": (pa.decimal128(38, 2), decimals(38, 2)),
    "decimal(38,38)": (pa.decimal128(38, 38), decimals(38, 38)),
    "decimal(76,10)": (pa.decimal256(76, 10), decimals(76, 10)),
    "float": (pa.float64(), st.floats(allow_nan=True, allow_infinity=True)),
    "money float": (pa.float64(), st.integers(-(10**9), 10**9).map(lambda n: n / 100)),
}
PAIRS = [
    ("int8", "int8"),
    ("int32", "int64"),
    ("int64", "int64"),
    ("int64", "uint64"),
    ("int64", "decimal(12,2)"),
    ("decimal(12,2)", "decimal(12,2)"),
    ("decimal(12,2)", "decimal(18,6)"),
    ("decimal(38,0)", "decimal(38,0)"),
    ("decimal(38,2)", "decimal(38,2)"),
    ("decimal(38,0)", "decimal(38,38)"),
    ("decimal(38,2)", "int64"),
    ("decimal(76,10)", "decimal(76,10)"),
    ("decimal(76,10)", "int64"),
    ("money float", "money float"),
    ("money float", "decimal(12,2)"),
    ("money float", "int64"),
]
THRESHOLDS = ["0", "0.01", "0.02", "1", "0.005", "2.50", "9223372036854775807", "100000000000000000000"]


@pytest.mark.parametrize(("one", "two"), PAIRS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_tolerance_match_is_exact_for_every_pair_of_types(data: st.DataObject, one: str, two: str) -> None:
    a_type, a_values = KINDS[one]
    b_type, b_values = KINDS[two]
    threshold = data.draw(st.sampled_from(THRESHOLDS))
    a = data.draw(st.lists(st.none() | a_values, min_size=1, max_size=8))
    b: list[Value] = []
    for value in a:
        near = _neighbours(value, threshold, b_type)
        b.append(data.draw(st.one_of(b_values, st.sampled_from(near)) if near else b_values))
    hold(a, b, (a_type, b_type), threshold)


def _neighbours(value: Value, threshold: str, b_type: pa.DataType) -> list[Value]:
    """Values of the other type that lie at the threshold, or one step to either side of it."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return []
    found: list[Value] = []
    for step in ("0", "0.01", "-0.01", "1", "-1"):
        for sign in (1, -1):
            target = EXACT.add(exact(value), sign * EXACT.add(Decimal(threshold), Decimal(step)))
            candidate: Value = float(target) if pa.types.is_floating(b_type) else target
            if pa.types.is_integer(b_type):
                candidate = int(target)
            try:
                fitted = pa.array([candidate], b_type)[0].as_py()
            except (pa.ArrowInvalid, OverflowError, ValueError):
                continue
            if fitted == candidate:
                found.append(candidate)
    return found


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-15, 1e30), st.integers(-3, 3), st.sampled_from(THRESHOLDS))
def test_floats_stand_for_their_shortest_decimal_form(value: float, steps: int, threshold: str) -> None:
    other = float(exact(value) + Decimal(threshold))
    for _ in range(abs(steps)):
        other = math.nextafter(other, math.inf if steps > 0 else -math.inf)
    hold([value, other, -value], [other, value, -other], (pa.float64(), pa.float64()), threshold)


def test_trap_01_one_cent_apart_is_a_match_at_one_cent() -> None:
    for types in ((pa.float64(), pa.float64()), (pa.decimal128(38, 2), pa.decimal128(38, 2))):
        a: list[Value] = [Decimal("100.00"), Decimal("999999999999999999999999999999999999.01")]
        b: list[Value] = [Decimal("100.01"), Decimal("999999999999999999999999999999999999.02")]
        if pa.types.is_floating(types[0]):
            a, b = [100.00], [100.01]
        assert run(a, b, types, "0.01") == [True] * len(a)
        assert run(a, b, types, "0.00") == [False] * len(a)


def test_trap_01_every_pair_at_exactly_the_threshold_is_found() -> None:
    a: list[Value] = [n / 100 for n in range(20_000)]
    b: list[Value] = [(n + 2) / 100 for n in range(20_000)]
    assert all(run(a, b, (pa.float64(), pa.float64()), "0.02"))
    assert not any(run(a, b, (pa.float64(), pa.float64()), "0.0199999"))


def test_float32_is_taken_at_its_own_shortest_form() -> None:
    assert run([0.1], [Decimal("0.10")], (pa.float32(), pa.decimal128(5, 2)), "0") == [True]
    assert run([0.1], [Decimal("0.11")], (pa.float32(), pa.decimal128(5, 2)), "0.01") == [True]
    assert run([0.1], [0.1], (pa.float32(), pa.float64()), "0") == [True]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, None])
def test_no_number_is_no_match(odd: float | None) -> None:
    for a, b in ((odd, odd), (odd, 1.0), (1.0, odd)):
        assert [bool(x) for x in run([a], [b], (pa.float64(), pa.float64()), "5")] == [False]


def test_huge_and_tiny_floats_are_decided_where_they_can_be() -> None:
    pairs = [(1e300, 1.0), (1e308, -1e308), (5e-324, 0.0), (1e22, 1e22), (-1e-7, 1e-7), (1e16, 1e16 + 2)]
    hold([p[0] for p in pairs], [p[1] for p in pairs], (pa.float64(), pa.float64()), "0.01")


def test_a_float_beyond_exact_reach_is_an_error_that_says_so() -> None:
    with pytest.raises(Exception, match=INEXACT_FLOAT):
        run([1e300], [1e300], (pa.float64(), pa.float64()), "0.01")


@pytest.mark.parametrize("data_type", [pa.decimal128(5, 2), pa.int64(), pa.float64()])
def test_a_threshold_that_turns_negative_while_running_is_an_error(data_type: pa.DataType) -> None:
    session = new_session()
    values = pa.array([1, -1], pa.float64()).cast(data_type)
    batch = pa.record_batch({"a": pa.array([1, 1]), "t": values})
    session.register_record_batches("t", [[batch]])
    sql = native(Operand('"a"', pa.int64()), Operand('"a"', pa.int64()), Operand('"t"', data_type))
    with pytest.raises(Exception, match=NEGATIVE_THRESHOLD):
        session.sql(f"SELECT count(*) FROM t WHERE {sql}").to_arrow_table()
    joined = (sql or "").replace('"a"', 't."a"').replace('"t"', 't."t"')
    with pytest.raises(Exception, match=NEGATIVE_THRESHOLD):
        session.sql(f"SELECT count(*) FROM t JOIN t AS u ON t.a = u.a AND {joined}").to_arrow_table()


def test_a_threshold_column_is_exact() -> None:
    session = new_session()
    money = pa.decimal128(38, 2)
    batch = pa.record_batch(
        {
            "a": pa.array([Decimal("1.00"), Decimal(10**35), None], money),
            "b": pa.array([Decimal("1.02"), Decimal(-(10**35)), Decimal(1)], money),
            "t": pa.array([Decimal("0.02"), Decimal(10**35), Decimal(1)], money),
        }
    )
    session.register_record_batches("t", [[batch]])
    sql = native(Operand('"a"', money), Operand('"b"', money), Operand('"t"', money))
    got = session.sql(f"SELECT {sql} AS x FROM t").to_arrow_table()["x"].to_pylist()
    assert got == [True, False, None]
