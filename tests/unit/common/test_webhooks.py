"""Only a callback with a fresh and right signature is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from kalla_common.errors import Code, KallaError
from kalla_common.webhooks import sign, verify

SECRET = "whsec_" + "c2VjcmV0" * 4
OTHER = "whsec_" + "b3RoZXIh" * 4


def test_a_signed_callback_is_believed() -> None:
    verify(SECRET, sign(SECRET, "m1", b'{"ok":true}'), b'{"ok":true}')


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        (sign(OTHER, "m1", b"{}"), b"{}"),
        (sign(SECRET, "m1", b"{}"), b'{"a":1}'),
        (sign(SECRET, "m1", b"{}") | {"webhook-id": "m2"}, b"{}"),
        (sign(SECRET, "m1", b"{}", datetime.now(UTC) - timedelta(hours=1)), b"{}"),
        (sign(SECRET, "m1", b"{}") | {"webhook-timestamp": "soon"}, b"{}"),
        (sign(SECRET, "m1", b"{}"), b"\xff"),
    ],
)
def test_anything_else_is_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(KallaError) as caught:
        verify(SECRET, headers, body)
    assert caught.value.code is Code.UNAUTHENTICATED
