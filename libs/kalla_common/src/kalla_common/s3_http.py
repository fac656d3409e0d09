"""The HTTP of the S3 client that writes: it stays with the store that it was given.

Apart from `s3`, because it loads the client.
"""

from __future__ import annotations

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientSession, TraceConfig
from botocore.exceptions import HTTPClientError


class StayingSession(AIOHTTPSession):
    """Follows no redirect: the client would send its session token and the data to whoever is named."""

    async def _get_session(self, proxy_url: str | None) -> ClientSession:
        # The client's type stubs leave this method out.
        inner = super()._get_session  # pyright: ignore[reportAttributeAccessIssue]
        opened: ClientSession = await inner(proxy_url)
        if not opened.trace_configs:
            watch = TraceConfig()
            watch.on_request_redirect.append(_refuse)
            watch.freeze()
            opened.trace_configs.append(watch)
        return opened


async def _refuse(*_: Any) -> None:
    raise HTTPClientError(error="the store points to another address, which is not followed")
