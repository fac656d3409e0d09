"""Source URIs: what is refused, and secrets that survive being shown masked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_common.errors import Code, KallaError
from kalla_common.uris import mask_uri
from kalla_gateway.sources.uris import check_source, with_secret

_WORD = st.text("abcXYZ019-_.~%", min_size=1, max_size=12)
_PASSWORD = st.text("abcXYZ019-_.~%!$&'()+,;=*:", min_size=1, max_size=20).filter(lambda p: p != "***")


@settings(deadline=None)
@given(_WORD, _PASSWORD, _WORD, _WORD)
def test_trap_18_a_masked_uri_posted_back_is_the_stored_uri(
    user: str, password: str, host: str, table: str
) -> None:
    stored = f"postgres://{user}:{password}@{host}:5432/db?table={table}"
    masked = mask_uri(stored)
    assert masked == f"postgres://{user}:***@{host}:5432/db?table={table}"
    assert with_secret("a", masked, [stored]) == stored
    assert with_secret("a", stored, [masked]) == stored


@settings(deadline=None)
@given(_WORD, _PASSWORD)
def test_trap_18_a_stored_secret_never_goes_to_another_server(user: str, password: str) -> None:
    stored = f"postgres://{user}:{password}@db:5432/db?table=t"
    other = f"postgres://{user}:***@elsewhere:5432/db?table=t"
    with pytest.raises(KallaError) as caught:
        with_secret("a", other, [stored])
    assert caught.value.code is Code.INVALID_URI
    assert f":{password}@" not in caught.value.message


def test_the_first_stored_uri_that_fits_gives_the_secret() -> None:
    masked = "postgres://u:***@db/x?table=t"
    stored = [None, "postgres://u:one@other/x?table=t", "postgres://u:two@db/x?table=other"]
    assert with_secret("a", masked, stored) == "postgres://u:two@db/x?table=t"


def test_a_masked_uri_without_a_stored_one_is_refused() -> None:
    with pytest.raises(KallaError, match="give the password in full"):
        with_secret("a", "postgres://u:***@db/x?table=t", [None])


@pytest.mark.parametrize(
    ("source_type", "uri", "code"),
    [
        ("postgres", "postgres://db/x", Code.INVALID_URI),
        ("postgres", "postgres://db/x?table=", Code.INVALID_URI),
        ("postgres", "postgres://db/x?table=a&table=b", Code.INVALID_URI),
        ("postgres", "postgres://[db/x?table=a", Code.INVALID_URI),
        ("postgres", "/data/x.csv", Code.INVALID_URI),
        ("postgres", "mysql://db/x?table=t", Code.INVALID_URI),
        ("file", "postgres://db/x?table=t", Code.INVALID_URI),
        ("file", "   ", Code.INVALID_URI),
        ("elasticsearch", "postgres://db/x?table=t", Code.INVALID_URI),
        ("elasticsearch", "https://es:9200/index", Code.INVALID_URI),
        ("elasticsearch", "opensearch://u:p@es:9200/?verify_certs=false", Code.INVALID_URI),
        ("file", "opensearch://es:9200/index", Code.INVALID_URI),
        ("oracle", "oracle://db/x?table=t", Code.INVALID_REQUEST),
    ],
)
def test_a_uri_that_does_not_fit_its_type_is_refused(source_type: str, uri: str, code: Code) -> None:
    with pytest.raises(KallaError) as caught:
        check_source("a", source_type, uri)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("source_type", "uri"),
    [
        ("postgres", "postgres://u:p@db:5432/x?sslmode=require&table=s.t"),
        ("postgres", "POSTGRESQL://db/x?table=t"),
        ("file", "/data/x.csv"),
        ("file", "relative/x.parquet"),
        ("file", "s3://bucket/x.csv"),
        ("elasticsearch", "elasticsearch://es:9200/index"),
        ("elasticsearch", "elasticsearch+https://u:p@es:9200/index?ca_certs=/etc/ca.pem"),
        ("elasticsearch", "opensearch://es:9200/index"),
        ("elasticsearch", "OpenSearch+https://es/logs-*"),
    ],
)
def test_a_uri_that_fits_its_type_is_taken(source_type: str, uri: str) -> None:
    check_source("a", source_type, uri)
