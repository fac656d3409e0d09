"""One moment of one database, seen by every connection that reads from it.

The first connection exports its snapshot and stays open, which keeps the moment alive; all
further ones import it. So both sides of a run, and all partitions of a table, are read as of
the same moment, however much is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from threading import Lock
from typing import Any, Final, LiteralString, cast

import psycopg
import pyarrow as pa
from adbc_driver_manager import Error as AdbcError
from kalla_common.errors import Code, KallaError
from psycopg import sql
from psycopg.pq import TransactionStatus

from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.postgres.address import PostgresAddress
from kalla_runner.connectors.postgres.errors import connect_error, query_error
from kalla_runner.connectors.postgres.reader import Reader

Statement = LiteralString | sql.SQL | sql.Composed

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SETTINGS: Final = {
    # Casts to text must not depend on how the server or the user is configured.
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    # A sequential scan begins at the table's beginning, so that rows come in their order.
    "synchronize_seqscans": "off",
    # The connection that holds the snapshot idles while others read.
    "idle_in_transaction_session_timeout": "0",
}
_IDENTITY: Final = """
    SELECT (SELECT oid::int8 FROM pg_database WHERE datname = current_database()), current_database(),
           pg_postmaster_start_time()::text, current_setting('server_version_num')::int,
           current_setting('server_encoding')
"""
_MOMENT: Final = """
    SELECT pg_export_snapshot(), pg_current_snapshot()::text,
           (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text
"""


class Snapshot:
    """A moment of a database as one user sees it.

    Attributes:
        address: where the database is; its table plays no part.
        version: the server's version as a number, 180000 for 18.0.
        encoding: the server's encoding. It sends UTF-8, and refuses what it cannot send as such.
        pin: what identifies the moment.
    """

    def __init__(self, address: PostgresAddress, session: ReadSession) -> None:
        self.address = address
        self._idle: list[Reader] = []
        self._busy: set[Reader] = set()
        try:
            self._control = psycopg.connect(address.conninfo, autocommit=True)
        except psycopg.Error as error:
            raise connect_error(error, address.server, address.database) from error
        try:
            self._begin(session)
        except psycopg.Error as error:
            self._control.close()
            raise query_error(error, f"the database {address.database!r}") from error

    def _begin(self, session: ReadSession) -> None:
        identity = self._control.execute(_IDENTITY).fetchone()
        assert identity is not None  # noqa: S101 - a SELECT without FROM has one row
        oid, database, started, self.version, self.encoding = identity
        system = self._system_identifier()
        # A standby has the system identifier of its primary, but not its snapshots.
        key = f"postgres snapshot {system} {oid} {started}"
        moment = cast("tuple[str, str, str] | None", session.shared.get(key))
        if moment is None:
            self._run((_BEGIN, self._settings()))
            moment = cast("tuple[str, str, str]", self._control.execute(_MOMENT).fetchone())
            session.shared[key] = moment
        imported = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(moment[0]))
        self._start = (_BEGIN, self.text(imported), self._settings())
        if self._control.info.transaction_status is TransactionStatus.IDLE:
            self._run(self._start)
        self.pin: dict[str, str | int] = {
            "server": str(system),
            "database": database,
            "snapshot": moment[0],
            "transactions": moment[1],
            "wal_lsn": moment[2],
        }

    def _system_identifier(self) -> str:
        try:
            row = self._control.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        except psycopg.errors.InsufficientPrivilege:
            # Some hosting services keep the function to themselves.
            return ""
        return "" if row is None else str(row[0])

    def _settings(self) -> str:
        """All settings in one statement: every round trip counts where tables are small."""
        settings = dict(_SETTINGS)
        if self.version >= 170000:  # noqa: PLR2004 - the setting came with 17
            settings["transaction_timeout"] = "0"
        calls = [
            sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
            for name, value in settings.items()
        ]
        return self.text(sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls)))

    def _run(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._control.execute(statement.encode())

    def query(
        self, statement: Statement, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        """Rows of a query on the catalogue, in the snapshot.

        Raises:
            psycopg.Error: it failed, and with it the snapshot.
        """
        return self._control.execute(statement, parameters or None).fetchall()

    def query_data(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Rows of a query that may fail on what is in a table or on permissions, in the snapshot.

        Raises:
            psycopg.Error: it failed; the snapshot stays usable.
        """
        # The savepoint keeps one source's failed query from ending the other's transaction.
        with self._control.transaction():
            return self._control.execute(statement).fetchall()

    def text(self, statement: sql.Composable) -> str:
        """A composed statement as the server's connection would quote it."""
        return statement.as_string(self._control)

    def batches(self, query: sql.Composable) -> Generator[pa.RecordBatch]:
        """The rows of a query over a reading connection of its own; callable from any thread.

        Raises:
            adbc_driver_manager.Error: it failed.
            KallaError: no further connection came about.
        """
        text = self.text(query)
        with self._reader() as reader, closing(reader.batches(text)) as batches:
            yield from batches

    @contextmanager
    def _reader(self) -> Generator[Reader]:
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._new_reader()
        self._busy.add(reader)
        try:
            yield reader
        except BaseException:
            # In mid-query or in a failed transaction: of no further use.
            reader.close()
            raise
        else:
            self._idle.append(reader)
        finally:
            self._busy.discard(reader)

    def _new_reader(self) -> Reader:
        try:
            return Reader(self.address, self._start)
        except AdbcError as error:
            if "snapshot" in str(error):
                raise KallaError(
                    Code.SOURCE_CHANGED,
                    f"The snapshot of the database {self.address.database!r} is gone; start again.",
                ) from error
            raise

    def close(self) -> None:
        """Let go of the moment and close all connections, also of rows that nobody read to the end."""
        for reader in (*self._idle, *self._busy):
            reader.close()
        self._idle.clear()
        self._control.close()


def snapshot_of(address: PostgresAddress, session: ReadSession) -> Snapshot:
    """The session's snapshot of a database, taken when first asked for, in whichever thread that is."""
    # The connection string holds the password: as a key it must not be found by a debugger's dump.
    key = f"postgres connection {hash(address.conninfo):x}"
    with cast("Lock", session.shared.setdefault("postgres lock", Lock())):
        found = session.shared.get(key)
        if isinstance(found, Snapshot) and found.address.conninfo == address.conninfo:
            return found
        snapshot = Snapshot(address, session)
        session.closing.callback(snapshot.close)
        session.shared[key] = snapshot
        return snapshot
