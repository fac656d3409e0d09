"""What every connector must do: subclass `ConnectorContract` and give it a `maker` fixture.

class TestCsvContract(ConnectorContract):
    @pytest.fixture
    def maker(self, tmp_path): return CsvMaker(tmp_path)
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import datafusion
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_common.domain import FilterCondition, FilterOp, FilterScalar, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.filters import apply_filters, check_filters
from kalla_runner.connectors.registry import open_source
from kalla_runner.staging import StagedTable

D = Decimal
_UTC = dt.UTC

SCHEMA: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("Amount", pa.decimal128(18, 2)),
        ("name", pa.string()),
        ("code", pa.string()),
        ("paid on", pa.date32()),
        ("at", pa.timestamp("us")),
        ("seen", pa.timestamp("us", tz="UTC")),
        ("flag", pa.bool_()),
    ]
)
_NOON = dt.datetime(2026, 3, 29, 12, 0)  # noqa: DTZ001 - a column without time zone
ROWS: Final[list[tuple[Any, ...]]] = [
    (1, D("10.00"), "Ünï 😀", "00123", dt.date(2026, 1, 31), _NOON, _NOON.replace(tzinfo=_UTC), True),
    (2, D("-0.50"), 'O\'Brien; "x", y', "123", dt.date(2026, 2, 1), None, None, False),
    (3, D("10.01"), "100%", "-0", dt.date(1, 1, 1), _NOON.replace(microsecond=1), None, None),
    (4, None, "under_score\\", "1e5", None, dt.datetime.max, dt.datetime.max.replace(tzinfo=_UTC), True),  # noqa: DTZ901 - the last instant there is
    (5, D("9999999999999999.99"), None, " 7", dt.date(9999, 12, 31), None, None, False),
    (-9223372036854775808, D("0.00"), "two\nlines\r\nand\ttab ", "", dt.date(2026, 2, 28), None, None, None),
]
LEAST: Final = -9223372036854775808

CASES: Final[list[tuple[str, FilterOp, tuple[FilterScalar, ...], set[int]]]] = [
    ("id", FilterOp.EQ, (3,), {3}),
    ("id", FilterOp.EQ, (D("3.0"),), {3}),
    ("id", FilterOp.EQ, (D("1.5"),), set()),
    ("id", FilterOp.NEQ, (D("1.5"),), {1, 2, 3, 4, 5, LEAST}),
    ("id", FilterOp.GT, (D("1.5"),), {2, 3, 4, 5}),
    ("id", FilterOp.LT, (D("-1e30"),), set()),
    ("id", FilterOp.GTE, (D("-1e30"),), {1, 2, 3, 4, 5, LEAST}),
    ("id", FilterOp.IN, (1, D("2.5"), 5, 10**40), {1, 5}),
    ("id", FilterOp.BETWEEN, (2, 4), {2, 3, 4}),
    ("id", FilterOp.BETWEEN, (4, 2), set()),
    ("Amount", FilterOp.EQ, (10,), {1}),
    ("Amount", FilterOp.NEQ, (10,), {2, 3, 5, LEAST}),
    ("Amount", FilterOp.GT, (D("10.005"),), {3, 5}),
    ("Amount", FilterOp.GTE, (D("10.005"),), {3, 5}),
    ("Amount", FilterOp.LT, (D("10.005"),), {1, 2, LEAST}),
    ("Amount", FilterOp.LTE, (D("10.009"),), {1, 2, LEAST}),
    ("Amount", FilterOp.LTE, (D("-0.501"),), set()),
    ("Amount", FilterOp.GTE, (D("-0.501"),), {1, 2, 3, 5, LEAST}),
    ("Amount", FilterOp.EQ, (D("9999999999999999.99"),), {5}),
    ("Amount", FilterOp.GT, (D("1e400"),), set()),
    ("Amount", FilterOp.BETWEEN, (D("9.999"), D("10.0100")), {1, 3}),
    ("Amount", FilterOp.IN, (D("10.0"), D("10.001"), 0), {1, LEAST}),
    ("name", FilterOp.EQ, ("100%",), {3}),
    ("name", FilterOp.EQ, ('O\'Brien; "x", y',), {2}),
    ("name", FilterOp.EQ, ('o\'brien; "x", y',), set()),
    ("name", FilterOp.NEQ, ("100%",), {1, 2, 4, LEAST}),
    ("name", FilterOp.LIKE, ("%",), {1, 2, 3, 4, LEAST}),
    ("name", FilterOp.LIKE, ("100\\%",), {3}),
    ("name", FilterOp.LIKE, ("100_",), {3}),
    ("name", FilterOp.LIKE, ("Ünï _",), {1}),
    ("name", FilterOp.LIKE, ("ünï%",), set()),
    ("name", FilterOp.LIKE, ("%\\_%",), {4}),
    ("name", FilterOp.LIKE, ("%\\\\",), {4}),
    ("name", FilterOp.LIKE, ("two%tab ",), {LEAST}),
    ("name", FilterOp.LIKE, ("O'B.*",), set()),
    ("name", FilterOp.IN, ("100%", "nobody"), {3}),
    ("code", FilterOp.EQ, ("00123",), {1}),
    ("code", FilterOp.EQ, ("123",), {2}),
    ("code", FilterOp.EQ, ("7",), set()),
    ("code", FilterOp.EQ, ("",), {LEAST}),
    ("paid on", FilterOp.EQ, ("2026-01-31",), {1}),
    ("paid on", FilterOp.LT, ("2026-01-31",), {3}),
    ("paid on", FilterOp.BETWEEN, ("2026-01-31", "2026-02-28"), {1, 2, LEAST}),
    ("paid on", FilterOp.IN, ("9999-12-31", "0001-01-01"), {3, 5}),
    ("at", FilterOp.EQ, ("2026-03-29T12:00",), {1}),
    ("at", FilterOp.GT, ("2026-03-29 12:00:00.0000005",), {3, 4}),
    ("at", FilterOp.LTE, ("2026-03-29 12:00:00.0000005",), {1}),
    ("at", FilterOp.GTE, ("2026-03-29",), {1, 3, 4}),
    ("seen", FilterOp.EQ, ("2026-03-29T14:00:00+02:00",), {1}),
    ("seen", FilterOp.GT, ("2026-03-29T12:00:00Z",), {4}),
    ("flag", FilterOp.EQ, (True,), {1, 4}),
    ("flag", FilterOp.NEQ, (True,), {2, 5}),
    ("flag", FilterOp.IN, (True, False), {1, 2, 4, 5}),
]

WRONG: Final[list[tuple[str, FilterOp, tuple[FilterScalar, ...], str]]] = [
    ("amount", FilterOp.EQ, (1,), "'Amount'"),
    ("nothing_like_it", FilterOp.EQ, (1,), "'id'"),
    ("id", FilterOp.EQ, ("7",), "number"),
    ("id", FilterOp.EQ, (True,), "number"),
    ("Amount", FilterOp.GT, ("10.00",), "number"),
    ("code", FilterOp.EQ, (7,), "quotes"),
    ("paid on", FilterOp.EQ, ("31.01.2026",), "2026-01-31"),
    ("paid on", FilterOp.EQ, ("2026-02-30",), "calendar"),
    ("at", FilterOp.EQ, ("2026-01-31T00:00:00Z",), "zone"),
    ("seen", FilterOp.EQ, ("2026-01-31T00:00:00",), "zone"),
    ("flag", FilterOp.EQ, ("true",), "true or false"),
    ("id", FilterOp.BETWEEN, (1,), "two values"),
    ("id", FilterOp.IN, (), "at least one"),
    ("id", FilterOp.LIKE, ("1%",), "text"),
    ("name", FilterOp.LIKE, ("x\\",), "backslash"),
]


class SourceMaker(ABC):
    """Makes sources of one kind for the contract's tests.

    Attributes:
        roots: folders that the read sessions allow.
    """

    roots: tuple[Path, ...] = ()

    def session(self) -> ReadSession:
        """A frame in which the sources can be read."""
        return ReadSession(self.roots, threads=2)

    @abstractmethod
    def make(self, table: pa.Table) -> str:
        """Bring the rows into a new source, each column in the kind's nearest type; its URI."""

    def in_order(self, names: Sequence[str]) -> list[str]:
        """The order in which the kind of source gives these columns."""
        return list(names)

    @abstractmethod
    def change(self, uri: str) -> None:
        """Change the content of a source that `make` made."""

    @abstractmethod
    def missing(self) -> str:
        """The URI of something that does not exist where it is said to be."""

    def unreachable(self) -> str | None:
        """The URI of a source whose server does not answer in sessions that are made from then on.

        None where the kind has no server.
        """
        return None

    def refused(self) -> tuple[str, str] | None:
        """The URI of a source and the wrong secret with which sessions made from then on ask for it.

        None where the kind has no credentials.
        """
        return None


def contract_table() -> pa.Table:
    """The rows that the contract's tests read, one column of each type."""
    columns = list(zip(*ROWS, strict=True))
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA)


def staged_rows(staged: StagedTable) -> pa.Table:
    """All rows of a staged table, before its filters."""
    if staged.format == "parquet":
        return pa.concat_tables([pq.read_table(path) for path in staged.files])
    parts: list[pa.Table] = []
    for path in staged.files:
        with pa.memory_map(str(path)) as file:
            parts.append(pa.ipc.open_file(file).read_all())
    return pa.concat_tables(parts)


def read_rows(source: OpenSource, limit: int | None = None, offset: int = 0) -> pa.Table:
    """The rows that a source gives out, as one table."""
    return pa.Table.from_batches(list(source.rows(limit, offset)), source.schema())


def own_names(schema: pa.Schema) -> list[str]:
    """The columns without the `_id` that search engines give each row."""
    return [name for name in schema.names if name != "_id"]


def by_id(table: pa.Table) -> list[dict[str, Any]]:
    """The rows in a defined order: a database has none of its own."""
    return sorted(table.select(own_names(table.schema)).to_pylist(), key=lambda row: row["id"])


def engine_rows(staged: StagedTable) -> list[dict[str, Any]]:
    """The rows that the match engine would see: DataFusion's filter over the staged data."""
    table = staged_rows(staged)
    context = datafusion.SessionContext()
    frame = context.create_dataframe([table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]])
    kept = apply_filters(frame, check_filters(staged.filters, staged.schema))
    return by_id(kept.to_arrow_table())


class ConnectorContract(ABC):
    """The tests that every connector passes."""

    @pytest.fixture
    @abstractmethod
    def maker(self) -> SourceMaker:
        """Makes the sources."""

    @pytest.fixture
    def session(self, maker: SourceMaker) -> Iterator[ReadSession]:
        with maker.session() as session:
            yield session

    @staticmethod
    def opened(
        session: ReadSession, uri: str, filters: Sequence[FilterCondition] = (), schema: Sequence[str] = ()
    ) -> OpenSource:
        return open_source(SourceSpec("src", uri, tuple(filters), tuple(schema)), session)

    def test_every_value_arrives_exactly_in_its_type(
        self, maker: SourceMaker, session: ReadSession, tmp_path: Path
    ) -> None:
        source = self.opened(session, maker.make(contract_table()))
        assert own_names(source.schema()) == maker.in_order(SCHEMA.names)
        assert [source.schema().field(name).type for name in SCHEMA.names] == SCHEMA.types
        expected = by_id(contract_table())
        assert by_id(read_rows(source)) == expected
        staged = source.stage(tmp_path / "staged", lambda _: None)
        assert by_id(staged_rows(staged)) == expected
        assert staged.row_count == len(ROWS)
        source.check_unchanged()

    def test_trap_26_text_is_utf8_never_a_string_view(self, maker: SourceMaker, session: ReadSession) -> None:
        source = self.opened(session, maker.make(contract_table()))
        assert {str(batch.schema.field("name").type) for batch in source.rows()} == {"string"}

    @pytest.mark.parametrize("column", SCHEMA.names)
    def test_trap_15_a_filter_keeps_the_same_rows_everywhere(
        self, maker: SourceMaker, session: ReadSession, tmp_path: Path, column: str
    ) -> None:
        uri = maker.make(contract_table())
        for number, (name, op, values, expected) in enumerate(CASES):
            if name != column:
                continue
            source = self.opened(session, uri, [FilterCondition(column, op, values)])
            case = f"{column} {op} {values}"
            assert {row["id"] for row in read_rows(source).to_pylist()} == expected, case
            assert source.count() == len(expected), case
            staged = source.stage(tmp_path / f"staged-{number}", lambda _: None)
            assert {row["id"] for row in engine_rows(staged)} == expected, case

    def test_several_filters_must_all_hold(self, maker: SourceMaker, session: ReadSession) -> None:
        filters = [
            FilterCondition("flag", FilterOp.EQ, (True,)),
            FilterCondition("id", FilterOp.GT, (1,)),
        ]
        source = self.opened(session, maker.make(contract_table()), filters)
        assert [row["id"] for row in read_rows(source).to_pylist()] == [4]

    def test_a_filter_that_does_not_fit_is_refused_with_the_reason(
        self, maker: SourceMaker, session: ReadSession
    ) -> None:
        uri = maker.make(contract_table())
        for column, op, values, hint in WRONG:
            with pytest.raises(KallaError) as failure:
                self.opened(session, uri, [FilterCondition(column, op, values)]).count()
            assert failure.value.code is Code.INVALID_FILTER
            assert hint in failure.value.message

    def test_limit_offset_and_count_agree_with_all_rows(
        self, maker: SourceMaker, session: ReadSession
    ) -> None:
        source = self.opened(session, maker.make(contract_table()))
        rows = read_rows(source).to_pylist()
        assert source.count() == len(rows)
        for limit, offset in [(0, 0), (1, 0), (2, 3), (10, 4), (3, 6), (None, 2)]:
            end = None if limit is None else offset + limit
            assert read_rows(source, limit, offset).to_pylist() == rows[offset:end]

    def test_a_source_without_rows_has_its_columns(
        self, maker: SourceMaker, session: ReadSession, tmp_path: Path
    ) -> None:
        source = self.opened(session, maker.make(contract_table().slice(0, 0)))
        assert own_names(source.schema()) == maker.in_order(SCHEMA.names)
        assert source.count() == 0
        assert read_rows(source).num_rows == 0
        staged = source.stage(tmp_path / "staged", lambda _: None)
        assert (staged.row_count, staged_rows(staged).num_rows) == (0, 0)

    def test_trap_23_a_wide_source_is_read_whole(
        self, maker: SourceMaker, session: ReadSession, tmp_path: Path
    ) -> None:
        wide = pa.table({"id": [1, 2]} | {f"c{place}": [place, -place] for place in range(1, 1000)})
        source = self.opened(session, maker.make(wide))
        staged = source.stage(tmp_path / "staged", lambda _: None)
        assert by_id(staged_rows(staged)) == by_id(wide)

    def test_progress_ends_at_one_and_never_falls(
        self, maker: SourceMaker, session: ReadSession, tmp_path: Path
    ) -> None:
        seen: list[float] = []
        self.opened(session, maker.make(contract_table())).stage(tmp_path / "staged", seen.append)
        assert seen[-1] == 1.0
        assert seen == sorted(seen)

    def test_a_change_while_reading_is_never_mixed_in(
        self, maker: SourceMaker, session: ReadSession, tmp_path: Path
    ) -> None:
        uri = maker.make(contract_table())
        source = self.opened(session, uri)
        maker.change(uri)
        try:
            staged = source.stage(tmp_path / "staged", lambda _: None)
            rows = by_id(read_rows(source))
        except KallaError as error:
            assert error.code is Code.SOURCE_CHANGED  # noqa: PT017 - one of two right answers
        else:
            assert by_id(staged_rows(staged)) == rows == by_id(contract_table())

    def test_a_schema_may_list_columns_and_a_missing_one_is_named(
        self, maker: SourceMaker, session: ReadSession
    ) -> None:
        uri = maker.make(contract_table())
        assert self.opened(session, uri, schema=["id", "Amount"]).count() == len(ROWS)
        with pytest.raises(KallaError, match="amount_paid") as failure:
            self.opened(session, uri, schema=["id", "amount_paid"]).schema()
        assert failure.value.code is Code.SCHEMA_MISMATCH

    def test_trap_16_what_does_not_exist_is_an_error_not_an_empty_source(
        self, maker: SourceMaker, session: ReadSession
    ) -> None:
        with pytest.raises(KallaError) as failure:
            self.opened(session, maker.missing()).count()
        assert failure.value.code is Code.DATA_NOT_FOUND

    def test_a_server_that_does_not_answer_is_a_clear_error(self, maker: SourceMaker) -> None:
        uri = maker.unreachable()
        if uri is None:
            pytest.skip("this kind of source has no server")
        with maker.session() as session, pytest.raises(KallaError) as failure:
            self.opened(session, uri).count()
        assert failure.value.code is Code.SOURCE_UNREACHABLE

    def test_trap_18_a_refused_login_does_not_show_the_password(self, maker: SourceMaker) -> None:
        given = maker.refused()
        if given is None:
            pytest.skip("this kind of source has no credentials")
        uri, secret = given
        with maker.session() as session, pytest.raises(KallaError) as failure:
            self.opened(session, uri).count()
        assert failure.value.code is Code.ACCESS_DENIED
        assert secret not in str(failure.value)
        assert secret not in str(failure.value.details)
