"""The work of a check grows with the text: counted in questions and nodes, not in seconds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from unittest.mock import patch

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.matching import check
from kalla_runner.matching.panics import panics_as_errors
from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql import deadline, types
from kalla_runner.matching.sql.types import Typer

from tests.unit.runner.matching.sql.tables import plan, refused

FROM = "FROM invoices l JOIN payments r ON l.id = r.id"


def chain(operator: str, term: str, ending: str = "") -> Callable[[int], str]:
    return lambda n: (
        f"SELECT l.id AS i, r.id AS j {FROM} AND (" + f" {operator} ".join([term] * n) + f"){ending}"
    )


CHAINS = {
    "integers": chain("+", "l.id", " > 1"),
    "literals": chain("+", "1", " > 1"),
    "products": chain("*", "1", " > l.id"),
    "decimals": chain("-", "l.amount", " > 1"),
    "mixed": chain("+", "l.id - r.small", " > 1"),
    "texts": chain("||", "l.invoice_id", " = 'a'"),
    "and": chain("AND", "l.paid"),
    "or": chain("OR", "l.paid"),
    "comparisons": chain("AND", "l.id + 1 > r.id"),
    "distinct": chain("AND", "l.id IS NOT DISTINCT FROM r.id"),
    "cases": chain("+", "CASE WHEN l.id = r.id THEN 1 ELSE 0 END", " > 1"),
    "rounds": chain("AND", "ROUND(l.amount * 1.19, 2) = r.amount"),
    "tolerances": chain("OR", "tolerance_match(l.amount, r.amount, 0.5)"),
}


def work(sql: str) -> tuple[int, int, int]:
    """Questions to the engine, nodes looked at, and characters of the query that runs."""
    typers: list[Typer] = []

    class Counted(Typer):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # pyright: ignore[reportArgumentType]
            typers.append(self)

    with patch.object(check, "Typer", Counted), patch.object(types, "_ANSWERED", {}):
        made = plan(sql, allow_quadratic=True)
    return sum(t.questions for t in typers), sum(t.nodes for t in typers), len(made.sql)


@pytest.mark.parametrize("name", CHAINS)
def test_twice_the_text_is_at_most_about_twice_the_work(name: str) -> None:
    small, large = work(CHAINS[name](70)), work(CHAINS[name](140))
    assert large[0] <= 60, "an operation on types that were asked about is asked about again"
    assert large[1] <= 2.5 * small[1]
    assert large[2] <= 2.5 * small[2]


def test_calls_within_calls_are_asked_about_once_each() -> None:
    def nested(depth: int) -> str:
        return f"SELECT l.id AS i, r.id AS j {FROM} AND {'abs(1 + ' * depth}l.id{')' * depth} = 1"

    small, large = work(nested(10)), work(nested(20))
    assert large[1] <= 2.5 * small[1]
    assert large[2] <= 2.5 * small[2]


def test_a_source_of_ten_thousand_columns_is_planned_by_the_columns_that_are_used() -> None:
    wide = TableInfo(
        "wide",
        pa.schema([("id", pa.int64()), *((f"c{n}", pa.decimal128(18, 2)) for n in range(10_000))]),
        ("id",),
    )
    made = plan("SELECT l.c9999, r.id FROM wide l JOIN payments r ON l.id = r.id", left=wide)
    assert made.output_columns[0] == "c9999"
    assert "1,500" in refused("SELECT * FROM wide l JOIN payments r ON l.id = r.id", left=wide).message


def test_ctes_that_multiply_are_refused() -> None:
    doubled = ", ".join(
        f"c{n} AS (SELECT a.id FROM c{n - 1} a JOIN c{n - 1} b ON a.id = b.id)" for n in range(1, 40)
    )
    query = f"SELECT l.invoice_id, r.payment_id {FROM} JOIN c39 c ON c.id = l.id"
    sql = f"WITH c0 AS (SELECT id FROM invoices), {doubled} {query}"
    assert "each CTE counted as often as it is used" in refused(sql).message


@pytest.mark.parametrize(
    "text", ["NOT " * 2_000 + "l.paid", "- " * 2_000 + "l.id > 1", " + ".join(["l.id"] * 3_000) + " > 1"]
)
def test_what_is_too_deep_is_refused_in_a_sentence(text: str) -> None:
    error = refused(f"SELECT l.invoice_id, r.payment_id {FROM} AND {text}")
    assert error.code is Code.INVALID_SQL
    assert "shorten its longest expression" in error.message


def test_tolerances_within_tolerances_do_not_multiply() -> None:
    call = "l.ratio"
    for _ in range(6):
        call = f"CASE WHEN tolerance_match({call}, r.ratio, 0.1) THEN l.ratio ELSE r.ratio END"
    assert (
        "WITH"
        in refused(f"SELECT l.invoice_id, r.payment_id {FROM} AND tolerance_match({call}, 1, 1)").message
    )


def test_a_check_that_takes_too_long_is_refused() -> None:
    with deadline.limited_time(0), pytest.raises(KallaError, match="takes longer than 10 seconds to check"):
        deadline.check_time()
    with patch.object(check, "limited_time", lambda: deadline.limited_time(-1)):
        error = refused(f"SELECT l.invoice_id, r.payment_id {FROM}")
    assert error.code is Code.INVALID_SQL
    deadline.check_time()


async def test_a_process_is_ended_where_the_engine_does_not_come_back() -> None:
    program = (
        "from kalla_runner.matching.sql.deadline import killed_in_time\n"
        "with killed_in_time(0.2):\n"
        "    sum(range(10**12))\n"  # one call, which no other thread of Python can interrupt
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await asyncio.wait_for(process.wait(), 30) == -14


def test_a_large_constant_is_refused_before_it_is_computed() -> None:
    error = refused(f"SELECT l.invoice_id, r.payment_id {FROM} AND repeat('x', 1000000000) = 'x'")
    assert "1,000" in error.message


def test_a_panic_of_the_engine_is_an_error_with_a_sentence() -> None:
    session = new_session()
    rows = pa.record_batch({"s": pa.array(["a"]), "n": pa.array([-1], pa.int64())})
    session.register_record_batches("t", [[rows]])
    with (
        pytest.raises(KallaError, match="look for a length or a count"),
        panics_as_errors(Code.INVALID_DATA, "match_sql fails on the data"),
    ):
        session.sql("SELECT lpad(s, n) AS v FROM t").to_arrow_table()
