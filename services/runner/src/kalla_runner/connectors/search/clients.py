"""One way to talk to both engines, through the client library of each.

The libraries connect, pool, authenticate and time out. Answers leave here as text: both libraries
would read every number of a document as a float.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

import urllib3
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.search.address import Product, SearchAddress

CONNECTIONS: Final = 16
SECONDS: Final = 60.0
FIRST_SECONDS: Final = 10.0
"""For the first question, which costs a server nothing."""
_JSON: Final = {"accept": "application/json", "content-type": "application/json"}
"""Plain JSON: a versioned media type would be refused by a server of another major version."""


class UnansweredError(Exception):
    """No answer came. `tls` says that the connection failed in its TLS part."""

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__(tls)
        self.tls = tls


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer, whatever the status."""

    status: int
    text: str | bytes


class Client(Protocol):
    """A connected client of one engine; usable from several threads."""

    def ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        seconds: float = SECONDS,
    ) -> Answer:
        """Send a request once, and wait so many seconds for its answer.

        Raises:
            UnansweredError: the server cannot be reached or did not answer in time.
        """
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


def connect(address: SearchAddress) -> Client:
    """A client for the address; nothing is sent yet.

    Raises:
        KallaError: INVALID_URI for a ca_certs file that cannot be used.
    """
    context = _tls(address) if address.tls else None
    # Each library takes 0.2 to 0.4 s to import, and no source needs both.
    if address.product is Product.ELASTICSEARCH:
        from kalla_runner.connectors.search.elasticsearch import ElasticsearchClient  # noqa: PLC0415

        return ElasticsearchClient(address, context)
    from kalla_runner.connectors.search.opensearch import OpenSearchClient  # noqa: PLC0415

    return OpenSearchClient(address, context)


def _tls(address: SearchAddress) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca_certs)
    except (OSError, ssl.SSLError) as error:
        raise KallaError(
            Code.INVALID_URI,
            f"The file {address.ca_certs} of ca_certs holds no readable certificates in PEM.",
        ) from error
    if not address.verify_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # Said in the URI; no need to hear it again with every request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return context


class Unread:
    """Hands bodies on as they are, whatever their media type; takes the place of a library's serializers."""

    def dumps(self, data: Any, mimetype: str | None = None) -> Any:  # noqa: ARG002 - the libraries give it
        """The body of a request."""
        return data

    def loads(self, data: Any, mimetype: str | None = None) -> Any:  # noqa: ARG002
        """The body of an answer."""
        return data


def headers_of(address: SearchAddress) -> dict[str, str]:
    """JSON, and the login. Both engines read credentials as UTF-8, which the libraries do not send."""
    if address.login is not None:
        token = base64.b64encode(":".join(address.login).encode()).decode()
        return {**_JSON, "authorization": f"Basic {token}"}
    if address.api_key is not None:
        return {**_JSON, "authorization": f"ApiKey {address.api_key}"}
    return dict(_JSON)


def dumps(body: Any) -> bytes:
    """A request's body."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def path_of(*parts: str) -> str:
    """A path of percent-encoded parts; commas and stars of index names stay."""
    return "/" + "/".join(quote(part, safe=",*") for part in parts)
