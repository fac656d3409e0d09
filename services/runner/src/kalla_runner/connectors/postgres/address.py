"""A postgres:// URI taken apart: where to connect, and which table to read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import unquote

import psycopg
from kalla_common.errors import Code, KallaError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_DEFAULTS: Final = {
    "application_name": "kalla",
    "connect_timeout": "10",
    # A server that is gone without a word is noticed within a minute.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_OWN_PARAMETERS: Final = frozenset({"table", "schema", "on_nan"})
_HOW_TO: Final = "postgres://user:password@host:5432/database?table=table_name"
# A name is "quoted", with "" for a quote inside, or anything without dots and quotes.
_NAME: Final = re.compile(r'"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^".]+)')


@dataclass(frozen=True, slots=True)
class Name:
    """One identifier. A quoted one is meant letter by letter, a plain one in any case."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """What a postgres:// URI says.

    Attributes:
        conninfo: libpq connection string, with the secrets: never to be shown or logged.
        server: host:port, to be shown.
        database: the database's name.
        schema: the schema asked for, None for the server's search path.
        table: the table or view asked for.
        nan_as_null: whether NaN and infinite values become NULL instead of an error.
    """

    conninfo: str = field(repr=False)
    server: str
    database: str
    schema: Name | None
    table: Name
    nan_as_null: bool


def parse_address(uri: str) -> PostgresAddress:
    """Take a URI apart.

    Raises:
        KallaError: INVALID_URI, saying how to write it.
    """
    base, own = _split(uri)
    settings = _libpq_settings(base)
    schema, table = _table_name(own.get("table", ""))
    if "schema" in own:
        if schema is not None:
            _refuse("The schema is given twice, in table= and in schema=; give it once")
        schema = _one_name(own["schema"])
    on_nan = own.get("on_nan", "error")
    if on_nan not in ("error", "null"):
        _refuse("The parameter on_nan can be error or null")
    for name, value in _DEFAULTS.items():
        settings.setdefault(name, value)
    settings["client_encoding"] = "UTF8"
    host = settings.get("host") or settings.get("hostaddr") or "localhost"
    return PostgresAddress(
        conninfo=make_conninfo("", **settings),
        server=f"{host}:{settings.get('port') or 5432}",
        database=settings.get("dbname") or settings.get("user", ""),
        schema=schema,
        table=table,
        nan_as_null=on_nan == "null",
    )


def _split(uri: str) -> tuple[str, dict[str, str]]:
    """Return the URI as libpq knows it, and the parameters that are Kalla's own."""
    scheme, colon, rest = uri.partition("://")
    if not colon or scheme.lower() not in ("postgres", "postgresql"):
        _refuse("The URI does not begin with postgres:// or postgresql://")
    # A password may hold a ?: the query begins after the @ that ends the credentials.
    credentials_end = rest.partition("/")[0].rfind("@") + 1
    address, _, query = rest[credentials_end:].partition("?")
    address = rest[:credentials_end] + address
    own: dict[str, str] = {}
    passed: list[str] = []
    for parameter in filter(None, query.split("&")):
        key, _, value = parameter.partition("=")
        if unquote(key) not in _OWN_PARAMETERS:
            passed.append(parameter)
        elif unquote(key) in own:
            _refuse(f"The parameter {unquote(key)} is given twice")
        else:
            own[unquote(key)] = _decoded(value)
    return f"postgresql://{address}" + (f"?{'&'.join(passed)}" if passed else ""), own


def _decoded(value: str) -> str:
    try:
        text = unquote(value, errors="strict")
    except UnicodeDecodeError:
        _refuse("A parameter is not percent-encoded UTF-8")
    if "\0" in text:
        _refuse("A parameter has a NUL character")
    return text


def _libpq_settings(base: str) -> dict[str, str]:
    try:
        settings = {key: str(value) for key, value in conninfo_to_dict(base).items() if value is not None}
    except psycopg.Error:
        # libpq's own message repeats the broken part, which may be the password.
        _refuse("The URI has a part or a parameter that PostgreSQL does not know")
    for port in settings.get("port", "").split(","):
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
            _refuse("The port is not a number from 1 to 65535")
    return settings


def _table_name(text: str) -> tuple[Name | None, Name]:
    if not text:
        _refuse("The URI names no table")
    names: list[Name] = []
    position = 0
    while position < len(text) or not names:
        match = _NAME.match(text, position)
        if match is None:
            _refuse(f"The table name {text!r} cannot be understood")
        names.append(_name(match))
        position = match.end()
        if position < len(text):
            if text[position] != "." or position + 1 == len(text):
                _refuse(f"The table name {text!r} cannot be understood")
            position += 1
    if len(names) > 2:  # noqa: PLR2004 (schema and table)
        _refuse(f"The table name {text!r} has more parts than schema and table")
    return (names[0], names[1]) if len(names) > 1 else (None, names[0])


def _one_name(text: str) -> Name:
    if not text:
        _refuse("The schema is empty")
    match = _NAME.fullmatch(text)
    # A schema has no second part: a plain one may hold dots.
    return _name(match) if match else Name(text, quoted=True)


def _name(match: re.Match[str]) -> Name:
    quoted = match["quoted"]
    return Name(match["plain"]) if quoted is None else Name(quoted.replace('""', '"'), quoted=True)


def _refuse(problem: str) -> NoReturn:
    raise KallaError(
        Code.INVALID_URI, f'{problem}: write {_HOW_TO}, or table=schema.table, or table="Quoted Name".'
    )
