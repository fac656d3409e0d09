"""Which requests of browsers are refused: DNS rebinding, and pages of other sites."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import Code
from kalla_common.sites import Host, HostNames, OriginNames, Sites
from pydantic import TypeAdapter, ValidationError

SITES = Sites.of(
    "KALLA_GATEWAY",
    ("0.0.0.0", "fd00::5", "kalla-gateway", None),  # noqa: S104 - what a container listens on
    ("books.example.com", "ports.example.com:8443"),
    ("https://app.example.com",),
)
MY_ADDRESS = "10.0.0.5"


def code(host: str | None, arrived_at: str | None = MY_ADDRESS, **headers: str) -> Code | None:
    """The code of the refusal."""
    sent = [] if host is None else [(b"host", host.encode("latin-1"))]
    sent += [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    error = SITES.refusal(sent, arrived_at)
    if error is not None:
        assert error.message.endswith("."), error.message
        assert "KALLA_GATEWAY_ALLOWED_" in error.message or error.code is Code.INVALID_REQUEST
    return None if error is None else error.code


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:3001",
        "localhost.",
        "127.0.0.1:3001",
        "127.8.9.1",
        "[::1]:3001",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.5:3001",
        "[::ffff:10.0.0.5]",
        "[fd00::5]:3001",
        "kalla-gateway:3001",
        "BOOKS.example.com",
        "books.example.com.:444",
        "ports.example.com:8443",
    ],
)
def test_the_servers_own_names_are_answered(host: str) -> None:
    assert code(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3001",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "notlocalhost",
        "app.localhost",
        "sub.books.example.com",
        "books.example.com.evil.example",
        "ports.example.com",
        "ports.example.com:443",
        "10.0.0.6",
        "0.0.0.0:3001",
        "[::]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost:3001@evil.example",
        "localhost/evil",
        "localhost evil.example",
        "localhost,evil.example",
        "localhost:",
        "localhost:port",
        "[::1",
        "[evil]",
        "[fe80::1%25eth0]",
        "l\xf6calhost",
        ".",
        "",
        "localhost..",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    assert code(host) is Code.HOST_NOT_ALLOWED


def test_an_address_is_only_allowed_if_the_request_arrived_there() -> None:
    assert code("10.0.0.5", arrived_at="::ffff:10.0.0.5") is None
    assert code("10.0.0.5", arrived_at=None) is Code.HOST_NOT_ALLOWED
    assert code("evil.example", arrived_at="evil.example") is Code.HOST_NOT_ALLOWED


def test_a_request_needs_exactly_one_host() -> None:
    assert code(None) is Code.INVALID_REQUEST
    two = SITES.refusal([(b"host", b"localhost"), (b"host", b"evil.example")], None)
    assert two is not None
    assert two.code is Code.INVALID_REQUEST


@given(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){1,3}", fullmatch=True))
def test_no_name_of_the_dns_is_answered_unless_it_is_listed(name: str) -> None:
    host = Host.parse(name)
    assert host is not None
    if host.address is None and name not in {"books.example.com", "ports.example.com"}:
        assert code(name) is Code.HOST_NOT_ALLOWED


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:3001", "http://localhost:3001"),
        ("127.0.0.1:3001", "http://127.0.0.1:3001"),
        ("[::1]:3001", "http://[::1]:3001"),
        ("books.example.com", "https://books.example.com"),
        ("books.example.com:443", "https://books.example.com"),
        ("localhost:3001", "https://app.example.com"),
        ("localhost:3001", "HTTPS://APP.example.com"),
    ],
)
def test_its_own_pages_and_listed_sites_may_call(host: str, origin: str) -> None:
    assert code(host, origin=origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:3001",
        "http://localhost:3001.evil.example",
        "http://localhost:3001@evil.example",
        "https://app.example.com:444",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "ftp://localhost:3001",
        "localhost:3001",
        "null",
        "",
    ],
)
def test_the_page_of_another_origin_may_not_call(origin: str) -> None:
    assert code("localhost:3001", origin=origin) is Code.ORIGIN_NOT_ALLOWED


def test_two_origins_are_refused() -> None:
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"http://localhost")]
    error = SITES.refusal(headers, None)
    assert error is not None
    assert error.code is Code.ORIGIN_NOT_ALLOWED


@pytest.mark.parametrize(
    ("site", "allowed"),
    [("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False), ("?", False)],
)
def test_a_request_that_another_site_led_to_is_refused_without_an_origin_too(
    site: str, allowed: bool
) -> None:
    assert code("localhost:3001", sec_fetch_site=site) is (None if allowed else Code.ORIGIN_NOT_ALLOWED)
    same = code("localhost:3001", sec_fetch_site=site, origin="http://localhost:3001")
    assert same is (None if allowed else Code.ORIGIN_NOT_ALLOWED)
    assert code("localhost:3001", sec_fetch_site=site, origin="https://app.example.com") is None


def test_hosts_and_origins_are_a_json_list_or_names_between_commas() -> None:
    hosts: TypeAdapter[tuple[str, ...]] = TypeAdapter(HostNames)
    assert hosts.validate_python('["a.example", "b.example:80"]') == ("a.example", "b.example:80")
    assert hosts.validate_python(" a.example , [fd00::5]:3001,") == ("a.example", "[fd00::5]:3001")
    assert hosts.validate_python("") == ()
    origins: TypeAdapter[tuple[str, ...]] = TypeAdapter(OriginNames)
    assert origins.validate_python("https://App.example,http://b:80") == ("https://app.example", "http://b")


@pytest.mark.parametrize(
    "text", ["http://a.example", "a.example/x", "*", "a b", "[1, 2]", '["a"', '{"a": 1}']
)
def test_a_host_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(HostNames).validate_python(text)


@pytest.mark.parametrize(
    "text", ["a.example", "null", "*", "ftp://a", "https://", "https://a/x", "https://u@a"]
)
def test_an_origin_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(OriginNames).validate_python(text)
