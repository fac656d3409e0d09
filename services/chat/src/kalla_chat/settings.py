"""What the chat service can be told from outside: KALLA_CHAT_* (nested: KALLA_CHAT_TLS__CA_FILE)."""

from __future__ import annotations

from decimal import Decimal

from kalla_common.settings import CommonSettings
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict


class ChatSettings(CommonSettings):
    """The chat service's settings; built once in `main`."""

    model_config = SettingsConfigDict(
        env_prefix="KALLA_CHAT_", frozen=True, env_nested_delimiter="__", extra="ignore"
    )

    host: str = "127.0.0.1"
    """Address that gRPC listens on."""
    port: int = Field(default=3003, ge=0, le=65535)
    """ChatService; 0 takes any free port, which the log line `chat_listening` names."""
    database_url: SecretStr
    """postgresql://user:password@host:port/database"""
    catalog_grpc: str = "127.0.0.1:3002"
    """CatalogService of a gateway, host:port."""
    runner_grpc: str = "127.0.0.1:50051"
    """Control address of the runner, host:port."""
    runner_flight: str = "127.0.0.1:50052"
    """Arrow Flight address of the runner, host:port."""
    database_pool: int = Field(default=5, ge=1)
    rows_seconds: float = Field(default=120.0, gt=0)
    """How long reading the rows of one source for inference may take."""
    trial_seconds: float = Field(default=300.0, gt=0)
    """How long a trial run may take."""
    turn_seconds: float = Field(default=900.0, gt=0)
    """How long the answer to one message may take, waiting for earlier ones not counted."""
    follow_seconds: float = Field(default=0.5, gt=0)
    """Pause between two looks at a run that a session waits for."""
    shutdown_seconds: float = Field(default=5.0, ge=0)
    """How long answers under way may go on after SIGTERM."""

    model: str | None = None
    """Model that leads the conversation, as anthropic:NAME or openai:NAME; absent: the guided agent."""
    model_api_key: SecretStr | None = None
    """Key of the provider; local endpoints need none."""
    model_base_url: str | None = None
    """Address of an OpenAI-compatible or Anthropic-compatible endpoint of one's own."""
    model_show_rows: bool = False
    """Show the model real values. Otherwise letters arrive as A and a, digits as 9."""
    model_request_seconds: float = Field(default=60.0, gt=0)
    """How long one request to the model may take."""
    model_seconds: float = Field(default=300.0, gt=0)
    """How long a whole answer of the model, with its tools, may take."""
    model_steps: int = Field(default=12, ge=1, le=100)
    """Requests to the model for one answer, at most."""
    model_retries: int = Field(default=2, ge=0, le=10)
    """How often a failed request is sent again, and a wrong call of a tool is given back."""
    model_max_tokens: int = Field(default=2000, ge=100)
    """Tokens of one response of the model, at most."""
    model_session_usd: Decimal | None = Field(default=None, gt=0)
    """Once a session has cost so much, the guided agent goes on; where prices are not known: never."""

    @field_validator("model")
    @classmethod
    def _named(cls, model: str | None) -> str | None:
        if not model:
            return None
        provider, _, name = model.partition(":")
        if provider not in ("anthropic", "openai") or not name:
            msg = "must be anthropic:NAME or openai:NAME (openai with a base URL for compatible endpoints)"
            raise ValueError(msg)
        return model

    @field_validator("model_base_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if not url:
            return None
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url
