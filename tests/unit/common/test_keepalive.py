"""Clients and servers of Kalla allow each other's pings."""

from __future__ import annotations

import pytest
from kalla_common.rpc.keepalive import KEEPALIVE, Keepalive


def test_a_server_allows_twice_as_many_pings_as_a_client_sends() -> None:
    client, server = dict(KEEPALIVE.client_options), dict(KEEPALIVE.server_options)
    allowed = server["grpc.http2.min_ping_interval_without_data_ms"]
    assert client["grpc.keepalive_time_ms"] >= 2 * allowed
    assert server["grpc.keepalive_permit_without_calls"] == 1


def test_a_dead_server_is_noticed_within_a_minute() -> None:
    assert KEEPALIVE.client_ms + KEEPALIVE.answer_ms <= 60_000


def test_values_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="cuts off"):
        Keepalive(client_ms=10_000, server_ms=6_000)
