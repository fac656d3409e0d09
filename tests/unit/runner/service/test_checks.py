"""The shape of a job is judged before anything is read."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.domain import JobSpec, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.checks import check_spec

GOOD = JobSpec(
    run_id="a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    match_sql="SELECT 1",
    sources=(SourceSpec("l", "l.csv"), SourceSpec("r", "r.csv"), SourceSpec("rates", "x.csv")),
    output_path="/data/out",
    primary_keys={"l": ("id",), "r": ("a", "b")},
    callback_url="http://localhost:3001/api/worker",
)


def test_a_whole_job_is_let_in() -> None:
    check_spec(GOOD)
    check_spec(replace(GOOD, callback_url=""))


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"run_id": "../../etc"}, Code.INVALID_REQUEST, "UUID"),
        ({"run_id": "{a1b2c3d4-e5f6-7890-abcd-ef1234567890}"}, Code.INVALID_REQUEST, "UUID"),
        ({"run_id": "a1b2c3d4e5f67890abcdef1234567890"}, Code.INVALID_REQUEST, "UUID"),
        ({"match_sql": "  "}, Code.INVALID_REQUEST, "match_sql"),
        ({"output_path": ""}, Code.INVALID_REQUEST, "output_path"),
        ({"output_path": "/a\0b"}, Code.INVALID_REQUEST, "output_path"),
        ({"callback_url": "ftp://host/x"}, Code.INVALID_REQUEST, "callback_url"),
        ({"callback_url": "http:///x"}, Code.INVALID_REQUEST, "callback_url"),
        ({"callback_url": "http://[::1"}, Code.INVALID_REQUEST, "callback_url"),
        ({"callback_url": "http://host:99999/"}, Code.INVALID_REQUEST, "callback_url"),
        ({"run_id": "a1b2c3d4e5f6-7890-abcd-ef1234567890-"}, Code.INVALID_REQUEST, "UUID"),
        ({"run_id": "a1b2c3d4-e5f6-7890-abcd-ef12345_7890"}, Code.INVALID_REQUEST, "UUID"),
        ({"run_id": "a1b2c3d4-e5f6-7890-abcd-ef123456789\u0663"}, Code.INVALID_REQUEST, "UUID"),
        ({"run_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890\n"}, Code.INVALID_REQUEST, "UUID"),
        (
            {"sources": (SourceSpec("l", "postgres://h\n/d?table=t"), *GOOD.sources[1:])},
            Code.INVALID_URI,
            "'l'",
        ),
        ({"sources": (SourceSpec("l", "a\0.csv"), *GOOD.sources[1:])}, Code.INVALID_URI, "'l'"),
        ({"sources": GOOD.sources[:1]}, Code.INVALID_REQUEST, "two sources"),
        ({"sources": (GOOD.sources[0], GOOD.sources[0])}, Code.INVALID_REQUEST, "'l'"),
        ({"sources": (SourceSpec("", "x"), GOOD.sources[1])}, Code.INVALID_REQUEST, "alias"),
        ({"primary_keys": {"l": ("id",)}}, Code.INVALID_PRIMARY_KEY, "'r'"),
        ({"primary_keys": {"l": (), "r": ("id",)}}, Code.INVALID_PRIMARY_KEY, "'l'"),
        ({"primary_keys": {"l": ("id",), "r": ("a", "a")}}, Code.INVALID_PRIMARY_KEY, "'r'"),
        ({"primary_keys": {"l": ("",), "r": ("a",)}}, Code.INVALID_PRIMARY_KEY, "'l'"),
        ({"primary_keys": {"l": ("i",), "r": ("a",), "z": ("b",)}}, Code.INVALID_PRIMARY_KEY, "'z'"),
    ],
)
def test_a_wrong_job_is_refused_with_what_is_wrong(changes: dict[str, object], code: Code, says: str) -> None:
    with pytest.raises(KallaError) as refused:
        check_spec(replace(GOOD, **changes))  # pyright: ignore[reportArgumentType] - wrong on purpose
    assert refused.value.code is code
    assert says in refused.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://host/a\nb",
        "http://host/a\r\nX-Evil: 1",
        "http://ho\tst/",
        "http://host/\x00",
        "http://host/\x7f",
        "http://host/\x85",
        "http://host/\u2028",
        " http://host/",
        "http://host/ ",
        "http://host/a b",
        "http://user@host/",
        "http://user:secret@host/",
        "http://@host/",
        "http://host\\@evil.example/",
        "http://host/?token=1",
        "http://host/#part",
        "http://host/%zz",
        "http://h\u00f6st/",
        "http://[::1",
        "http://:80/",
        "http://host:0/",
        "http://host:65536/",
        "http://host:port/",
        "http:host/",
        "//host/",
        "HTTP:///x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://host/" + "a" * 2048,
    ],
)
def test_a_callback_url_that_cannot_be_called_as_written_is_refused(url: str) -> None:
    with pytest.raises(KallaError, match="callback_url") as refused:
        check_spec(replace(GOOD, callback_url=url))
    assert refused.value.code is Code.INVALID_REQUEST
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:3001/api/worker",
        "https://hooks.example.com",
        "http://10.0.0.1:8080/a/b/",
        "http://[fd00::5]:3001/x",
        "https://h/a%20b/~c;d=1",
        "http://kalla_gateway.ns.svc:3001/api/worker",
    ],
)
def test_any_other_callback_url_is_let_in(url: str) -> None:
    check_spec(replace(GOOD, callback_url=url))


@given(st.text(max_size=40))
def test_what_is_let_in_is_sent_to_the_host_that_was_judged(text: str) -> None:
    url = f"http://host.example/{text}"
    try:
        check_spec(replace(GOOD, callback_url=url))
    except KallaError:
        return
    request = httpx.Request("POST", f"{url}/complete")
    assert (request.url.host, request.headers["host"]) == ("host.example", "host.example")
    assert str(request.url).endswith("/complete")
