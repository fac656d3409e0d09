"""What every service can be told from outside; each adds its own in its settings.py.

A settings object is built once, in `main`, from environment variables with the service's
prefix (such as KALLA_GATEWAY_LOG_LEVEL), and handed down. It never changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class TlsSettings(BaseModel):
    """TLS of the gRPC and Flight connections; all absent: plain text.

    `cert_file` and `key_file` prove who this process is; `ca_file` says whom it believes.
    With `require_client_cert` a server refuses callers without a certificate of that CA (mTLS).
    """

    model_config = ConfigDict(frozen=True)

    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    require_client_cert: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("tls needs cert_file and key_file together")
        if self.require_client_cert and (self.ca_file is None or self.cert_file is None):
            raise ValueError("tls.require_client_cert needs cert_file, key_file and ca_file")
        return self

    @property
    def server(self) -> bool:
        """Whether servers of this process speak TLS."""
        return self.cert_file is not None

    @property
    def client(self) -> bool:
        """Whether clients of this process speak TLS."""
        return self.ca_file is not None

    def read(self, file: Path | None) -> bytes | None:
        """The content of one of the files, None if it is not set."""
        return None if file is None else file.read_bytes()


class CommonSettings(BaseSettings):
    """Settings that every service has; subclasses set `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, env_nested_delimiter="__", extra="ignore")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = None
    """OTLP gRPC endpoint for traces, such as http://127.0.0.1:4317; absent: no export."""
    tls: TlsSettings = TlsSettings()
    grpc_reflection: bool = True
