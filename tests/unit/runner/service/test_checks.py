"""The shape of a job is judged before anything is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
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
