"""Every failure a person can cause is one sentence with a code, and never shows a password."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.postgres import PostgresConnector

from tests.integration.connectors.postgres_tables import Database, opened_database, read, stage

SECRET = "s3cret%3F%26x"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened_database(database_url) as database:
        yield database


@pytest.fixture
def stranger(database: Database) -> Iterator[str]:
    """The URL of a user who may do nothing."""
    name = f"stranger_{database.connection.info.dbname}"
    database.run(f"CREATE ROLE {name} LOGIN PASSWORD 's3cret?&x'")
    try:
        yield f"postgresql://{name}:{SECRET}@{database.url.partition('@')[2]}"
    finally:
        database.run(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def opening(uri: str) -> KallaError:
    with ReadSession(()) as session, pytest.raises(KallaError) as caught:
        PostgresConnector().open(SourceSpec("x", uri), session)
    shown = f"{caught.value} {caught.value.details}"
    assert "\n" not in shown
    for secret in ("s3cret", "wr0ng"):
        assert secret not in shown
    return caught.value


def test_an_unreachable_server_is_named_without_the_secret() -> None:
    error = opening("postgresql://u:s3cret@127.0.0.1:1/db?table=x")
    assert error.code is Code.SOURCE_UNREACHABLE
    assert "127.0.0.1:1" in error.message


def test_an_unknown_host_is_unreachable() -> None:
    assert opening("postgresql://u:s3cret@nowhere.invalid/db?table=x").code is Code.SOURCE_UNREACHABLE


def test_a_server_that_never_answers_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        error = opening(f"postgresql://u:s3cret@127.0.0.1:{port}/db?table=x&connect_timeout=2")
    assert error.code is Code.SOURCE_UNREACHABLE


def test_a_wrong_password_is_denied(database: Database) -> None:
    user, _, server = database.url.partition("@")
    assert opening(f"{user.rpartition(':')[0]}:wr0ng@{server}?table=x").code is Code.ACCESS_DENIED
    assert opening(f"{user.rpartition(':')[0]}@{server}?table=x").code is Code.ACCESS_DENIED


def test_a_missing_database_is_not_found(database: Database) -> None:
    error = opening(database.url.rpartition("/")[0] + "/no_such_db?table=x")
    assert error.code is Code.DATA_NOT_FOUND
    assert "no_such_db" in error.message


def test_a_server_that_wants_no_tls_says_so(database: Database) -> None:
    error = opening(database.uri("x", sslmode="require"))
    assert error.code is Code.SOURCE_UNREACHABLE
    assert "sslmode" in error.message


def test_missing_permission_on_a_table_a_schema_or_a_column_is_denied(
    database: Database, stranger: str
) -> None:
    database.run(
        "CREATE TABLE x (a int, b int)",
        "CREATE SCHEMA hidden",
        "CREATE TABLE hidden.y (a int)",
    )
    assert opening(f"{stranger}?table=x").code is Code.ACCESS_DENIED
    assert opening(f"{stranger}?table=hidden.y").code is Code.ACCESS_DENIED
    database.run(f"GRANT SELECT (a) ON x TO {stranger.partition('//')[2].partition(':')[0]}")
    with ReadSession(()) as session, pytest.raises(KallaError) as caught:
        read(PostgresConnector().open(SourceSpec("x", f"{stranger}?table=x"), session))
    assert caught.value.code is Code.ACCESS_DENIED


def test_trap_18_a_password_with_special_characters_works_and_is_in_no_pin(
    database: Database, stranger: str
) -> None:
    database.run("CREATE TABLE x (a int)", "GRANT SELECT ON x TO PUBLIC")
    with ReadSession(()) as session:
        source = PostgresConnector().open(SourceSpec("x", f"{stranger}?table=x"), session)
        assert source.count() == 0
        assert "s3cret" not in json.dumps(dict(source.pin))
        assert not [key for key in session.shared if "s3cret" in key]


def test_trap_16_a_count_that_fails_is_an_error(database: Database) -> None:
    database.run("CREATE VIEW x AS SELECT g AS v FROM generate_series(1, 5) g WHERE 1 / (g - 3) < 9")
    with database.source("x") as source:
        with pytest.raises(KallaError, match="division by zero") as caught:
            source.count()
        assert caught.value.code is Code.INVALID_DATA


def test_a_failure_in_mid_stream_is_an_error_not_a_short_table(database: Database, tmp_path: Path) -> None:
    database.run(
        "CREATE VIEW x AS SELECT g AS id, repeat('x', 100) AS pad, 1 / (g - 190000) AS v"
        " FROM generate_series(1, 200000) g"
    )
    with database.source("x") as source:
        with pytest.raises(KallaError, match="division by zero") as caught:
            stage(source, tmp_path)
        assert caught.value.details["sqlstate"] == "22012"


def test_a_statement_timeout_says_so(database: Database) -> None:
    database.run("CREATE VIEW x AS SELECT g FROM generate_series(1, 2) g WHERE pg_sleep(5) IS NOT NULL")
    limit = "-c statement_timeout=300"
    said = pytest.raises(KallaError, match="statement_timeout")
    # On a busy machine the limit may be met before the slow query: it is the same error.
    with said as caught, database.source("x", options=limit) as source:
        source.count()
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    again = pytest.raises(KallaError, match="statement_timeout")
    with again as caught, database.source("x", options=limit) as source:
        read(source)
    assert caught.value.code is Code.DEADLINE_EXCEEDED


def test_a_connection_that_is_killed_is_an_error(database: Database, tmp_path: Path) -> None:
    database.run(
        "CREATE VIEW x AS SELECT g AS id, pg_sleep(0.0005)::text AS v FROM generate_series(1, 100000) g"
    )

    def kill() -> None:
        for _ in range(2000):
            if database.count("pg_stat_activity", "query LIKE 'COPY%' AND pg_terminate_backend(pid)"):
                return
            threading.Event().wait(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with database.source("x") as source, pytest.raises(KallaError) as caught:
            stage(source, tmp_path)
    finally:
        killer.join()
    assert caught.value.code is Code.SOURCE_UNREACHABLE


def test_staged_files_that_cannot_be_written_are_an_error(database: Database, tmp_path: Path) -> None:
    database.run("CREATE TABLE x AS SELECT g AS v FROM generate_series(1, 100000) g")
    blocked = tmp_path / "file"
    blocked.touch()
    with database.source("x") as source:
        with pytest.raises(KallaError) as caught:
            source.stage(blocked / "folder", lambda _: None)
        assert caught.value.code is Code.OUTPUT_NOT_WRITABLE
        Path(tmp_path / "full").mkdir()
        (tmp_path / "full" / "00000.arrow").symlink_to("/dev/full")
        with pytest.raises(KallaError) as caught:
            source.stage(tmp_path / "full", lambda _: None)
        assert caught.value.code is Code.STORAGE_FULL
