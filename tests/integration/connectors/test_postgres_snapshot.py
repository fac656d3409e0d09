"""All of a session's reads see one moment, whatever is written meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psycopg
import pytest
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.postgres import PostgresConnector

from tests.integration.connectors.postgres_tables import (
    Database,
    only,
    opened_database,
    read,
    stage,
    staged_rows,
    values_of,
)

ROWS = 60_000


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened_database(database_url) as database:
        yield database


def wide_table(database: Database, name: str = "x", rows: int = ROWS) -> None:
    """About 9,000 pages for 60,000 rows: enough for eight slices."""
    database.run(
        f"CREATE TABLE {name} (id int PRIMARY KEY, v int, pad text)",
        f"ALTER TABLE {name} ALTER pad SET STORAGE PLAIN",
        f"INSERT INTO {name} SELECT g, g, repeat('x', 1100) FROM generate_series(1, {rows}) g",
    )


class Writers:
    """Inserts, deletes and updates that move rows between pages, until stopped."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stop = threading.Event()
        self.changes = 0
        self.threads = [threading.Thread(target=self.write, args=(place,)) for place in range(2)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def write(self, place: int) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            number = place
            while not self.stop.is_set():
                number += 2
                connection.execute("UPDATE x SET v = -v WHERE id %% 200 = %s", (number % 200,))
                connection.execute("DELETE FROM x WHERE id = %s", (number * 7 % ROWS,))
                connection.execute("INSERT INTO x VALUES (%s, 0, '')", (ROWS + number,))
                self.changes += 3


def test_trap_08_staging_under_writes_gives_exactly_the_rows_of_the_snapshot(
    database: Database, tmp_path: Path
) -> None:
    wide_table(database)
    with database.source("x", threads=2) as source:
        with Writers(database.url) as writers:
            staged = source.stage(tmp_path, lambda _: None)
        assert writers.changes > 3
        assert len(staged.files) == 8
        assert source.count() == ROWS
    table = staged_rows(staged)
    assert sorted(values_of(table, "id")) == list(range(1, ROWS + 1))
    assert values_of(table, "v") == values_of(table, "id")


def test_both_sides_of_a_session_are_one_moment(database: Database, tmp_path: Path) -> None:
    database.run(
        "CREATE TABLE l (id int PRIMARY KEY)",
        "CREATE TABLE r (id int PRIMARY KEY)",
        "INSERT INTO l VALUES (1)",
        "INSERT INTO r VALUES (1)",
    )
    with ReadSession((), 2) as session:
        left = PostgresConnector().open(SourceSpec("l", database.uri("l")), session)
        database.run("INSERT INTO l VALUES (2)", "INSERT INTO r VALUES (2)", "DELETE FROM r WHERE id = 1")
        # Another spelling of the same server and other settings: still the same moment.
        uri = database.uri("r", application_name="other")
        right = PostgresConnector().open(SourceSpec("r", uri), session)
        assert values_of(stage(left, tmp_path / "l"), "id") == [1]
        assert values_of(stage(right, tmp_path / "r"), "id") == [1]
        assert left.pin["snapshot"] == right.pin["snapshot"]
        assert left.pin["relation"] != right.pin["relation"]


def test_a_new_session_sees_the_present(database: Database) -> None:
    database.run("CREATE TABLE x (v int)", "INSERT INTO x VALUES (1)")
    with database.source("x") as source:
        assert values_of(read(source)) == [1]
    database.run("INSERT INTO x VALUES (2)")
    with database.source("x") as source:
        assert values_of(read(source)) == [1, 2]


def test_the_pin_names_server_table_and_moment(database: Database) -> None:
    database.run("CREATE TABLE x (v int)")
    with database.source("x") as source:
        found = database.connection.execute(
            "SELECT system_identifier::text, 'x'::regclass::oid::int8 FROM pg_control_system()"
        ).fetchone()
        assert (source.pin["server"], source.pin["relation"]) == found
        assert source.pin["table"] == "public.x"
        assert {"snapshot", "transactions", "wal_lsn", "database"} <= set(source.pin)


@pytest.mark.parametrize("statement", ["TRUNCATE r", "ALTER TABLE r ALTER id TYPE bigint", "TRUNCATE part"])
def test_trap_08_a_table_emptied_after_the_snapshot_is_an_error_not_an_empty_table(
    database: Database, statement: str
) -> None:
    database.run(
        "CREATE TABLE l (id int)",
        "CREATE TABLE r (id int)",
        "INSERT INTO r VALUES (1)",
        "CREATE TABLE tree (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE part PARTITION OF tree DEFAULT",
        "INSERT INTO tree VALUES (1)",
        "CREATE VIEW view AS SELECT id::text FROM r UNION ALL SELECT id::text FROM tree",
    )
    if "ALTER" in statement:
        database.run("DROP VIEW view")
    target = "view" if "ALTER" not in statement else "r"
    with ReadSession((), 2) as session:
        PostgresConnector().open(SourceSpec("l", database.uri("l")), session)
        database.run(statement)
        with pytest.raises(KallaError, match="truncated or rewritten") as caught:
            PostgresConnector().open(SourceSpec("r", database.uri(target)), session)
    assert caught.value.code is Code.SOURCE_CHANGED


def test_an_open_table_cannot_be_truncated_until_the_session_ends(database: Database) -> None:
    database.run("CREATE TABLE x (v int)", "INSERT INTO x VALUES (1)")
    with database.source("x") as source:
        database.run("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            database.run("TRUNCATE x")
        assert values_of(read(source)) == [1]
    database.run("TRUNCATE x")


def test_a_failed_query_leaves_the_other_sources_of_the_session_readable(database: Database) -> None:
    database.run(
        "CREATE TABLE x (v int)",
        "INSERT INTO x VALUES (1)",
        "CREATE VIEW broken AS SELECT 1 / v AS v FROM x WHERE v = 0",
    )
    database.run("INSERT INTO x VALUES (0)")
    with ReadSession((), 1) as session:
        good = PostgresConnector().open(SourceSpec("x", database.uri("x")), session)
        bad = PostgresConnector().open(
            SourceSpec("b", database.uri("broken"), (only("v", "gt", 0),)), session
        )
        with pytest.raises(KallaError, match="division by zero") as caught:
            bad.count()
        assert caught.value.code is Code.INVALID_DATA
        with pytest.raises(KallaError, match="division by zero"):
            read(bad)
        assert good.count() == 2
        assert values_of(read(good)) == [1, 0]


def test_no_connection_is_left_behind(database: Database, tmp_path: Path) -> None:
    wide_table(database, rows=20_000)
    with database.source("x") as source:
        source.stage(tmp_path, lambda _: None)
        rows = source.rows()
        next(rows)
        source.rows(limit=1)
    mine = "pid <> pg_backend_pid() AND datname = current_database()"
    for _ in range(1000):
        if database.count("pg_stat_activity", mine) == 0:
            return
        threading.Event().wait(0.02)
    pytest.fail("connections are still open")
