"""An engine that errs is caught, with both figures and a row; a witness that fails does not disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kalla_common.domain import FilterCondition, FilterOp
from kalla_common.errors import Code, KallaError
from kalla_runner.matching import engine
from kalla_runner.matching import tables as tables_module
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.engine import run_match
from kalla_runner.matching.limits import MIB, Limits
from kalla_runner.matching.witness import witness as witness_module
from kalla_runner.outputs.manifest import read_manifest

from tests.integration.matching.support import Staged, stage
from tests.integration.matching.witnessed import LIMITS, witness_of, witnessed

_SQL = "SELECT l.id, r.pid FROM inv l JOIN pay r ON l.ref = r.ref"


@pytest.fixture
def tables(tmp_path: Path) -> list[Staged]:
    invoices = pa.table({"id": [1, 2, 3, 4], "ref": ["A", "B", "C", "X"]})
    payments = pa.table({"pid": ["p1", "p2", "p3", "p4"], "ref": ["A", "B", "C", "Y"]})
    return [stage(tmp_path, "inv", invoices, ("id",)), stage(tmp_path, "pay", payments, ("pid",))]


def _caught(tables: list[Staged], folder: Path, engine_sql: tuple[str, str] | None = None) -> KallaError:
    with pytest.raises(KallaError) as caught:
        witnessed(_SQL, tables, folder, engine_sql=engine_sql)
    assert caught.value.code is Code.WITNESS_DISAGREES
    assert not any(folder.iterdir())
    return caught.value


def test_a_row_that_the_engine_drops_is_named_with_both_figures(tables: list[Staged], tmp_path: Path) -> None:
    error = _caught(tables, tmp_path / "out", (" WHERE ", ' WHERE "l"."id" <> 2 AND '))
    assert error.message == (
        "The second engine, DuckDB, does not agree: Kalla has 2 matched rows, 2 unmatched of inv and 2 of "
        "pay, DuckDB has 3 matched rows, 1 unmatched of inv and 1 of pay. For example, inv.id = 2, pay.pid = "
        "p2 is matched by DuckDB alone. The run's outputs were discarded."
    )
    assert (error.details["kalla_matched"], error.details["duckdb_matched"]) == ("2", "3")
    assert error.details["example"] == "inv.id = 2, pay.pid = p2"


def test_a_row_that_the_engine_makes_up_is_named(tables: list[Staged], tmp_path: Path) -> None:
    wrong = ('"l"."ref" = "r"."ref"', '("l"."ref" = "r"."ref" OR ("l"."id" = 4 AND "r"."pid" = \'p4\'))')
    assert (
        "inv.id = 4, pay.pid = p4 is matched by Kalla alone"
        in _caught(tables, tmp_path / "out", wrong).message
    )


def test_pairs_that_are_swapped_are_found_though_all_counts_agree(
    tables: list[Staged], tmp_path: Path
) -> None:
    swapped = (
        '"l"."ref" = "r"."ref"',
        '"l"."ref" = CASE "r"."ref" WHEN \'A\' THEN \'B\' WHEN \'B\' THEN \'A\' ELSE "r"."ref" END',
    )
    error = _caught(tables, tmp_path / "out", swapped)
    assert error.details["kalla_matched"] == error.details["duckdb_matched"] == "3"
    assert "inv.id = 1, pay.pid = p2 is matched by Kalla alone" in error.message


@pytest.mark.parametrize(
    ("row", "sentence"),
    [(0, "inv.id = 1 is unmatched by Kalla alone"), (3, "inv.id = 4 is unmatched by DuckDB alone")],
)
def test_a_wrong_mark_is_found_though_rows_are_conserved(
    row: int, sentence: str, tables: list[Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = engine.match_in_one_pass

    def wrong(*arguments: Any) -> Any:
        found = plain(*arguments)
        found.left.matched[row] = not found.left.matched[row]
        return found

    monkeypatch.setattr(engine, "match_in_one_pass", wrong)
    assert sentence in _caught(tables, tmp_path / "out").message


def test_a_filter_that_the_engine_applies_wrongly_is_found(
    tables: list[Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition = FilterCondition("id", FilterOp.GT, (1,))
    filtered = [replace(tables[0], table=replace(tables[0].table, filters=(condition,))), tables[1]]

    def unfiltered(batches: Iterator[pa.RecordBatch], _filters: object) -> Iterator[pa.RecordBatch]:
        return batches

    monkeypatch.setattr(tables_module, "filter_batches", unfiltered)
    assert "inv.id = 1" in _caught(filtered, tmp_path / "out").message


def test_what_two_rows_of_one_key_are_is_left_to_the_run(tmp_path: Path) -> None:
    rows = pa.table({"id": [1, 1, None, 2], "ref": ["A", "Z", "A", "B"]})
    tables = [stage(tmp_path, alias, rows, ("id",)) for alias in ("inv", "pay")]
    sql = "SELECT l.id, r.id AS pid FROM inv l JOIN pay r ON l.ref = r.ref"
    assert witnessed(sql, tables, tmp_path / "out").status == "agreed"


def test_the_report_is_in_the_manifest(tables: list[Staged], tmp_path: Path) -> None:
    report = witnessed(_SQL, tables, tmp_path / "out")
    assert read_manifest(tmp_path / "out").witness == report
    assert (report.matched_count, report.unmatched_left_count, report.unmatched_right_count) == (3, 1, 1)


def test_hashes_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    def report(order: list[int], folder: str) -> Any:
        refs = pa.array([f"R{i % 3}" for i in order])
        rows = pa.table({"id": pa.array(order, pa.int64()), "ref": refs})
        tables = [stage(tmp_path / folder, alias, rows, ("id",)) for alias in ("inv", "pay")]
        sql = "SELECT l.id, r.id AS pid FROM inv l JOIN pay r ON l.ref = r.ref"
        return witnessed(sql, tables, tmp_path / folder / "out")

    one, other = report(list(range(9)), "up"), report(list(reversed(range(9))), "down")
    assert one.matched_hash == other.matched_hash
    assert one.matched_hash != report(list(range(1, 10)), "shifted").matched_hash


def _failing(error: Exception) -> Callable[..., None]:
    def fail(*_arguments: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (duckdb.OutOfMemoryException("x"), "DuckDB needs more memory than its 128 MiB."),
        (MemoryError(), "DuckDB needs more memory than its 128 MiB."),
        (duckdb.IOException("disk"), "There is no room for DuckDB's intermediate data."),
        (duckdb.OutOfRangeException("x"), "A computed number has more digits than DuckDB's types."),
        (duckdb.BinderException("secret"), "DuckDB cannot run the translated query."),
        (
            ZeroDivisionError(),
            "The comparison failed in an unexpected way; the runner's log has the details.",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_witness_that_fails_does_not_disagree(
    error: Exception, reason: str, tables: list[Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness_module, "load_tables", _failing(error))
    report = witnessed(_SQL, tables, tmp_path / "out")
    assert (report.status, report.reason) == ("not_possible", reason)


def test_a_witness_that_takes_too_long_does_not_disagree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness_module, "LEAST_SECONDS", 0.05)
    monkeypatch.setattr(witness_module, "TIMES_AS_LONG", 0.0)
    rows = pa.table({"id": np.arange(60_000), "k": np.zeros(60_000, dtype=np.int64)})
    tables = [stage(tmp_path, alias, rows, ("id",)) for alias in ("inv", "pay")]
    # The condition leaves the match engine little to do, and the other one a look at every pair.
    sql = "SELECT l.id, r.id AS pid FROM inv l JOIN pay r ON l.id = r.id"
    slow = sql.replace("l.id = r.id", "l.id % 7 + r.id % 5 < 0 OR l.k + r.k > 1")
    plan = plan_match(sql, tables[0].info, tables[1].info, [])
    outcome = run_match(
        plan,
        [table.table for table in tables],
        tmp_path / "out",
        LIMITS,
        lambda _fraction, _matched: None,
        witness=witness_of(slow, plan, tables),
    )
    assert outcome.witness is not None
    assert outcome.witness.reason == "DuckDB took longer than 0 seconds."


def test_a_witness_stays_within_its_memory(tmp_path: Path) -> None:
    texts = [f"{i:0100d}" for i in range(100_000)]
    rows = pa.table({"id": texts, "ref": texts})
    tables = [stage(tmp_path, alias, rows, ("id",), cut=20_000) for alias in ("inv", "pay")]
    sql = "SELECT l.id, r.id AS pid FROM inv l JOIN pay r ON l.ref = r.ref"
    plan = plan_match(sql, tables[0].info, tables[1].info, [])
    little = Limits(memory_bytes=4 * MIB, threads=2)
    outcome = run_match(
        plan,
        [table.table for table in tables],
        tmp_path / "out",
        LIMITS,
        lambda _fraction, _matched: None,
        witness=witness_of(sql, plan, tables, little),
    )
    assert outcome.witness is not None
    assert outcome.witness.reason == "DuckDB needs more memory than its 2 MiB."
    assert not (tmp_path / "out" / "scratch").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/kalla-witness-escaped.csv'",
        "SET memory_limit = '100GB'",
        "INSTALL httpfs",
        "SELECT * FROM local_rows",
    ],
)
def test_the_second_engine_reads_and_writes_nothing_else(
    statement: str, tables: list[Staged], tmp_path: Path
) -> None:
    local_rows = pa.table({"a": [1]})
    plan = plan_match(_SQL, tables[0].info, tables[1].info, [])
    question = witness_module.Question(_SQL, plan, [], [], tmp_path, tmp_path)
    with witness_module.database(question, LIMITS) as connection, pytest.raises(duckdb.Error):
        connection.execute(statement)
    assert local_rows.num_rows == 1


_KEYS = st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=0, max_size=12)
_CELLS = st.one_of(st.none(), st.sampled_from(["", "a", "A", "ß", "a|1:b", "~", "1", "2"]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=_KEYS, right=_KEYS, data=st.data())
def test_both_engines_agree_on_any_rows(
    left: list[int | None],
    right: list[int | None],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")

    def side(alias: str, keys: list[int | None]) -> Staged:
        cells = [[data.draw(_CELLS) for _ in keys] for _ in range(2)]
        rows = pa.table(
            {
                "k": pa.array(keys, pa.int64()),
                "t": pa.array(cells[0], pa.string()),
                "v": pa.array(cells[1], pa.string()),
            }
        )
        return stage(folder, alias, rows, ("k", "t"))

    tables = [side("a", left), side("b", right)]
    sql = data.draw(
        st.sampled_from(
            [
                "SELECT a.k FROM a JOIN b ON a.v = b.v",
                "SELECT a.k FROM a LEFT JOIN b ON a.k = b.k AND a.t = b.t",
                "SELECT a.k FROM a JOIN b ON a.k BETWEEN b.k - 1 AND b.k WHERE a.v IS NULL OR b.v <> a.v",
                "SELECT a.k, a.t, array_agg(b.k) x, array_agg(b.t) y FROM a, b WHERE a.v = b.v GROUP BY 1, 2",
                "SELECT DISTINCT a.k, a.t, b.k AS k2, b.t AS t2 FROM a, b WHERE a.k = b.k",
            ]
        )
    )
    assert witnessed(sql, tables, folder / "out").status == "agreed"
