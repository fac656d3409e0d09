"""No password is shown, and a masked URI posted back keeps its secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.telemetry import redact
from kalla_common.uris import MASK, mask_uri, restore_secret

SECRETS = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1).filter(lambda s: s != MASK)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgres://u:p@h:5432/db?table=t", "postgres://u:***@h:5432/db?table=t"),
        ("postgres://u:p%40x@h/db", "postgres://u:***@h/db"),
        ("postgres://u:p@ss@h/db", "postgres://u:***@h/db"),
        ("postgres://u:pa/ss?#@h/db", "postgres://u:***@h/db"),
        ("postgres://u:@?@h/db", "postgres://u:***@h/db"),
        ("postgres://u:a@b?c@h:1/db?table=t", "postgres://u:***@h:1/db?table=t"),
        ("postgres://u:p@h/db?table=a@b", "postgres://u:***@h/db?table=a@b"),
        ("postgres://u@h/db?table=t", "postgres://u@h/db?table=t"),
        ("postgres://h/db?password=x&table=t", "postgres://h/db?password=***&table=t"),
        ("/data/a:b@c.csv", "/data/a:b@c.csv"),
        ("s3://bucket/a@b.csv", "s3://bucket/a@b.csv"),
        ("elasticsearch://u:p@h:9200/index", "elasticsearch://u:***@h:9200/index"),
        ("opensearch+https://u:p@h/index", "opensearch+https://u:***@h/index"),
        ("elasticsearch+https://h/index?api_key=abc", "elasticsearch+https://h/index?api_key=***"),
    ],
)
def test_trap_18_passwords_are_masked(uri: str, shown: str) -> None:
    assert mask_uri(uri) == shown


@given(SECRETS)
def test_trap_18_a_masked_uri_posted_back_keeps_the_secret(secret: str) -> None:
    stored = f"postgres://user:{secret}@host:5432/db?table=t"
    assert mask_uri(stored) == "postgres://user:***@host:5432/db?table=t"
    assert restore_secret(mask_uri(stored), stored) == stored
    moved = restore_secret("postgres://user:***@host:5432/db?table=other", stored)
    assert moved == f"postgres://user:{secret}@host:5432/db?table=other"


def test_a_new_password_replaces_the_stored_one() -> None:
    assert restore_secret("postgres://u:new@h/db", "postgres://u:old@h/db") == "postgres://u:new@h/db"


@pytest.mark.parametrize(
    "masked", ["postgres://u:***@evil/db?table=t", "postgres://other:***@h/db?table=t", "mysql://u:***@h/db"]
)
def test_a_secret_is_never_restored_for_another_server_or_user(masked: str) -> None:
    with pytest.raises(ValueError, match="in full"):
        restore_secret(masked, "postgres://u:p@h/db?table=t")


def test_trap_18_passwords_in_log_texts_are_masked() -> None:
    assert redact("cannot open postgres://u:p@h/db, sorry") == "cannot open postgres://u:***@h/db, sorry"
