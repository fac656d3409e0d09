"""Signed HTTP callbacks, by the Standard Webhooks scheme."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError

from kalla_common.errors import Code, KallaError


def sign(secret: str, message_id: str, body: bytes, now: datetime | None = None) -> dict[str, str]:
    """Return the headers webhook-id, webhook-timestamp and webhook-signature for `body`.

    Args:
        secret: base64, with or without the prefix whsec_.
        message_id: the same for every delivery of one message, so that it is applied once.
        body: the exact bytes that are sent.
        now: the time of signing, zone-aware; by default the present.
    """
    moment = now or datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode()),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """Check the signature of a received callback; it may be five minutes old at most.

    Raises:
        KallaError: UNAUTHENTICATED.
    """
    try:
        Webhook(secret).verify(body, {key.lower(): value for key, value in headers.items()})
    except (WebhookVerificationError, UnicodeDecodeError, ValueError) as error:
        raise KallaError(
            Code.UNAUTHENTICATED, "The callback's signature is missing, too old or wrong."
        ) from error
