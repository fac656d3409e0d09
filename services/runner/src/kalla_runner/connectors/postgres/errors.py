"""What PostgreSQL, libpq and ADBC say, in the words of the error catalogue."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg
from adbc_driver_manager import Error as AdbcError
from kalla_common.errors import Code, KallaError

_WRONG_LOGIN: Final = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|role \".*\" does not exist"
    r"|is not permitted to log in|permission denied for database",
)
_NO_DATABASE: Final = re.compile(r"database \".*\" does not exist")
_BUSY: Final = re.compile(r"too many (clients|connections)|remaining connection slots")
_STARTING: Final = re.compile(r"the database system is")
# What libpq itself says, in English, of a server that goes away while it is asked.
_CUT_OFF: Final = re.compile(
    r"server closed the connection|could not receive data|Connection reset|SSL SYSCALL|unexpected eof"
    r"|terminating connection|Broken pipe",
)
_TLS: Final = re.compile(r"\bSSL\b|certificate|sslmode", re.IGNORECASE)

# SQLSTATE, or its class of two letters: what it means to the person who runs a reconciliation.
_BY_STATE: Final[dict[str, tuple[Code, str]]] = {
    "57014": (Code.DEADLINE_EXCEEDED, "the server cancelled the query, as its statement_timeout asks"),
    "25P04": (Code.DEADLINE_EXCEEDED, "the server ended the transaction, as its transaction_timeout asks"),
    "55P03": (Code.DEADLINE_EXCEEDED, "a lock was not free in time; try again later"),
    "42501": (Code.ACCESS_DENIED, "the user lacks a permission"),
    "28": (Code.ACCESS_DENIED, "the user was refused"),
    "42P01": (Code.DATA_NOT_FOUND, "a table does not exist"),
    "42703": (Code.SOURCE_CHANGED, "a column was renamed or dropped; try again"),
    "3F000": (Code.DATA_NOT_FOUND, "a schema does not exist"),
    "3D000": (Code.DATA_NOT_FOUND, "the database does not exist"),
    "53": (Code.SOURCE_UNREACHABLE, "the server is out of resources; try again later"),
    "57P": (Code.SOURCE_UNREACHABLE, "the server is shutting down or not ready; try again later"),
    "08": (Code.SOURCE_UNREACHABLE, "the connection was lost; try again"),
    "40001": (Code.SOURCE_CHANGED, "the read was in conflict with recovery on a standby; try again"),
    "22": (Code.INVALID_DATA, "a value cannot be read"),
    "HV": (Code.SOURCE_UNREACHABLE, "a foreign table's own server cannot be read"),
}


def connect_error(error: Exception, server: str, database: str) -> KallaError:
    """Why no connection came about; `server` is host:port.

    libpq gives no SQLSTATE for a failed connection, so its English text decides; where the
    server speaks another language, having been asked for a password does.
    """
    text = str(error)
    if _NO_DATABASE.search(text):
        return KallaError(Code.DATA_NOT_FOUND, f"The database {database!r} does not exist on {server}.")
    if _BUSY.search(text):
        return KallaError(
            Code.SOURCE_UNREACHABLE,
            f"The PostgreSQL server {server} has no free connection; try again later or raise its limit.",
        )
    if _CUT_OFF.search(text) and not _WRONG_LOGIN.search(text):
        return KallaError(
            Code.SOURCE_UNREACHABLE,
            f"The PostgreSQL server {server} broke the connection off; try again, or check host and TLS.",
        )
    if _STARTING.search(text):
        return KallaError(
            Code.SOURCE_UNREACHABLE, f"The PostgreSQL server {server} is not ready; try again later."
        )
    if _WRONG_LOGIN.search(text) or _asked_for_password(error):
        return KallaError(
            Code.ACCESS_DENIED,
            f"The PostgreSQL server {server} refused the user; check user, password and pg_hba.conf.",
        )
    if _TLS.search(text):
        return KallaError(
            Code.SOURCE_UNREACHABLE,
            f"The PostgreSQL server {server} gave no TLS connection as asked; check sslmode, certificates.",
        )
    return KallaError(
        Code.SOURCE_UNREACHABLE,
        f"The PostgreSQL server {server} cannot be reached; check host, port and network.",
    )


def _asked_for_password(error: Exception) -> bool:
    connection = error.pgconn if isinstance(error, psycopg.Error) else None
    return connection is not None and (connection.needs_password or connection.used_password)


def query_error(error: psycopg.Error | AdbcError, what: str) -> KallaError:
    """Why a query failed; `what` names the table as people know it."""
    state = error.sqlstate or ""
    code, reason = _meaning(state)
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        said = error.diag.message_primary
    else:
        said = _first_line(str(error))
    if not state and _lost(error):
        code, reason = _BY_STATE["08"]
    tail = f": {said}" if said else ""
    return KallaError(code, f"Reading {what} failed because {reason}{tail}.", sqlstate=state)


def _meaning(state: str) -> tuple[Code, str]:
    for length in (5, 3, 2):
        found = _BY_STATE.get(state[:length])
        if found is not None and len(state) >= length:
            return found
    return Code.INVALID_DATA, "the server refused the query"


def _lost(error: psycopg.Error | AdbcError) -> bool:
    return bool(
        re.search(r"server closed|connection (is|to|not|already)|SSL SYSCALL|no connection", str(error))
    )


def _first_line(text: str) -> str:
    """The server's sentence out of ADBC's report, which also holds the whole query."""
    match = re.search(r"ERROR:\s+([^\n]*)", text)
    return match[1].strip().rstrip(".") if match else ""


@contextmanager
def reading(what: str) -> Generator[None]:
    """Turn the drivers' errors into KallaErrors about `what`."""
    try:
        yield
    except (psycopg.Error, AdbcError) as error:
        raise query_error(error, what) from error
