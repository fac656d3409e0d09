"""Reading connections: ADBC, which decodes binary COPY into Arrow and frees the GIL while it does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from threading import Lock
from typing import Final

import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcDatabase, AdbcStatement
from adbc_driver_manager import Error as AdbcError
from adbc_driver_manager._reader import AdbcRecordBatchReader

from kalla_runner.connectors.postgres.address import PostgresAddress
from kalla_runner.connectors.postgres.errors import connect_error

_MOST_DATABASES: Final = 16
_BATCH_BYTES: Final = 4 << 20
"""Size hint of a batch: memory per reader stays at a few of these, whatever the table's width."""
_OPTIONS: Final = {adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(_BATCH_BYTES)}


class Drivers:
    """Opened drivers by connection string.

    Opening one reads the server's type catalogue (measured: 60 to 90 ms), a connection from it
    takes 10 ms. A driver holds no connection while idle, so the last few used are kept.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._databases: OrderedDict[str, AdbcDatabase] = OrderedDict()

    def connect(self, address: PostgresAddress) -> AdbcConnection:
        """A new connection.

        Raises:
            KallaError: SOURCE_UNREACHABLE, ACCESS_DENIED or DATA_NOT_FOUND.
        """
        try:
            return AdbcConnection(self._database(address.conninfo))
        except AdbcError as error:
            raise connect_error(error, address.server, address.database) from error

    def _database(self, conninfo: str) -> AdbcDatabase:
        with self._lock:
            database = self._databases.get(conninfo)
        if database is None:
            # Outside the lock: a slow server must not hold up readers of another.
            database = adbc_driver_postgresql.connect(conninfo)
        with self._lock:
            self._databases[conninfo] = database
            self._databases.move_to_end(conninfo)
            if len(self._databases) > _MOST_DATABASES:
                # Dropped, not closed: connections of a running read may still need it.
                self._databases.popitem(last=False)
        return database


drivers: Final = Drivers()


class Reader:
    """One connection inside a snapshot; used by one thread at a time.

    Args:
        address: where to connect.
        begin: the statements that put the connection into the snapshot.
    """

    def __init__(self, address: PostgresAddress, begin: Sequence[str]) -> None:
        self._connection = drivers.connect(address)
        self._open = ExitStack()
        try:
            for statement in begin:
                self._execute(statement)
        except AdbcError:
            self._connection.close()
            raise

    def _execute(self, sql: str) -> None:
        with AdbcStatement(self._connection) as statement:
            statement.set_sql_query(sql)
            statement.execute_update()

    def batches(self, query: str) -> Generator[pa.RecordBatch]:
        """The rows of a query, as ADBC types them, a few megabytes at a time.

        Raises:
            adbc_driver_manager.Error: the query failed; the reader is of no further use.
        """
        with ExitStack() as self._open:
            statement = self._open.enter_context(AdbcStatement(self._connection))
            statement.set_options(**_OPTIONS)
            statement.set_sql_query(query)
            handle, _ = statement.execute_query()
            # This reader, other than pyarrow's own, raises ADBC's errors with their SQLSTATE.
            reader = AdbcRecordBatchReader._import_from_c(handle.address)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            yield from self._open.enter_context(reader)

    def close(self) -> None:
        """Close the connection, also with rows unread; not while another thread reads from it."""
        self._open.close()
        self._connection.close()
