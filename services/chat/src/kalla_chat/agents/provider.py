"""The model that the settings name, with time-outs and retries of its provider's own client."""

from __future__ import annotations

from kalla_common.errors import Code, KallaError
from pydantic_ai.models import Model

from kalla_chat.settings import ChatSettings


def make_model(settings: ChatSettings) -> Model:
    """Make the client; nothing is contacted.

    Raises:
        KallaError: INVALID_REQUEST if neither a key nor an address of one's own is set.
    """
    provider, _, name = (settings.model or "").partition(":")
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    if key is None and settings.model_base_url is None:
        raise KallaError(
            Code.INVALID_REQUEST,
            f"KALLA_CHAT_MODEL is {settings.model}: set KALLA_CHAT_MODEL_API_KEY, "
            "or KALLA_CHAT_MODEL_BASE_URL for an endpoint that needs no key.",
        )
    # Given in full, so that no key of the environment is sent to an address that was set here.
    return (_anthropic if provider == "anthropic" else _openai)(settings, name, key or "none")


def _anthropic(settings: ChatSettings, name: str, key: str) -> Model:
    from anthropic import AsyncAnthropic  # noqa: PLC0415 - one of the two is used
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

    client = AsyncAnthropic(
        api_key=key,
        base_url=settings.model_base_url or "https://api.anthropic.com",
        timeout=settings.model_request_seconds,
        max_retries=settings.model_retries,
    )
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


def _openai(settings: ChatSettings, name: str, key: str) -> Model:
    from openai import AsyncOpenAI  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    client = AsyncOpenAI(
        api_key=key,
        base_url=settings.model_base_url or "https://api.openai.com/v1",
        timeout=settings.model_request_seconds,
        max_retries=settings.model_retries,
    )
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))
