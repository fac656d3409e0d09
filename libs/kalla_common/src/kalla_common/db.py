"""Kalla's own PostgreSQL: one engine a process, and sessions of two types.

A `ReadSession` runs in a read-only transaction, so a query path that writes by mistake
fails; a `WriteSession` commits once, when its block ends without an error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import log

UNAVAILABLE_MESSAGE: Final = "Kalla's database cannot be reached; check that it runs and try again."

_UNSTORABLE_STATES: Final = {"22021", "22P05"}
"""SQLSTATEs of a text that PostgreSQL cannot hold: it contains U+0000."""


class ReadSession(AsyncSession):
    """A session in a read-only transaction."""


class WriteSession(AsyncSession):
    """A session whose block commits once at its end."""


class Database:
    """The engine and its two kinds of sessions.

    Args:
        url: postgresql://user:password@host:port/database; a driver in the scheme is replaced.
        pool_size: connections kept; as many again are opened under load.
        connect_seconds: how long a connection attempt, and the wait for a free one, may take.

    Raises:
        KallaError: INVALID_URI if `url` is no PostgreSQL URL.
    """

    def __init__(self, url: str, *, pool_size: int = 10, connect_seconds: float = 5.0) -> None:
        self.url = _asyncpg_url(url)
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=connect_seconds,
            # A restarted server leaves dead connections in the pool.
            pool_pre_ping=True,
            connect_args={"timeout": connect_seconds, "command_timeout": 30.0},
            # Parameters carry source URIs with their passwords.
            hide_parameters=True,
        )
        self._read_engine = self.engine.execution_options(postgresql_readonly=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[ReadSession]:
        """Open a read-only session.

        Raises:
            KallaError: DATABASE_UNAVAILABLE.
        """
        with database_errors():
            async with ReadSession(self._read_engine, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[WriteSession]:
        """Open a session that commits when the block ends, and rolls back if it raises.

        Raises:
            KallaError: DATABASE_UNAVAILABLE; INVALID_REQUEST for a text that holds U+0000.
        """
        with database_errors():
            async with WriteSession(self.engine, expire_on_commit=False) as session, session.begin():
                yield session

    async def ping(self) -> None:
        """Raise DATABASE_UNAVAILABLE unless the database answers."""
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    def asyncpg_dsn(self) -> str:
        """The URL in the form that asyncpg itself takes, with the password."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def database_errors() -> Generator[None]:
    """Raise what the database cannot do as a KallaError; a defect of ours stays what it is."""
    try:
        yield
    except DBAPIError as error:
        raise _translated(error) from error
    except (PoolTimeoutError, ConnectionError, TimeoutError) as error:
        log.warning("database_unavailable", error=type(error).__name__)
        raise KallaError(Code.DATABASE_UNAVAILABLE, UNAVAILABLE_MESSAGE) from error


def _translated(error: DBAPIError) -> Exception:
    state: Any = getattr(error.orig, "sqlstate", None)
    if state in _UNSTORABLE_STATES:
        return KallaError(
            Code.INVALID_REQUEST, "A text in the request contains the character U+0000; leave it out."
        )
    # Class 08: connection, 28: credentials, 3D: no such database, 53: resources, 57P: shutdown.
    down = str(state or "").startswith(("08", "28", "3D", "53", "57P"))
    if down or error.connection_invalidated or _never_answered(error):
        log.warning("database_unavailable", error=type(error.orig).__name__, sqlstate=state)
        return KallaError(Code.DATABASE_UNAVAILABLE, UNAVAILABLE_MESSAGE)
    return error


def _never_answered(error: DBAPIError) -> bool:
    cause = error.orig.__cause__ if error.orig is not None else None
    return isinstance(cause, OSError)


def _asyncpg_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise KallaError(Code.INVALID_URI, "The database URL is not a valid URL.") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise KallaError(Code.INVALID_URI, "The database URL must begin with postgresql://.")
    return parsed.set(drivername="postgresql+asyncpg")
