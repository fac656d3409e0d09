"""Filters that the server applies keep the rows that DataFusion would keep."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_common.domain import FilterCondition, FilterOp, FilterScalar, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.filters import check_filters, filter_batches
from kalla_runner.connectors.postgres import PostgresConnector

from tests.integration.connectors.postgres_tables import (
    Database,
    only,
    opened_database,
    read,
    stage,
    values_of,
)

TEXTS = [
    "",
    " ",
    "a",
    "A",
    "B",
    "b",
    "\u00e4",
    "z",
    "Z",
    "a%",
    "a_b",
    "a\\b",
    "ab",
    "aXb",
    "\U0001f600",
    "\uffff",
    "a'b",
    "%s",
]
COLUMNS = {
    "i": "int",
    "n": "numeric(10,2)",
    "u": "numeric",
    "f": "float8",
    "g": "float4",
    "t": "text",
    "c": "char(4)",
    "ci": "text COLLATE nocase",
    "e": "mood",
    "b": "boolean",
    "d": "date",
    "ts": "timestamp",
    "tz": "timestamptz",
    "ti": "time",
}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened_database(database_url) as database:
        yield database


def sample(database: Database) -> None:
    """Rows with every text, numbers on both sides of everything, and NULLs in each column."""
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    database.run(
        "CREATE COLLATION nocase (provider = builtin, locale = 'C.UTF-8')",
        "CREATE TYPE mood AS ENUM ('zz', 'mm', 'aa')",
        f"CREATE TABLE x (id int PRIMARY KEY, {columns})",
        """INSERT INTO x SELECT g, g - 12, (g - 12) / 4.0, (g - 12) / 8.0, (g - 12) / 10.0, (g - 12) / 10.0,
           NULL, NULL, NULL, (ARRAY['zz', 'mm', 'aa'])[g % 3 + 1]::mood, g % 2 = 0, date '2024-02-20' + g,
           timestamp '2024-03-30 23:00:00.000001' + g * interval '1 hour',
           timestamptz '2024-03-30 23:00:00.000001Z' + g * interval '1 hour',
           time '00:00' + g * interval '55 min'
           FROM generate_series(1, 24) g""",
        "INSERT INTO x (id, f, g) VALUES (50, 'NaN', 'Infinity'), (51, '-Infinity', 'NaN')",
        "INSERT INTO x (id, f, g) VALUES (52, 0, 0), (53, '-0', '-0')",
    )
    for number, text in enumerate(TEXTS, start=1):
        database.connection.execute(
            "UPDATE x SET t = %s, c = left(%s, 4), ci = %s WHERE id = %s", (text, text, text, number)
        )


def by_datafusion(source: OpenSource, *filters: FilterCondition) -> list[int]:
    """The ids that DataFusion keeps of the unfiltered rows."""
    typed = check_filters(filters, source.schema())
    return sorted(i for batch in filter_batches(source.rows(), typed) for i in batch.column("id").to_pylist())


LITERALS: dict[str, st.SearchStrategy[FilterScalar]] = {
    "number": st.one_of(
        st.integers(-14, 14),
        st.integers(-(10**20), 10**20),
        st.decimals(-14, 14, places=1),
        st.decimals(-4, 4, places=3),
    ),
    "text": st.one_of(st.sampled_from(TEXTS), st.sampled_from(["zz", "mm", "a\0", "a\0b", "", "nn"])),
    "b": st.booleans(),
    "d": st.dates().map(str) | st.sampled_from(["2024-02-21", "2024-03-01", "0001-01-01", "9999-12-31"]),
    "ts": st.sampled_from(
        ["2024-03-31", "2024-03-31T05:00:00.000001", "2024-03-31 05:00:00.0000015", "0001-01-01"]
    ),
    "tz": st.sampled_from(
        ["2024-03-31T00:00:00.000001Z", "2024-03-31 07:00:00.000001+02:00", "0001-01-01T00:00+14:00"]
    ),
    "ti": st.sampled_from(["00:55:00", "12:00", "23:59:59.999999", "00:00:00.0000001"]),
}
KIND = {"i": "number", "n": "number", "u": "number", "f": "number", "g": "number", "t": "text", "c": "text",
        "ci": "text", "e": "text"}  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> FilterCondition:
    column = draw(st.sampled_from(sorted(COLUMNS)))
    kind = KIND.get(column, column)
    ops = [op for op in FilterOp if op is not FilterOp.LIKE]
    op = draw(st.sampled_from(ops + [FilterOp.LIKE] * 3 if kind == "text" else ops))
    if op is FilterOp.LIKE:
        pieces = st.sampled_from(["%", "_", "a", "A", "b", r"\%", r"\_", "\\\\", "z", "\u00e4", "\U0001f600"])
        return FilterCondition(column, op, ("".join(draw(st.lists(pieces, max_size=4))),))
    count = {FilterOp.BETWEEN: 2, FilterOp.IN: 3}.get(op, 1)
    return FilterCondition(column, op, tuple(draw(LITERALS[kind]) for _ in range(count)))


def test_trap_15_the_server_keeps_the_rows_that_datafusion_keeps(database: Database) -> None:
    sample(database)

    with database.source("x") as source:
        everything, schema = list(source.rows()), source.schema()

    with ReadSession(()) as session:

        @settings(max_examples=100, deadline=None, database=None)
        @given(condition=conditions())
        def agrees(condition: FilterCondition) -> None:
            spec = SourceSpec("x", database.uri("x"), (condition,))
            pushed = PostgresConnector().open(spec, session)
            kept = filter_batches(iter(everything), check_filters((condition,), schema))
            expected = sorted(i for batch in kept for i in batch.column("id").to_pylist())
            assert sorted(values_of(read(pushed), "id")) == expected
            assert pushed.count() == len(expected)

        agrees()


@pytest.mark.parametrize("op", list(FilterOp))
def test_trap_15_every_operator_filters_what_is_staged(
    database: Database, tmp_path: Path, op: FilterOp
) -> None:
    sample(database)
    value: tuple[FilterScalar, ...] = {"between": ("B", "b"), "in": ("a", "Z"), "like": ("a%",)}.get(
        op, ("b",)
    )
    with database.source("x", FilterCondition("t", op, value)) as source:
        kept = sorted(values_of(stage(source, tmp_path), "id"))
        assert 0 < len(kept) < len(TEXTS)
        assert len(kept) == source.count()
    with database.source("x") as source:
        assert kept == by_datafusion(source, FilterCondition("t", op, value))


def test_trap_15_text_is_compared_by_code_points_whatever_the_collation(database: Database) -> None:
    database.run(
        'CREATE TABLE x (v text COLLATE "en-x-icu")' if has_icu(database) else "CREATE TABLE x (v text)",
        "INSERT INTO x VALUES ('a'), ('B'), ('C'), ('\u00e4')",
    )
    with database.source("x", only("v", "gt", "B")) as source:
        assert sorted(values_of(read(source))) == ["C", "a", "\u00e4"]


def has_icu(database: Database) -> bool:
    return database.count("pg_collation", "collname = 'en-x-icu'") > 0


def test_a_padded_char_is_its_text_without_the_padding(database: Database) -> None:
    database.run("CREATE TABLE x (v char(5))", "INSERT INTO x VALUES ('ab'), ('a')")
    for condition in (only("v", "eq", "ab"), only("v", "like", "_b"), only("v", "in", "ab", "zz")):
        with database.source("x", condition) as source:
            assert values_of(read(source)) == ["ab"]
    with database.source("x", only("v", "eq", "ab ")) as source:
        assert source.count() == 0


def test_nan_that_is_read_as_null_satisfies_no_filter(database: Database, tmp_path: Path) -> None:
    database.run("CREATE TABLE x (v numeric(9,2))", "INSERT INTO x VALUES (1), ('NaN'), (NULL)")
    for op in ("gt", "neq"):
        with database.source("x", only("v", op, 0), on_nan="null") as source:
            assert values_of(stage(source, tmp_path / op)) == [Decimal("1.00")]
            assert source.count() == 1


@pytest.mark.parametrize(
    "condition",
    [
        only("nope", "eq", 1),
        only("v", "eq", "1"),
        only("v", "like", "1%"),
        only("w", "eq", 1),
        FilterCondition("v", FilterOp.IN, ()),
        FilterCondition("v", FilterOp.BETWEEN, (1,)),
    ],
)
def test_a_filter_that_does_not_fit_is_refused(database: Database, condition: FilterCondition) -> None:
    database.run("CREATE TABLE x (v int, w int[])")
    with database.source("x", condition) as source, pytest.raises(KallaError) as caught:
        source.count()
    assert caught.value.code is Code.INVALID_FILTER


def test_a_filter_is_never_pasted_into_the_query(database: Database) -> None:
    database.run("CREATE TABLE x (v text)", "INSERT INTO x VALUES ('a')")
    for text in ("' OR true --", "\\' OR true --", "$$", "%s", "{0}", "\\"):
        with database.source("x", only("v", "eq", text)) as source:
            assert read(source).num_rows == source.count() == 0
