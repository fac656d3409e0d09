"""Talks to Elasticsearch."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import elastic_transport
from elasticsearch import Elasticsearch

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


class ElasticsearchClient:
    """Elasticsearch 8 and 9, by `elasticsearch`."""

    def __init__(self, address: SearchAddress, context: ssl.SSLContext | None) -> None:
        # The library would make an unchecked context check again.
        trust: dict[str, Any] = {"ssl_context": context}
        if not address.verify_certs:
            trust = {"verify_certs": False, "ssl_show_warn": False}
        node = elastic_transport.NodeConfig(
            "https" if address.tls else "http",
            address.host,
            address.port,
            path_prefix=address.prefix,
            connections_per_node=CONNECTIONS,
            **trust,
        )
        self._client = Elasticsearch([node])
        self._transport: Any = self._client.transport
        self._transport.serializers = Unread()
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
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        content = None if body is None else dumps(body)
        try:
            meta, text = self._transport.perform_request(
                method, target, body=content, headers=self._headers, max_retries=0, request_timeout=seconds
            )
        except elastic_transport.TlsError as error:
            raise UnansweredError(tls=True) from error
        except elastic_transport.TransportError as error:
            raise UnansweredError from error
        return Answer(meta.status, text or b"")

    def close(self) -> None:
        """See Client."""
        self._client.close()
