"""Talks to OpenSearch."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

import opensearchpy

from kalla_runner.connectors.search.address import SearchAddress
from kalla_runner.connectors.search.clients import (
    CONNECTIONS,
    SECONDS,
    Answer,
    UnansweredError,
    Unread,
    dumps,
    headers_of,
)


class OpenSearchClient:
    """OpenSearch 2 and 3, by `opensearch-py`."""

    def __init__(self, address: SearchAddress, context: ssl.SSLContext | None) -> None:
        self._client = opensearchpy.OpenSearch(
            [{"host": address.host, "port": address.port, "url_prefix": address.prefix}],
            use_ssl=address.tls,
            ssl_context=context,
            timeout=SECONDS,
            max_retries=0,
            pool_maxsize=CONNECTIONS,
        )
        self._transport: Any = self._client.transport
        self._transport.serializer = self._transport.deserializer = Unread()
        self._headers = headers_of(address)

    def ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        seconds: float = SECONDS,
    ) -> Answer:
        """See Client."""
        content = None if body is None else dumps(body)
        try:
            text = self._transport.perform_request(
                method,
                path,
                params={**(parameters or {}), "request_timeout": seconds},
                body=content,
                headers=self._headers,
            )
        except opensearchpy.exceptions.SSLError as error:
            raise UnansweredError(tls=True) from error
        except opensearchpy.exceptions.ConnectionError as error:
            raise UnansweredError from error
        except opensearchpy.exceptions.TransportError as error:
            # The library has parsed the body of an error; there are no documents in it.
            return Answer(int(error.status_code), json.dumps(error.info))
        return Answer(200, text or "")

    def close(self) -> None:
        """See Client."""
        self._client.close()
