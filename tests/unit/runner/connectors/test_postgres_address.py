"""What a postgres:// URI says, and how it is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.postgres.address import Name, parse_address
from psycopg.conninfo import conninfo_to_dict

HOST = "postgres://me:pw@host:6543/db"
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("query", "schema", "table"),
    [
        ("table=invoices", None, Name("invoices")),
        ("table=public.invoices", Name("public"), Name("invoices")),
        ("table=%22My%20Table%22", None, Name("My Table", quoted=True)),
        ('table="a.b"."c""d"', Name("a.b", quoted=True), Name('c"d', quoted=True)),
        ("table=x&schema=s.t", Name("s.t", quoted=True), Name("x")),
        ("schema=s&table=x", Name("s"), Name("x")),
        ("table=na%C3%AFve+x", None, Name("na\u00efve+x")),
    ],
)
def test_a_table_is_named_in_the_ways_of_sql(query: str, schema: Name | None, table: Name) -> None:
    address = parse_address(f"{HOST}?{query}")
    assert (address.schema, address.table) == (schema, table)
    assert (address.server, address.database) == ("host:6543", "db")


@given(schema=NAMES, table=NAMES)
def test_any_name_survives_quoting_and_percent_encoding(schema: str, table: str) -> None:
    quoted = '"' + schema.replace('"', '""') + '"."' + table.replace('"', '""') + '"'
    address = parse_address(f"{HOST}?table={quote(quoted, safe='')}")
    assert (address.schema, address.table) == (Name(schema, quoted=True), Name(table, quoted=True))


@given(password=NAMES)
def test_any_password_reaches_the_server_and_no_representation(password: str) -> None:
    address = parse_address(f"postgres://me:{quote(password, safe='')}@host/db?table=x")
    assert conninfo_to_dict(address.conninfo)["password"] == password
    assert "conninfo" not in repr(address)


def test_other_parameters_pass_to_libpq_and_defaults_are_set() -> None:
    settings = conninfo_to_dict(
        parse_address(f"{HOST}?sslmode=verify-full&table=x&options=-c%20jit%3Doff").conninfo
    )
    assert settings["sslmode"] == "verify-full"
    assert settings["options"] == "-c jit=off"
    assert settings["connect_timeout"] == "10"
    assert settings["client_encoding"] == "UTF8"
    given = conninfo_to_dict(parse_address(f"{HOST}?connect_timeout=3&table=x").conninfo)
    assert given["connect_timeout"] == "3"


def test_a_question_mark_in_the_password_is_not_the_query() -> None:
    address = parse_address("postgres://me:p?w@host/db?table=x")
    assert conninfo_to_dict(address.conninfo)["password"] == "p?w"


@pytest.mark.parametrize("value", ["null", "error", None])
def test_on_nan_is_null_or_error(value: str | None) -> None:
    asked = "" if value is None else f"&on_nan={value}"
    assert parse_address(f"{HOST}?table=x{asked}").nan_as_null is (value == "null")


@pytest.mark.parametrize(
    "uri",
    [
        HOST,
        f"{HOST}?table=",
        f"{HOST}?table=a.b.c",
        f"{HOST}?table=.x",
        f"{HOST}?table=x.",
        f'{HOST}?table="x',
        f'{HOST}?table=""',
        f'{HOST}?table="a"b',
        f"{HOST}?table=x&table=y",
        f"{HOST}?table=a.x&schema=b",
        f"{HOST}?table=x&schema=",
        f"{HOST}?table=x&on_nan=zero",
        f"{HOST}?table=x&nonsense=1",
        f"{HOST}?table=%FF",
        f"{HOST}?table=x%00",
        "postgres://me:pw%zz@host/db?table=x",
        "postgres://me:pw@host:port/db?table=x",
        "postgres://me:pw@[::1/db?table=x",
        "mysql://me:pw@host/db?table=x",
    ],
)
def test_a_uri_that_cannot_be_meant_is_refused_with_the_way_to_write_it(uri: str) -> None:
    with pytest.raises(KallaError, match="write postgres://user:password@host:5432") as caught:
        parse_address(uri)
    assert caught.value.code is Code.INVALID_URI
    assert "pw" not in caught.value.message
