"""An elasticsearch:// or opensearch:// URI taken apart: where to connect, and which index to read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import unquote

from kalla_common.errors import Code, KallaError

DEFAULT_PORT: Final = 9200
_SCHEME: Final = re.compile(r"(?P<product>elasticsearch|opensearch)(?P<tls>\+https)?://", re.IGNORECASE)
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+)(?::(?P<port>\d{1,5}))?")
# What no index name may hold, but * for a pattern and , between names.
_BAD_IN_NAME: Final = re.compile(r'[\s"\\/<>|?#]|[A-Z]')
_PARAMETERS: Final = frozenset({"verify_certs", "ca_certs", "api_key"})
_HOW_TO: Final = "opensearch://user:password@host:9200/index"


class Product(StrEnum):
    """The two search engines."""

    ELASTICSEARCH = "elasticsearch"
    OPENSEARCH = "opensearch"

    @property
    def label(self) -> str:
        """Its name as people write it."""
        return "Elasticsearch" if self is Product.ELASTICSEARCH else "OpenSearch"


@dataclass(frozen=True, slots=True)
class SearchAddress:
    """What a URI of a search engine says.

    Attributes:
        product: which of the two engines it names.
        tls: whether to speak HTTPS.
        host: name or address, without brackets.
        port: TCP port.
        prefix: the path before the index, for a server behind a proxy; "" or "/path".
        index: name of an index, alias or data stream, a pattern, or several of these with commas.
        login: user and password, None for none.
        api_key: an encoded API key (Elasticsearch alone), None for none.
        verify_certs: whether the server's certificate is checked.
        ca_certs: file with the authorities to trust, None for the system's.
    """

    product: Product
    tls: bool
    host: str
    port: int
    prefix: str
    index: str
    login: tuple[str, str] | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    verify_certs: bool = True
    ca_certs: Path | None = None

    @property
    def server(self) -> str:
        """host:port, to be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(uri: str) -> SearchAddress:
    """Take a URI apart.

    Raises:
        KallaError: INVALID_URI, saying how to write it.
    """
    scheme = _SCHEME.match(uri)
    if scheme is None:
        _refuse("The URI does not begin with elasticsearch:// or opensearch://")
    product, tls = Product(scheme["product"].lower()), bool(scheme["tls"])
    login, host, port, path, query = _split(uri[scheme.end() :])
    prefix, _, index = path.rpartition("/")
    settings = _settings(query)
    api_key = settings.get("api_key")
    if api_key is not None and product is Product.OPENSEARCH:
        _refuse("OpenSearch knows no api_key")
    if api_key is not None and login is not None:
        _refuse("The URI holds both a user and an api_key; give one of them")
    if not tls and ("verify_certs" in settings or "ca_certs" in settings):
        _refuse(f"verify_certs and ca_certs are for {product}+https:// alone")
    verify = settings.get("verify_certs", "true").lower()
    if verify not in ("true", "false"):
        _refuse("The parameter verify_certs can be true or false")
    ca_certs = settings.get("ca_certs")
    return SearchAddress(
        product,
        tls,
        host,
        port,
        prefix,
        _index(index),
        login,
        api_key,
        verify_certs=verify == "true",
        ca_certs=None if ca_certs is None else Path(ca_certs),
    )


def _split(rest: str) -> tuple[tuple[str, str] | None, str, int, str, str]:
    # The credentials end at the last @ before the path, so that a password may hold one.
    credentials, at, place = rest.partition("/")[0].rpartition("@")
    address, _, query = rest[len(credentials) + len(at) :].partition("?")
    place, _, path = address.partition("/")
    found = _HOST.fullmatch(place)
    if found is None:
        _refuse("The URI names no host, or its user or password holds a / that is not percent-encoded")
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port < 1 << 16:
        _refuse("The port is not a number from 1 to 65535")
    login = None
    if at:
        user, colon, password = credentials.partition(":")
        if not user or not colon:
            _refuse("The URI has a user without a password, or a password without a user")
        login = _decoded(user), _decoded(password)
    return login, found["host"].strip("[]"), port, f"/{path}" if path else "", query


def _settings(query: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for parameter in filter(None, query.split("&")):
        key, _, value = parameter.partition("=")
        name = unquote(key)
        if name not in _PARAMETERS:
            _refuse(f"The parameter {name[:40]!r} is unknown; known are {', '.join(sorted(_PARAMETERS))}")
        if name in settings:
            _refuse(f"The parameter {name} is given twice")
        settings[name] = _decoded(value)
        if not settings[name]:
            _refuse(f"The parameter {name} is empty")
    return settings


def _index(part: str) -> str:
    index = _decoded(part)
    if not index:
        _refuse("The URI names no index")
    if _BAD_IN_NAME.search(index) or index in (".", "..") or index[0] in "-+":
        _refuse(f"{index[:80]!r} cannot be the name of an index (lower case, no spaces, no quotes)")
    return index


def _decoded(value: str) -> str:
    try:
        text = unquote(value, errors="strict")
    except UnicodeDecodeError:
        _refuse("A part of the URI is not percent-encoded UTF-8")
    if any(character < " " for character in text):
        _refuse("A part of the URI has a control character")
    return text


def _refuse(problem: str) -> NoReturn:
    raise KallaError(
        Code.INVALID_URI,
        f"{problem}: write {_HOW_TO}, or elasticsearch+https://... for Elasticsearch or TLS.",
    )
