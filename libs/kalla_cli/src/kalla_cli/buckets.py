"""A bucket as the command line sees it: a client, and looks whether it is there and keeps what it gets."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import httpx
import obstore
from kalla_common.s3 import S3Settings
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_NO_SUCH_KEY: Final = "NoSuchKey"
_KEPT_KEY: Final = "kalla/kept"


def bucket_store(settings: S3Settings, bucket: str) -> S3Store:
    """A client of one bucket."""
    key_id, secret, token = settings.credentials()
    config: S3Config = {
        # Named in the path, a bucket is found at any endpoint.
        "endpoint": settings.endpoint,
        "region": settings.signing_region,
        "access_key_id": key_id,
        "secret_access_key": secret,
    }
    if token is not None:
        config["session_token"] = token
    return S3Store(bucket, config=config, client_options={"allow_http": settings.allow_http})


def look_at(settings: S3Settings, bucket: str, client: httpx.Client) -> str:
    """Ask for an object that is not there, and return S3's error code; "" if the bucket is usable.

    Raises:
        httpx.TransportError: the store cannot be reached.
    """
    answer = client.get(_signed(settings, bucket, "GET", "kalla/looks"))
    found = _CODE.search(answer.text)
    code = found[1] if found else f"HTTP {answer.status_code}"
    return "" if answer.is_success or code == _NO_SUCH_KEY else code


def keeps(settings: S3Settings, bucket: str, client: httpx.Client) -> bool:
    """Whether the bucket gives back what was put there: a small object, left for the next time.

    Raises:
        httpx.TransportError: the store cannot be reached.
    """
    content = b"kept"
    answer = client.get(_signed(settings, bucket, "GET", _KEPT_KEY))
    if answer.is_success:
        return answer.content == content
    if _NO_SUCH_KEY in answer.text:
        client.put(_signed(settings, bucket, "PUT", _KEPT_KEY), content=content)
    return False


def _signed(settings: S3Settings, bucket: str, method: Literal["GET", "PUT"], key: str) -> str:
    # Only the signing is obstore's: its own requests go through a proxy, also to loopback.
    return obstore.sign(bucket_store(settings, bucket), method, key, timedelta(minutes=1))
