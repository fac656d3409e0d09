"""File names of uploads are data, never a path; keys and URIs made of them name one object."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import Code, KallaError
from kalla_gateway.uploads.names import (
    UploadPlace,
    checked_filename,
    checked_session,
    is_upload_id,
    key_name,
    parse_upload_uri,
)

T = TypeVar("T")

UPLOAD_ID = "6f1c1f0e-3c0b-4a9d-9d57-0d5a3f4e8b21"
BUCKET = "kalla-uploads"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VISIBLE = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), max_size=40)
NASTY = st.lists(
    st.sampled_from(
        ["..", "/", "\\", "%2e", "%2F", "\0", "\n", " ", "?", "#", "\u202e", "é", "e\u0301", "漢", ".csv"]
    )
    | ANY_TEXT
).map("".join)


def accepted(code: Code, check: Callable[..., T], *arguments: str) -> T | None:
    """What `check` returns, None if it refuses with this code; any other failure goes on."""
    try:
        return check(*arguments)
    except KallaError as error:
        if error.code is not code:
            raise
        return None


def refusal(filename: str) -> str:
    with pytest.raises(KallaError) as caught:
        checked_filename(filename)
    assert caught.value.code is Code.INVALID_REQUEST
    return caught.value.message


@given(NASTY | NASTY.map(lambda text: text + ".csv") | VISIBLE.map(lambda text: text + ".csv"))
def test_every_name_is_refused_or_becomes_one_plain_part_of_a_key(filename: str) -> None:
    shown = accepted(Code.INVALID_REQUEST, checked_filename, filename)
    if shown is None:
        return
    name = key_name(shown)
    assert shown == unicodedata.normalize("NFC", filename)
    assert name.endswith(".csv")
    assert not name.startswith(".")
    assert len(name.encode()) <= 255
    assert all(letter in "-_.()+=," or unicodedata.category(letter)[0] in "LMN" for letter in name)
    place = UploadPlace(BUCKET, "session", UPLOAD_ID, name)
    assert parse_upload_uri(place.uri, BUCKET) == place
    parts = urlsplit(place.uri)
    assert (parts.netloc, parts.path, parts.query, parts.fragment) == (BUCKET, f"/{place.key}", "", "")


@given(ANY_TEXT)
def test_no_uri_leads_to_a_key_outside_of_uploads(uri: str) -> None:
    for text in (uri, f"s3://{BUCKET}/{uri}", f"s3://{BUCKET}/session/{UPLOAD_ID}/{uri}"):
        place = accepted(Code.INVALID_URI, parse_upload_uri, text, BUCKET)
        if place is not None:
            assert text == place.uri
            assert place.key.split("/") == [place.session_id, place.upload_id, place.name]


@given(ANY_TEXT)
def test_a_session_id_is_refused_or_a_plain_part_of_a_key(session_id: str) -> None:
    if accepted(Code.INVALID_REQUEST, checked_session, session_id) is not None:
        assert session_id.isascii()
        assert session_id.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("filename", ["Zahlungen März 2026.csv", "支払い.csv", "a.b (1).CSV", "100%.csv"])
def test_what_people_see_is_kept(filename: str) -> None:
    assert checked_filename(filename) == filename


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("payments.csv", "payments.csv"),
        ("DATA.CSV", "DATA.csv"),
        ("Zahlungen März 2026.csv", "Zahlungen_März_2026.csv"),
        ("支払い.csv", "支払い.csv"),
        ("%2e%2e%2fetc.csv", "_2e_2e_2fetc.csv"),
        ("a?b#c&d.csv", "a_b_c_d.csv"),
        ("..hidden.csv", "_hidden.csv"),
        ("a..csv", "a..csv"),
    ],
)
def test_the_key_keeps_letters_and_digits_and_nothing_that_a_uri_could_misread(
    filename: str, name: str
) -> None:
    assert key_name(checked_filename(filename)) == name


@pytest.mark.parametrize("filename", ["../a.csv", "/etc/a.csv", "..\\a.csv", "C:\\a.csv", "a/../b.csv"])
def test_a_path_is_refused(filename: str) -> None:
    assert "without the folders" in refusal(filename)


@pytest.mark.parametrize("filename", ["a\0.csv", "a\n.csv", "a\u202egpj.csv", "a\u200b.csv", "a\x7f.csv"])
def test_characters_that_cannot_be_seen_are_refused(filename: str) -> None:
    assert "cannot be seen" in refusal(filename)


@pytest.mark.parametrize("filename", ["", "a", "a.txt", "a.csv.exe", "a.csv ", "a.csv/", "csv"])
def test_only_csv_is_taken(filename: str) -> None:
    assert "must end with .csv" in refusal(filename)


@pytest.mark.parametrize("filename", [".csv", "..csv", " .csv", "...csv"])
def test_a_name_of_dots_and_spaces_is_no_name(filename: str) -> None:
    assert "needs a name" in refusal(filename)


def test_long_names_are_measured_in_bytes() -> None:
    assert len(checked_filename("x" * 251 + ".csv")) == 255
    assert "longer than 255 bytes" in refusal("x" * 252 + ".csv")
    assert "longer than 255 bytes" in refusal("漢" * 84 + ".csv")


@pytest.mark.parametrize("session_id", ["", "..", "a/b", "a b", "ü", "-a", "x" * 129, "a\n", "%2e", "a.b"])
def test_a_session_id_that_is_no_plain_word_is_refused(session_id: str) -> None:
    with pytest.raises(KallaError, match="session_id"):
        checked_session(session_id)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("", "must be s3://"),
        ("payments.csv", "must be s3://"),
        ("https://kalla-uploads/a", "must be s3://"),
        ("s3://kalla-uploads", "must be s3://"),
        ("s3:///s/u/a.csv", "must be s3://"),
        (f"s3://other/session/{UPLOAD_ID}/a.csv", "another bucket"),
        (f"s3://user:pw@kalla-uploads/session/{UPLOAD_ID}/a.csv", "another bucket"),
        (f"s3://kalla-uploads/{UPLOAD_ID}/a.csv", "names no upload"),
        (f"s3://kalla-uploads/../{UPLOAD_ID}/a.csv", "names no upload"),
        (f"s3://kalla-uploads/session/{UPLOAD_ID}/x/a.csv", "names no upload"),
        ("s3://kalla-uploads/session/not-an-id/a.csv", "names no upload"),
        (f"s3://kalla-uploads/session/{UPLOAD_ID.upper()}/a.csv", "names no upload"),
    ],
)
def test_an_s3_uri_that_is_none_of_an_upload_says_why(uri: str, problem: str) -> None:
    with pytest.raises(KallaError, match=problem) as caught:
        parse_upload_uri(uri, BUCKET)
    assert caught.value.code is Code.INVALID_URI
    assert "pw" not in caught.value.message


@given(st.uuids())
def test_an_upload_id_has_one_form(value: uuid.UUID) -> None:
    assert is_upload_id(str(value))
    assert not is_upload_id(value.hex)
    assert not is_upload_id(f"{{{value}}}")
