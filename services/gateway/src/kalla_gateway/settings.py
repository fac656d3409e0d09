"""What the gateway can be told from outside: KALLA_GATEWAY_* (nested: KALLA_GATEWAY_TLS__CA_FILE)."""

from __future__ import annotations

import base64
from pathlib import Path

from kalla_common.s3 import checked_bucket, checked_endpoint
from kalla_common.settings import CommonSettings
from kalla_common.sites import HostNames, OriginNames
from kalla_common.uris import base_url_problem
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict


class GatewaySettings(CommonSettings):
    """The gateway's settings; built once in `main`."""

    model_config = SettingsConfigDict(
        env_prefix="KALLA_GATEWAY_", frozen=True, env_nested_delimiter="__", extra="ignore"
    )

    host: str = "127.0.0.1"
    """Address that REST and gRPC listen on."""
    port: int = Field(default=3001, ge=0, le=65535)
    """REST; 0 takes any free port, which the log line `gateway_listening` names."""
    allowed_hosts: HostNames = ()
    """Hosts that REST answers to beside loopback, `host`, that of `callback_url` and the address called."""
    allowed_origins: OriginNames = ()
    """Web sites whose pages may call REST. Their browsers still hide the answers: there is no CORS."""
    grpc_port: int = Field(default=3002, ge=0, le=65535)
    """CatalogService; 0 takes any free port."""
    database_url: SecretStr
    """postgresql://user:password@host:port/database"""
    runner_grpc: str = "127.0.0.1:50051"
    """Control address of the runner, host:port."""
    runner_flight: str = "127.0.0.1:50052"
    """Arrow Flight address of the runner, host:port."""
    chat_grpc: str = "127.0.0.1:3003"
    """ChatService, host:port."""
    callback_url: str | None = None
    """Base of the worker callbacks as the runner reaches it; default: this host's REST port."""
    output_root: str = str(Path.home() / ".kalla" / "runs")
    """The outputs of a run go to <output_root>/<run_id>: on the runner's file system, or s3://bucket/prefix."""
    upload_bucket: str | None = None
    """S3 bucket that uploads go to; absent: this gateway takes no uploads."""
    upload_endpoint: str | None = None
    """http(s)://host[:port] of the S3 store as clients reach it; default: AWS_ENDPOINT_URL."""
    upload_url_seconds: int = Field(default=3600, ge=1, le=604_800)
    """How long an address for an upload may be used."""
    upload_max_bytes: int = Field(default=5 * 1024**3, ge=1)
    """A larger upload is refused when it is previewed or confirmed; a single PUT has 5 GiB at most."""
    webhook_secret: SecretStr | None = None
    """Secret shared with the runner (base64, whsec_...). Without it only loopback callers may report."""
    database_pool: int = Field(default=10, ge=1)
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    submit_seconds: float = Field(default=10.0, gt=0)
    """How long the runner may take to accept a job."""
    rows_seconds: float = Field(default=60.0, gt=0)
    """How long a preview, a filtered load or a page of results may take."""
    look_seconds: float = Field(default=5.0, gt=0)
    """How long registering a source waits for a look at it, and saving a recipe for a check of its SQL."""
    download_seconds: float = Field(default=3600.0, gt=0)
    """How long the download of a whole output may take."""
    chat_seconds: float = Field(default=900.0, gt=0)
    """How long the answer to a chat message may take."""
    silence_seconds: float = Field(default=5.0, gt=0)
    """The runner is asked about a run of which nothing was heard for so long."""
    reconcile_seconds: float = Field(default=2.0, gt=0)
    """Pause between two looks for silent runs."""
    heartbeat_seconds: float = Field(default=10.0, gt=0)
    """Pause between two signs of life on an event stream."""
    shutdown_seconds: int = Field(default=5, ge=0)
    """How long requests may go on after SIGTERM."""

    @field_validator("upload_bucket")
    @classmethod
    def _is_bucket(cls, name: str | None) -> str | None:
        return checked_bucket(name) if name else None

    @field_validator("upload_endpoint")
    @classmethod
    def _is_endpoint(cls, url: str | None) -> str | None:
        return checked_endpoint(url) if url else None

    @field_validator("callback_url")
    @classmethod
    def _is_base_url(cls, url: str | None) -> str | None:
        problem = base_url_problem(url) if url else None
        if problem is not None:
            msg = f"callback_url {problem}"
            raise ValueError(msg)
        return url.rstrip("/") if url else None

    @field_validator("output_root")
    @classmethod
    def _absolute_or_s3(cls, root: str) -> str:
        """A folder is made absolute; in s3://bucket the slashes stay as they are."""
        scheme, separator, rest = root.partition("://")
        if not separator:
            return str(Path(root).expanduser().absolute())
        if scheme != "s3":
            raise ValueError("output_root is a folder or s3://bucket/prefix")
        checked_bucket(rest.partition("/")[0])
        return root.rstrip("/")

    @field_validator("webhook_secret")
    @classmethod
    def _usable_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is None or not secret.get_secret_value():
            # An unset variable of a shell is an empty one.
            return None
        try:
            key = base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not key:
            # The text of the error must not show the secret.
            raise ValueError("webhook_secret must be base64, with or without whsec_") from None
        return secret
