"""The S3 store as the gateway uses it: it signs addresses and asks for sizes, and opens no object."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self

from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_common.telemetry import log

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 15
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's size and tag; another content has another tag."""

    size_bytes: int
    e_tag: str


class UploadStore:
    """The store of uploads; connects at the first call. Close it at the end.

    Args:
        settings: the store as Kalla reaches it.
        client_endpoint: the store as clients reach it, where that differs.
    """

    def __init__(self, settings: S3Settings, client_endpoint: str | None) -> None:
        self._settings = settings
        self._client_endpoint = client_endpoint or settings.endpoint_url
        self._clients: dict[str | None, S3Client] = {}
        self._opening = asyncio.Lock()
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def sign_put(self, bucket: str, key: str, seconds: int) -> str:
        """Return an address at which one PUT stores the object; no header has to go with it.

        Raises:
            KallaError: STORE_NOT_CONFIGURED.
        """
        client = await self._client(self._client_endpoint)
        return await client.generate_presigned_url(
            "put_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds, HttpMethod="PUT"
        )

    async def head(self, bucket: str, key: str) -> StoredObject | None:
        """Return what is stored under `key`, None if nothing is.

        Raises:
            KallaError: STORE_UNAVAILABLE, STORE_NOT_CONFIGURED.
        """
        client = await self._client(self._settings.endpoint_url)
        from botocore.exceptions import ClientError  # noqa: PLC0415 - loaded with the client

        with self._errors():
            try:
                answer = await client.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if _status(error) == _NOT_FOUND:
                    return None
                raise
        return StoredObject(answer["ContentLength"], answer["ETag"])

    async def _client(self, endpoint: str | None) -> S3Client:
        async with self._opening:
            if endpoint not in self._clients:
                self._clients[endpoint] = await self._open(endpoint)
            return self._clients[endpoint]

    async def _open(self, endpoint: str | None) -> S3Client:
        key_id, secret, token = self._settings.credentials()
        # A gateway that takes no uploads does not pay for this, and no request waits for it.
        await asyncio.to_thread(import_module, "aioboto3")
        import aioboto3  # noqa: PLC0415
        from aiobotocore.config import AioConfig  # noqa: PLC0415
        from kalla_common.s3_http import StayingSession  # noqa: PLC0415

        config = AioConfig(
            http_session_cls=StayingSession,
            signature_version="s3v4",
            # Only AWS has a host name for every bucket.
            s3={"addressing_style": "virtual" if endpoint is None else "path"},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 2, "mode": "standard"},
            # Else a signed address asks its client for a checksum.
            request_checksum_calculation="when_required",
        )
        session = aioboto3.Session(key_id, secret, token, self._settings.signing_region)
        return await self._closing.enter_async_context(
            session.client("s3", endpoint_url=endpoint, config=config)
        )

    @contextmanager
    def _errors(self) -> Generator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except ClientError as error:
            reason = f"refuses Kalla with HTTP status {_status(error)}; check its credentials and permissions"
            raise self._unavailable(reason, error) from error
        except (BotoCoreError, OSError) as error:
            raise self._unavailable("cannot be reached; check that it runs and try again", error) from error

    def _unavailable(self, reason: str, error: Exception) -> KallaError:
        log.warning("s3_store_unavailable", error=type(error).__name__, endpoint=self._settings.endpoint)
        return KallaError(Code.STORE_UNAVAILABLE, f"The S3 store {self._settings.endpoint} {reason}.")


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
