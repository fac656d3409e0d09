"""Refuses requests that a web page of another site sends through somebody's browser.

Kalla has no login, so a browser that reaches its port must not be a way in. Two checks, made before
anything else looks at a request, close it:

| attack | check |
|---|---|
| DNS rebinding: a foreign name comes to mean this server's address | `Host` must be a name of this server |
| a form or script of another site, or of another port | `Origin`, `Sec-Fetch-Site` are absent or its own |

Programs other than browsers send neither `Origin` nor `Sec-Fetch-Site`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode
from starlette.types import ASGIApp, Receive, Scope, Send

from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import log

_HOST: Final = re.compile(
    r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_OWN_SITES: Final = frozenset({"same-origin", "none"})
_SHOWN: Final = 100
"""Characters of a refused header that a message repeats."""


@dataclass(frozen=True, slots=True)
class Host:
    """A `Host` header or a part of an origin.

    Attributes:
        name: in lower case; an address in its shortest form, without brackets.
        port: None if it is not written.
    """

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The host in `text`, None if it is none."""
        found = _HOST.fullmatch(text)
        if found is None:
            return None
        name = found["name"]
        if name.startswith("["):
            address = _address(name[1:-1])
            if address is None:
                return None
            name = str(address)
        else:
            # A closing dot is the root of the DNS: the same name.
            name = name.lower().removesuffix(".")
        return cls(name, int(found["port"]) if found["port"] else None) if name else None

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The name as an address, None if it is one that is looked up."""
        return _address(self.name)


@dataclass(frozen=True, slots=True)
class Sites:
    """Which hosts a server answers to, and whose pages may call it.

    Args:
        hosts: names and addresses, with a port only if it must be that one.
        origins: origins of other sites, such as https://app.example.com.
        prefix: of the settings to name in a refusal, such as KALLA_GATEWAY.
    """

    hosts: frozenset[Host]
    origins: frozenset[str]
    prefix: str

    @classmethod
    def of(
        cls, prefix: str, own: Iterable[str | None], hosts: Iterable[str], origins: Iterable[str]
    ) -> Sites:
        """The sites of a server.

        Args:
            prefix: of its settings.
            own: names and addresses that it listens on or gives to others; None and wildcard addresses are
                left out.
            hosts: what its settings allow beside them.
            origins: what its settings allow.
        """
        named = [f"[{name}]" if name.count(":") > 1 and name[0] != "[" else name for name in own if name]
        known = [Host.parse(name) for name in [*named, *hosts]]
        usable = (
            host for host in known if host and not (host.address is not None and host.address.is_unspecified)
        )
        return cls(frozenset(usable), frozenset(origins), prefix)

    def refusal(self, headers: Iterable[tuple[bytes, bytes]], arrived_at: str | None) -> KallaError | None:
        """Why a request is refused; None if it is not.

        Args:
            headers: of the request, names in lower case.
            arrived_at: the address of this server that the request was sent to, if it is known. It is
                allowed as a host: no foreign name can have its form.
        """
        sent: dict[bytes, list[str]] = {b"host": [], b"origin": [], b"sec-fetch-site": []}
        for name, value in headers:
            if name in sent:
                sent[name].append(value.decode("latin-1").strip())
        if len(sent[b"host"]) != 1:
            return KallaError(Code.INVALID_REQUEST, "A request needs exactly one Host header.")
        host = Host.parse(sent[b"host"][0])
        if host is None or not self._answers_to(host, arrived_at):
            return KallaError(
                Code.HOST_NOT_ALLOWED,
                f"This server does not answer to host {sent[b'host'][0][:_SHOWN]!r}; if that is its name, "
                f"add it to {self.prefix}_ALLOWED_HOSTS.",
            )
        return self._foreign_page(host, sent[b"origin"], sent[b"sec-fetch-site"])

    def _answers_to(self, host: Host, arrived_at: str | None) -> bool:
        if host in self.hosts or Host(host.name) in self.hosts or host.name == "localhost":
            return True
        address = host.address
        if address is None:
            return False
        return address.is_loopback or address == _address(arrived_at or "")

    def _foreign_page(self, host: Host, origins: list[str], sites: list[str]) -> KallaError | None:
        if len(origins) == 1 and origins[0].lower() in self.origins:
            return None
        if any(not _same_origin(origin, host) for origin in origins) or len(origins) > 1:
            return KallaError(
                Code.ORIGIN_NOT_ALLOWED,
                f"Web pages of {origins[0][:_SHOWN]!r} may not call this server; if you trust that site, "
                f"add it to {self.prefix}_ALLOWED_ORIGINS.",
            )
        if any(site.lower() not in _OWN_SITES for site in sites):
            return KallaError(
                Code.ORIGIN_NOT_ALLOWED,
                "A web page of another site led to this request, which this server refuses; open the address "
                f"yourself, or add the site to {self.prefix}_ALLOWED_ORIGINS.",
            )
        return None


class SiteGuard:
    """ASGI middleware: answers what `Sites` refuses, and hands on the rest."""

    def __init__(self, app: ASGIApp, sites: Sites) -> None:
        self._app = app
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        server = scope.get("server")
        error = self._sites.refusal(scope["headers"], server[0] if server else None)
        if error is None:
            await self._app(scope, receive, send)
            return
        log.warning("request_refused", code=error.code.value, error=error.message)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        # Written here: this comes before the application and its way of answering errors.
        content = json.dumps({"error": error.message, "code": error.code.value, "details": {}}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": error.info.http_status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _listed(value: Any) -> Any:
    """A JSON list, or names between commas, as a list."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be a JSON list of texts, or names between commas") from None
    return [name.strip() for name in value.split(",") if name.strip()]


def _hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if Host.parse(name) is None:
            msg = f"{name!r} is not a host; write kalla.example.com, 10.0.0.5 or [fd00::5], optionally :port"
            raise ValueError(msg)
    return names


def _origins(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        scheme, separator, rest = name.partition("://")
        if scheme.lower() not in _DEFAULT_PORTS or not separator or Host.parse(rest) is None:
            msg = f"{name!r} is not an origin; write https://app.example.com, with :port if it has one"
            raise ValueError(msg)
    return tuple(_written(name.lower()) for name in names)


def _written(origin: str) -> str:
    """An origin as browsers write it: without the port that its scheme has anyway."""
    scheme = origin.partition("://")[0]
    return origin.removesuffix(f":{_DEFAULT_PORTS[scheme]}")


HostNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_hosts)]
"""A setting: names and addresses, each host or host:port."""
OriginNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_origins)]
"""A setting: origins of web pages, each scheme://host or scheme://host:port."""


def _same_origin(origin: str, host: Host) -> bool:
    """Whether a page of `origin` came from `host`; which of them speaks TLS is for a proxy to know."""
    scheme, _, rest = origin.lower().partition("://")
    default, page = _DEFAULT_PORTS.get(scheme), Host.parse(rest)
    if default is None or page is None or page.name != host.name:
        return False
    port = page.port or default
    return port == host.port or (host.port is None and port == default)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket for both families shows its IPv4 addresses this way.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
