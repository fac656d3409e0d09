"""A bucket as the command line sees it: a client, and one look whether it is there."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import httpx
import obstore
from kalla_common.s3 import S3Settings
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_NO_SUCH_KEY: Final = "NoSuchKey"


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
    # Only the signing is obstore's: its own requests go through a proxy, also to loopback.
    url = obstore.sign(bucket_store(settings, bucket), "GET", "kalla/looks", timedelta(minutes=1))
    answer = client.get(url)
    found = _CODE.search(answer.text)
    code = found[1] if found else f"HTTP {answer.status_code}"
    return "" if answer.is_success or code == _NO_SUCH_KEY else code
