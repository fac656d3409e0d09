"""Who may report on runs."""

from __future__ import annotations

import base64

import pytest
from kalla_common.errors import Code, KallaError
from kalla_common.webhooks import sign
from kalla_gateway.worker.auth import check_caller

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BODY = b'{"run_id": "1"}'


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_without_a_secret_this_machine_may_report(host: str) -> None:
    check_caller(None, host, {}, BODY)


@pytest.mark.parametrize("host", ["10.0.0.9", "::ffff:10.0.0.9", "2001:db8::1", "localhost", "", None])
def test_without_a_secret_others_may_not_report(host: str | None) -> None:
    with pytest.raises(KallaError) as caught:
        check_caller(None, host, {}, BODY)
    assert caught.value.code is Code.CALLER_NOT_ALLOWED
    assert caught.value.info.http_status == 403


def test_with_a_secret_a_signed_callback_is_taken_from_anywhere() -> None:
    check_caller(SECRET, "10.0.0.9", sign(SECRET, "1", BODY), BODY)


def test_with_a_secret_this_machine_must_sign_too() -> None:
    with pytest.raises(KallaError) as caught:
        check_caller(SECRET, "127.0.0.1", {}, BODY)
    assert caught.value.code is Code.UNAUTHENTICATED


def test_a_signature_holds_for_its_body_alone() -> None:
    with pytest.raises(KallaError):
        check_caller(SECRET, "127.0.0.1", sign(SECRET, "1", BODY), BODY.replace(b"1", b"2"))
