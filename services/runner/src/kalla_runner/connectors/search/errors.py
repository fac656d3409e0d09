"""What the engines answer, in the words of the error catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.search.address import SearchAddress
from kalla_runner.connectors.search.clients import Answer, UnansweredError

BUSY: Final = frozenset({429, 502, 503, 504})
"""Statuses of a server that may well answer a little later."""
_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_ELSEWHERE: Final = range(300, 400)

# The engines' names of errors: what each means to the person who runs a reconciliation.
_BY_TYPE: Final[dict[str, tuple[Code, str]]] = {
    "index_not_found_exception": (Code.DATA_NOT_FOUND, "the index does not exist"),
    "index_closed_exception": (Code.DATA_NOT_FOUND, "the index is closed; open it first"),
    "search_context_missing_exception": (
        Code.SOURCE_CHANGED,
        "the server gave up the point in time that was read; start again",
    ),
    "security_exception": (Code.ACCESS_DENIED, "the user lacks a permission on the index"),
    "circuit_breaking_exception": (
        Code.SOURCE_UNREACHABLE,
        "the server is short of memory (circuit breaker); try again later",
    ),
    "es_rejected_execution_exception": (Code.SOURCE_UNREACHABLE, "the server is overloaded; try again later"),
    "rejected_execution_exception": (Code.SOURCE_UNREACHABLE, "the server is overloaded; try again later"),
    "no_shard_available_action_exception": (
        Code.SOURCE_UNREACHABLE,
        "a part of the index (a shard) is not available",
    ),
}


def unanswered(error: UnansweredError, address: SearchAddress) -> KallaError:
    """Why no answer came."""
    name, server = address.product.label, address.server
    if error.tls:
        return KallaError(
            Code.SOURCE_UNREACHABLE,
            f"The {name} server {server} gave no TLS connection that can be trusted; check the port, its "
            "certificate, and ca_certs= in the URI.",
        )
    wrong_scheme = "" if address.tls else f" (a server with TLS needs {address.product}+https://)"
    return KallaError(
        Code.SOURCE_UNREACHABLE,
        f"The {name} server {server} cannot be reached or did not answer in time; check host, port and "
        f"network{wrong_scheme}.",
    )


def refused(answer: Answer, address: SearchAddress, what: str) -> KallaError:
    """Why an answer is none; `what` names what was read."""
    if answer.status == _UNAUTHENTICATED:
        return KallaError(
            Code.ACCESS_DENIED,
            f"The {address.product.label} server {address.server} refused the login; check user and "
            "password in the URI.",
        )
    found = list(error_types(answer))
    code, reason = next((_BY_TYPE[name] for name, _ in found if name in _BY_TYPE), (None, ""))
    if code is None:
        code, reason = _by_status(answer.status)
        said = next((text for _, text in found if text), "")
        reason += f": {said[:300]}" if said else ""
    return KallaError(code, f"Reading {what} failed because {reason.rstrip('.')}.", status=str(answer.status))


def _by_status(status: int) -> tuple[Code, str]:
    if status in _ELSEWHERE:
        return Code.SOURCE_UNREACHABLE, "the server names another address; write that one in the URI"
    if status == _FORBIDDEN:
        return Code.ACCESS_DENIED, "the user lacks a permission"
    if status == _TOO_MANY:
        return Code.SOURCE_UNREACHABLE, "the server is overloaded; try again later"
    if status >= _SERVER_ERROR:
        return Code.SOURCE_UNREACHABLE, "the server failed"
    return Code.INVALID_DATA, "the server refused the request"


def error_types(answer: Answer) -> Iterator[tuple[str, str]]:
    """The names and reasons of an answer's errors, the most telling ones (root causes) first."""
    try:
        body: Any = json.loads(answer.text)
    except ValueError:
        return
    error = cast("Mapping[str, Any]", body).get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return
    found = cast("dict[str, Any]", error)
    causes: list[Any] = [*found.get("root_cause", ()), found]
    causes += [shard.get("reason") for shard in found.get("failed_shards", ()) if isinstance(shard, dict)]
    for cause in causes:
        if isinstance(cause, dict):
            one = cast("dict[str, Any]", cause)
            yield str(one.get("type", "")), str(one.get("reason", ""))
