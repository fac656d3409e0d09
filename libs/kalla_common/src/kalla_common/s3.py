"""The one S3 store that a Kalla works with: where it is, and who Kalla is there.

The variables are those that S3's own tools read, so they have no prefix of Kalla's:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL
and AWS_ALLOW_HTTP. They are taken from the environment once, in `main`, and handed down:
S3 libraries would add what else they find there (a token, another endpoint) to what they are given.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator, model_validator

from kalla_common.errors import Code, KallaError

_PREFIX: Final = "AWS_"
_KEPT: Final = {"AWS_CA_BUNDLE"}
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ANY_REGION: Final = "us-east-1"
"""What S3-compatible stores sign with; only AWS itself tells regions apart."""


class S3Settings(BaseModel):
    """Address and credentials of the S3 store; without credentials there is none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    """Goes with temporary credentials."""
    region: str | None = None
    """Needed for AWS itself; a store with an endpoint of its own rarely cares."""
    endpoint_url: str | None = None
    """http(s)://host[:port] of an S3-compatible store; absent: AWS."""
    allow_http: bool = False
    """Whether the endpoint may be plain HTTP."""

    @field_validator("endpoint_url")
    @classmethod
    def _is_endpoint(cls, url: str | None) -> str | None:
        return None if url is None else checked_endpoint(url)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY need each other; set both or none")
        if self.configured and self.region is None and self.endpoint_url is None:
            raise ValueError(
                "AWS_REGION is missing; set it, or AWS_ENDPOINT_URL for a store that is not AWS's"
            )
        if self.endpoint_url is not None and self.endpoint_url.startswith("http://") and not self.allow_http:
            raise ValueError(
                "AWS_ENDPOINT_URL is plain HTTP; set AWS_ALLOW_HTTP=true to allow that, or use https://"
            )
        return self

    @property
    def configured(self) -> bool:
        """Whether there is a store to work with."""
        return self.access_key_id is not None

    @property
    def signing_region(self) -> str:
        """The region that requests are signed for."""
        return self.region or _ANY_REGION

    @property
    def endpoint(self) -> str:
        """Where the store answers: the endpoint that was set, else AWS's for the region."""
        return self.endpoint_url or f"https://s3.{self.signing_region}.amazonaws.com"

    def environment(self) -> dict[str, str]:
        """The variables that say the same to a process."""
        texts = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": _plain(self.secret_access_key),
            "AWS_SESSION_TOKEN": _plain(self.session_token),
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ALLOW_HTTP": "true" if self.allow_http else None,
        }
        return {name: text for name, text in texts.items() if text is not None}

    def credentials(self) -> tuple[str, str, str | None]:
        """Access key id, secret access key and session token.

        Raises:
            KallaError: STORE_NOT_CONFIGURED.
        """
        if self.access_key_id is None or self.secret_access_key is None:
            raise KallaError(
                Code.STORE_NOT_CONFIGURED,
                "This Kalla has no S3 store; set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION "
                "(and AWS_ENDPOINT_URL for a store that is not AWS's) and start it again.",
            )
        return self.access_key_id, self.secret_access_key.get_secret_value(), _plain(self.session_token)


def take_s3_settings(environment: MutableMapping[str, str] = os.environ) -> S3Settings:
    """The settings in the environment, and out of it: no library and no child finds AWS_* afterwards.

    Raises:
        KallaError: INVALID_REQUEST, one sentence that names the variable and shows no value.
    """
    found = {name: environment.pop(name) for name in tuple(environment) if name.startswith(_PREFIX)}
    # Whom to believe over TLS is no matter of one store.
    environment.update({name: found[name] for name in _KEPT & found.keys()})
    values = {name.removeprefix(_PREFIX).lower(): value for name, value in found.items() if value}
    if "default_region" in values:
        # The name that AWS's own tools had first, and still read.
        values.setdefault("region", values["default_region"])
    try:
        return S3Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["loc"]:
            message = f"{_PREFIX}{str(first['loc'][0]).upper()}: {message}"
        raise KallaError(Code.INVALID_REQUEST, f"{message}.") from None


def checked_bucket(name: str) -> str:
    """`name`, if S3 allows it for a bucket.

    Raises:
        ValueError: says which names it allows.
    """
    if not _BUCKET.fullmatch(name):
        raise ValueError("a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens")
    return name


def checked_endpoint(url: str) -> str:
    """`url` without a slash at its end, if it is http(s)://host[:port] and no more.

    Raises:
        ValueError: says what an endpoint is.
    """
    problem = "an S3 endpoint is http(s)://host[:port], without a path or a password"
    try:
        parts = urlsplit(url)
        proper = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        raise ValueError(problem) from None
    if not proper or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(problem)
    return f"{parts.scheme}://{parts.netloc}"


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
