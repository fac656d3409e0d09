"""Who may report on runs."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from kalla_common.errors import Code, KallaError
from kalla_common.webhooks import verify


def check_caller(secret: str | None, host: str | None, headers: Mapping[str, str], body: bytes) -> None:
    """Accept a signed callback; where no secret is set, one from this machine.

    Raises:
        KallaError: UNAUTHENTICATED, CALLER_NOT_ALLOWED.
    """
    if secret is not None:
        verify(secret, headers, body)
    elif not is_loopback(host):
        raise KallaError(
            Code.CALLER_NOT_ALLOWED,
            "Without a webhook secret only callers on this machine may report; set one on both sides.",
        )


def is_loopback(host: str | None) -> bool:
    """Whether an address is of this machine alone."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
