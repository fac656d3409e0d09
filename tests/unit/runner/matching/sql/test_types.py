"""No comparison converts silently between kinds of values; exact numbers meet exactly."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError

from tests.unit.runner.matching.sql.tables import plan, refused, run

HEAD = "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON "
LIST = "SELECT l.invoice_id, r.payment_id, {} AS x FROM invoices l JOIN payments r ON l.id = r.id"


@pytest.mark.parametrize(
    ("condition", "advice"),
    [
        ("l.invoice_id = r.id", "write CAST(r.id AS TEXT), or CAST(l.invoice_id AS BIGINT)"),
        ("l.id = r.reference", "write CAST(l.id AS TEXT), or CAST(r.reference AS BIGINT)"),
        ("l.amount = r.reference", "CAST(r.reference AS DECIMAL(12,2))"),
        ("l.ratio < r.reference", "CAST(r.reference AS DOUBLE)"),
        ("l.id = '007'", "write CAST(l.id AS TEXT)"),
        ("l.id = '7'", "write 7 without quotes"),
        ("l.id <> '7'", "7 without quotes"),
        ("l.id IS DISTINCT FROM '7'", "7 without quotes"),
        ("l.id IS NOT DISTINCT FROM r.reference", "CAST(l.id AS TEXT)"),
        ("l.id BETWEEN '1' AND '5'", "1 without quotes"),
        ("l.id IN (1, '2')", "2 without quotes"),
        ("l.id IN (SELECT reference FROM payments)", "CAST(l.id AS TEXT)"),
        ("l.id = (SELECT max(reference) FROM payments)", "CAST(l.id AS TEXT)"),
        ("l.id = ANY (SELECT reference FROM payments)", "CAST(l.id AS TEXT)"),
        ("(l.id, l.due) = (r.reference, r.due)", "CAST(l.id AS TEXT)"),
        ("(l.id, l.due) IN ((1, '2024-01-01'))", "DATE '2024-01-01'"),
        ("l.due = '2024-01-01'", "write DATE '2024-01-01'"),
        ("l.due >= r.reference", "CAST(r.reference AS DATE)"),
        ("l.due BETWEEN '2024-01-01' AND DATE '2024-02-01'", "DATE '2024-01-01'"),
        ("l.seen > '2024-01-01 10:00:00'", "TIMESTAMP '2024-01-01 10:00:00'"),
        ("l.zoned > '2024-01-01T10:00:00Z'", "AS TIMESTAMP WITH TIME ZONE"),
        ("l.due = l.zoned", "CAST(l.zoned AS DATE), which takes the day in UTC"),
        ("l.seen = l.zoned", "l.seen AT TIME ZONE 'UTC'"),
        ("l.paid = 1", "CAST(l.paid AS INT)"),
        ("l.paid = 'true'", "CAST('true' AS BOOLEAN)"),
        ("l.due = 20240101", "CAST(20240101 AS TEXT)"),
        ("l.id LIKE '1%'", "write CAST(l.id AS TEXT)"),
        ("l.due ILIKE '2024%'", "write CAST(l.due AS TEXT)"),
        ("CASE l.id WHEN '1' THEN true ELSE false END", "1 without quotes"),
        ("nullif(l.id, '1') IS NULL", "1 without quotes"),
        ("coalesce(l.id, r.reference) IS NULL", "CAST(l.id AS TEXT)"),
        ("greatest(l.due, '2024-01-01') IS NULL", "DATE '2024-01-01'"),
        ("CASE WHEN l.paid THEN l.id ELSE r.reference END IS NULL", "CAST(l.id AS TEXT)"),
        ("r.reference - l.id > 1", "CAST"),
        ("l.ratio = l.amount * 1.000000000001", "tolerance_match"),
        ("l.ratio <> r.id", "write tolerance_match(l.ratio, r.id, 0)"),
        ("NOT (l.ratio = r.id)", "write tolerance_match(l.ratio, r.id, 0)"),
        ("l.ratio = 0.1234567890123456789", "tolerance_match"),
        ("l.ratio = r.ratio32", "tolerance_match(l.ratio, r.ratio32, 0)"),
        ("r.ratio32 = 0.1", "tolerance_match"),
        ("tolerance_match(l.amount, r.reference, 1)", "CAST(r.reference AS DECIMAL(18,2))"),
        ("tolerance_match(l.due, r.due, 1)", "BETWEEN other - INTERVAL '3' DAY"),
        ("tolerance_match(l.id, r.id, '1')", "CAST('1' AS DECIMAL(18,2))"),
        ("l.tags = make_array(1)", "lists are compared only if they are of one type"),
    ],
)
def test_trap_21_a_silent_conversion_is_refused_with_what_to_write(condition: str, advice: str) -> None:
    error = refused(HEAD + condition)
    assert error.code is Code.TYPE_MISMATCH, error.message
    assert advice in error.message
    assert int(error.details["column"]) > len("SELECT l.invoice_id, r.payment_id")


def test_trap_21_using_and_unions_are_held_to_types_too() -> None:
    using = refused(
        "SELECT * FROM invoices i JOIN (SELECT reference AS id, payment_id FROM payments) p USING (id)"
    )
    assert using.code is Code.TYPE_MISMATCH
    union = refused(
        "SELECT invoice_id, id FROM invoices UNION ALL SELECT payment_id, reference FROM payments"
    )
    assert union.code is Code.TYPE_MISMATCH
    assert "UNION puts integer and text into one column id" in union.message


@pytest.mark.parametrize(
    "condition",
    [
        "l.invoice_id = r.reference AND l.due = r.due AND l.id = r.small",
        "l.due = DATE '2024-01-01' AND l.seen >= TIMESTAMP '2024-01-01 00:00:00'",
        "l.due <= l.seen",
        "l.id = 1.5 AND l.amount = 1 AND l.amount = r.amount AND l.id = r.amount",
        "l.amount * 1.1 > r.amount - 5",
        "l.ratio = 0.1 AND l.ratio > 3 AND l.ratio = r.ratio AND l.ratio = r.small AND l.ratio < r.amount",
        "l.wide = r.fine AND l.wide IN (r.fine, 1) AND l.wide BETWEEN r.fine AND 5",
        "l.id = NULL OR l.paid = true OR l.paid IS NOT TRUE",
        "CAST(l.id AS TEXT) = r.reference",
        "coalesce(l.amount, 0) = r.amount",
        "l.due - INTERVAL '3' DAY < r.due",
        "l.tags = make_array('a', 'b')",
        "array_has(l.tags, r.reference)",
        "l.id = (SELECT max(id) FROM payments) AND l.id IN (SELECT id FROM payments)",
    ],
)
def test_what_is_compared_exactly_is_accepted(condition: str) -> None:
    plan(HEAD + condition, allow_quadratic=True)


def sides(
    l_value: object, l_type: pa.DataType, r_value: object, r_type: pa.DataType
) -> tuple[pa.Table, pa.Table]:
    left = pa.table({"id": [1], "x": pa.array([l_value], l_type)})
    return left, pa.table({"id": [1], "y": pa.array([r_value], r_type)})


@pytest.mark.parametrize(
    ("one", "l_type", "two", "r_type", "equal"),
    [
        (10**38 - 1, pa.decimal128(38, 0), Decimal("1.5"), pa.decimal128(38, 10), False),
        (10**27, pa.decimal128(38, 0), Decimal(10**27), pa.decimal128(38, 10), True),
        (2**63 - 1, pa.int64(), Decimal(2**63 - 1), pa.decimal128(38, 18), True),
        (2**63 - 1, pa.int64(), 2**63 - 1, pa.uint64(), True),
        (-1, pa.int64(), 2**64 - 1, pa.uint64(), False),
        (0.1, pa.float64(), Decimal("0.10"), pa.decimal128(15, 2), True),
        (0.1000000000000001, pa.float64(), Decimal("0.10"), pa.decimal128(15, 2), False),
        (1e300, pa.float64(), Decimal("0.10"), pa.decimal128(15, 2), False),
        (9999999999999.99, pa.float64(), Decimal("9999999999999.99"), pa.decimal128(15, 2), True),
    ],
)
def test_numbers_of_different_types_meet_exactly(
    one: object, l_type: pa.DataType, two: object, r_type: pa.DataType, equal: bool
) -> None:
    for condition, wanted in (
        ("l.x = r.y", equal),
        ("l.x <> r.y", not equal),
        ("l.x IN (r.y)", equal),
        ("l.x BETWEEN r.y AND r.y", equal),
    ):
        _, rows = run(f"SELECT l.id FROM l JOIN r ON {condition}", *sides(one, l_type, two, r_type))
        assert bool(rows) is wanted, condition


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        (5.0, 5, True),
        (5.5, 5, False),
        (-0.0, 0, True),
        (2.0**53, 2**53, True),
        (2.0**53, 2**53 + 1, False),
        (None, 5, False),
        (float("nan"), 5, False),
        (float("inf"), 2**63 - 1, False),
    ],
)
@pytest.mark.parametrize(
    "condition", ["l.x = r.y", "r.y = l.x AND l.id = r.id", "l.id = r.id AND (l.x = r.y)"]
)
def test_a_float_equals_an_integer_exactly_or_not_at_all(
    one: float | None, two: int, equal: bool, condition: str
) -> None:
    tables = sides(one, pa.float64(), two, pa.int64())
    _, rows = run(f"SELECT l.id FROM l JOIN r ON {condition}", *tables)
    assert bool(rows) is equal
    _, rows = run(f"SELECT l.id FROM l JOIN r ON l.id = r.id WHERE {condition}", *tables)
    assert bool(rows) is equal


@pytest.mark.parametrize("literal", ["0.100000000000001", "1e300", "0.1"])
def test_a_float_meets_a_literal_at_its_shortest_form(literal: str) -> None:
    if literal == "1e300":
        error = refused(f"{HEAD} l.ratio = {literal}")
        assert "76 digits" in error.message
        return
    _, rows = run(
        f"SELECT l.id FROM l JOIN r ON l.id = r.id AND l.x = {literal}",
        *sides(0.1, pa.float64(), 1, pa.int64()),
    )
    assert bool(rows) is (literal == "0.1")


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("0.1", Decimal("0.1")),
        ("1e5", 100000),
        ("1.5E3", 1500),
        ("25e-4", Decimal("0.0025")),
        ("12345678901234567890123456789012345678.9", Decimal("12345678901234567890123456789012345678.9")),
        ("0.00000000000000000000000000000000000000000001", Decimal("1E-44")),
        ("99999999999999999999", Decimal(99999999999999999999)),
        ("-0.10", Decimal("-0.10")),
    ],
)
def test_trap_01_numeric_literals_are_exact(literal: str, value: object) -> None:
    _, rows = run(f"SELECT {literal} AS v FROM l JOIN r ON l.id = r.id", *sides(1, pa.int64(), 1, pa.int64()))
    assert rows[0]["v"] == value


@pytest.mark.parametrize(
    ("expression", "data_type", "value", "expected"),
    [
        ("l.x * l.x", pa.int16(), 200, 40_000),
        ("l.x + l.x + 1", pa.int8(), 127, 255),
        ("l.x * 3 - l.x", pa.int32(), 2**31 - 1, 2 * (2**31 - 1)),
        ("-1 - l.x", pa.int64(), -(2**63), 2**63 - 1),
        ("l.x * 2", pa.int64(), 2**62 - 1, 2**63 - 2),
        ("l.x + 1", pa.uint64(), 2**64 - 1, Decimal(2**64)),
        ("abs(l.x - 1)", pa.int64(), -5, 6),
    ],
)
def test_integer_arithmetic_is_exact(
    expression: str, data_type: pa.DataType, value: int, expected: object
) -> None:
    tables = sides(value, data_type, 1, pa.int64())
    _, rows = run(f"SELECT {expression} AS v FROM l JOIN r ON l.id = r.id", *tables)
    assert rows[0]["v"] == expected
    _, rows = run(
        f"SELECT m.v FROM (SELECT id, {expression} AS v FROM l) m JOIN r ON m.id = r.id",
        *tables,
    )
    assert rows[0]["v"] == expected


def test_a_remainder_of_one_is_the_part_after_the_point() -> None:
    money = pa.schema([pa.field("id", pa.int64()), pa.field("x", pa.decimal128(5, 2), nullable=False)])
    left = pa.table({"id": [1], "x": [Decimal("2.50")]}, schema=money)
    right = pa.table({"id": [1]})
    _, rows = run(
        "SELECT l.x % 1 AS a, l.x % 1.0 AS b, l.id % 1 AS c FROM l JOIN r ON l.id = r.id", left, right
    )
    assert rows[0]["a"] == rows[0]["b"] == Decimal("0.50")
    assert rows[0]["c"] == 0


@pytest.mark.parametrize(
    ("value", "data_type", "expression", "expected"),
    [
        (-(2**15), pa.int16(), "-l.x", 2**15),
        (2**62, pa.int64(), "sum(l.x) OVER ()", 2**62),
        (2**31 - 1, pa.int32(), "sum(-l.x) FILTER (WHERE l.x > 0) OVER (PARTITION BY r.id)", 1 - 2**31),
    ],
)
def test_signs_and_sums_of_integers_are_exact(
    value: int, data_type: pa.DataType, expression: str, expected: int
) -> None:
    tables = sides(value, data_type, 1, pa.int64())
    _, rows = run(f"SELECT {expression} AS v FROM l JOIN r ON l.id = r.id", *tables)
    assert rows[0]["v"] == expected


@pytest.mark.parametrize(
    "query",
    [
        "SELECT l.id, r.id, -l.x AS v FROM l JOIN r ON true",
        "SELECT min(l.id) AS a, min(r.id) AS b, sum(l.x) AS v FROM l JOIN r ON true GROUP BY r.id",
        "SELECT min(l.id) AS a, min(r.id) AS b, sum(DISTINCT l.x + l.id - l.id) AS v FROM l JOIN r ON true",
        "SELECT l.id, r.id, sum(l.x) OVER () AS v FROM l JOIN r ON true",
    ],
)
def test_signs_and_sums_that_do_not_fit_are_an_error_and_never_wrap(query: str) -> None:
    left = pa.table({"id": [1, 2], "x": pa.array([-(2**63), -(2**63) + 1])})
    with pytest.raises(Exception, match=r"out of range|verflow|cannot be planned"):
        run(query, left, pa.table({"id": [1]}))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("sum(l.x)", None),
        ("sum(l.x) OVER ()", None),
        ("sum(DISTINCT l.x)", Decimal("0.6")),
        ("sum(l.x) FILTER (WHERE l.id < 2)", Decimal("0.6")),
        ("sum(l.x) FILTER (WHERE l.id < 2) OVER ()", Decimal("0.6")),
        ("avg(l.x)", Decimal("0.45")),
        ("avg(l.x) OVER ()", Decimal("0.45")),
    ],
)
def test_sums_of_long_decimals_are_exact_or_an_error_and_never_wrap(
    call: str, expected: Decimal | None
) -> None:
    values = [Decimal("0.6"), Decimal(0), Decimal("0.6"), Decimal("0.6")]
    left = pa.table({"id": [1, 2, 3, 4], "x": pa.array(values, pa.decimal128(38, 38))})
    keys, group = ("l.id, r.id", "") if "OVER" in call else ("array_agg(l.id) AS a, r.id", "GROUP BY r.id")
    query = f"SELECT {keys}, {call} AS v FROM l JOIN r ON true {group}"
    if expected is not None:
        assert {row["v"] for row in run(query, left, pa.table({"id": [1]}))[1]} == {expected}
        return
    with pytest.raises(Exception, match="verflow"):
        run(query, left, pa.table({"id": [1]}))


@pytest.mark.parametrize(
    "expression",
    [
        "CASE WHEN l.id = 0 THEN r.y ELSE l.x END",
        "CASE WHEN l.id <> 0 THEN l.x ELSE r.y END",
        "CASE WHEN l.id = 0 THEN NULL WHEN l.id = 1 THEN CASE WHEN true THEN l.x ELSE r.y END ELSE 0.001 END",
    ],
)
def test_case_holds_every_result_exactly(expression: str) -> None:
    tables = sides(2**63 - 1, pa.int64(), Decimal("1.50"), pa.decimal128(5, 2))
    _, rows = run(f"SELECT {expression} AS v FROM l JOIN r ON l.id = r.id", *tables)
    assert rows[0]["v"] == 2**63 - 1


def test_case_keeps_the_type_of_its_results_beside_a_literal_that_fits() -> None:
    made = plan(
        "SELECT CASE WHEN l.paid THEN l.amount ELSE 0 END AS v FROM invoices l JOIN payments r USING (id)"
    )
    assert 'THEN "l"."amount" ELSE CAST(0 AS DECIMAL(12, 2))' in made.sql.replace('"Amount"', '"amount"')


MOMENT = pa.timestamp("us")
FOR_EVER, LONG_AGO = 253_402_214_400_000_000, -30_610_224_000_000_000
"""9999-12-31 and 1000-01-01 in microseconds."""


@pytest.mark.parametrize(
    ("condition", "matched"),
    [
        ("l.x = TIMESTAMP '9999-12-31 00:00:00'", True),
        ("coalesce(l.x, TIMESTAMP '2024-01-01 00:00:00') > r.y", True),
        ("l.x >= '9999-12-31'::timestamp", True),
        ("l.x = CAST(DATE '9999-12-31' AS TIMESTAMP)", True),
        ("CAST(CAST(r.y AS DATE) AS TIMESTAMP) = r.y", True),
        ("r.y > TIMESTAMP '9999-12-31 00:00:00.000001'", False),
        ("r.y < TIMESTAMP '2024-01-01 00:00:00.123456'", True),
    ],
)
def test_moments_of_all_years_can_be_written_and_compared(condition: str, matched: bool) -> None:
    _, rows = run(
        f"SELECT l.id FROM l JOIN r ON l.id = r.id AND {condition}",
        *sides(FOR_EVER, MOMENT, LONG_AGO, MOMENT),
    )
    assert bool(rows) is matched


def test_a_literal_moment_keeps_its_nanoseconds() -> None:
    tables = sides(1_704_067_200_000_000_000, pa.timestamp("ns"), 1, pa.int64())
    moment = "TIMESTAMP '2024-01-01 00:00:00.000000001'"
    assert run(f"SELECT l.id FROM l JOIN r ON l.id = r.id AND l.x < {moment}", *tables)[1]


def test_a_sum_that_no_type_may_hold_is_refused_with_the_cast_to_write() -> None:
    left = pa.table({"id": [1], "x": pa.array([Decimal(1)], pa.decimal256(76, 2))})
    with pytest.raises(KallaError, match=r"CAST\(\.\.\. AS DECIMAL\(66,2\)\)"):
        run("SELECT l.id, r.id, sum(l.x) OVER () AS v FROM l JOIN r ON true", left, pa.table({"id": [1]}))


@pytest.mark.parametrize("expression", ["l.x + 1", "l.x * 2", "-2 - l.x - l.x", "9223372036854775807 + 1"])
def test_integer_arithmetic_that_does_not_fit_is_an_error_and_never_wraps(expression: str) -> None:
    with pytest.raises(Exception, match=r"out of range|cannot be planned"):
        run(
            f"SELECT {expression} AS v FROM l JOIN r ON l.id = r.id",
            *sides(2**63 - 1, pa.int64(), 1, pa.int64()),
        )


def test_trap_22_a_zoned_timestamp_is_a_day_in_utc_only_where_the_query_says_so() -> None:
    late = pa.array([23 * 3_600_000_000 + 1], pa.timestamp("us", tz="UTC"))
    left = pa.table({"id": [1], "at": late})
    right = pa.table({"id": [1], "day": pa.array([0], pa.date32())})
    _, rows = run("SELECT l.id FROM l JOIN r ON CAST(l.at AS DATE) = r.day", left, right)
    assert len(rows) == 1


def test_dates_meet_timestamps_beyond_the_year_2262() -> None:
    day = 2_932_896
    left = pa.table({"id": [1], "day": pa.array([day], pa.date32())})
    right = pa.table({"id": [1], "at": pa.array([day * 86_400 * 10**6], pa.timestamp("us"))})
    _, rows = run("SELECT l.id FROM l JOIN r ON l.day = r.at", left, right)
    assert len(rows) == 1


@pytest.mark.parametrize("threshold", ["-1", "-0.01", "(-5)"])
def test_a_negative_threshold_is_refused(threshold: str) -> None:
    error = refused(HEAD + f"tolerance_match(l.amount, r.amount, {threshold})")
    assert error.code is Code.INVALID_SQL
    assert "negative" in error.message


def test_tolerance_match_takes_three_arguments() -> None:
    assert refused(HEAD + "tolerance_match(l.amount, r.amount)").code is Code.INVALID_SQL
    text = LIST.format("tolerance_match(l.invoice_id, r.amount, 1)")
    assert refused(text).code is Code.TYPE_MISMATCH


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("SELECT l.id, tolerance_match(l.x, r.y, 0.01) AS ok FROM l JOIN r ON l.id = r.id", [True]),
        (
            "SELECT CASE WHEN tolerance_match(l.x, r.y, 0) THEN 1 ELSE 0 END AS ok FROM l, r WHERE r.id = 1",
            [0],
        ),
        ("SELECT NOT Tolerance_Match(l.x, r.y, 0.01) AS ok FROM l JOIN r ON l.id = r.id", [False]),
        (
            "SELECT 1 AS ok FROM l JOIN r ON l.id = r.id WHERE l.id = 5 OR tolerance_match(l.x, r.y, 0.01)",
            [1],
        ),
        ("SELECT tolerance_match(NULL, r.y, 1) AS ok FROM l JOIN r ON l.id = r.id", [None]),
        (
            (
                "SELECT 1 AS ok FROM l JOIN r ON l.id = r.id "
                "AND EXISTS (SELECT 1 FROM r q WHERE tolerance_match(l.x, q.y, 0.01))"
            ),
            [1],
        ),
        (
            (
                "SELECT tolerance_match(l.x, r.y, CASE WHEN l.id = 1 THEN 0.01 ELSE 0 END) AS ok "
                "FROM l JOIN r ON l.id = r.id"
            ),
            [True],
        ),
    ],
)
def test_tolerance_match_stands_wherever_a_condition_does(place: str, expected: list[object]) -> None:
    money = pa.decimal128(12, 2)
    _, rows = run(place, *sides(Decimal("100.00"), money, Decimal("100.01"), money))
    assert [row["ok"] for row in rows] == expected
