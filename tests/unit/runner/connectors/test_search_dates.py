"""Dates as mappings write them mean what the engine takes them for, to the nanosecond."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_runner.connectors.search.dates import date_format

DEFAULT = "strict_date_optional_time||epoch_millis"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def nanoseconds(text: str, written: str) -> int | None:
    found = date_format(written)
    assert found is not None
    return found.nanoseconds(text)


def instant(text: str) -> int:
    return (dt.datetime.fromisoformat(text) - EPOCH) // dt.timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    ("written", "text", "meant"),
    [
        (DEFAULT, "2026-03-29T12:00:00.123Z", "2026-03-29T12:00:00.123+00:00"),
        (DEFAULT, "2026-03-29T12:00:00,123456+02:00", "2026-03-29T10:00:00.123456+00:00"),
        (DEFAULT, "2026-03-29T12:00:00+0530", "2026-03-29T06:30:00+00:00"),
        (DEFAULT, "2026-03-29T12-01", "2026-03-29T13:00:00+00:00"),
        (DEFAULT, "2026-03-29", "2026-03-29T00:00:00+00:00"),
        (DEFAULT, "2026-03", "2026-03-01T00:00:00+00:00"),
        # Four digits are a year to the engine, more are milliseconds.
        (DEFAULT, "2026", "2026-01-01T00:00:00+00:00"),
        (DEFAULT, "20260", "1970-01-01T00:00:20.260+00:00"),
        (DEFAULT, "-1", "1969-12-31T23:59:59.999+00:00"),
        ("epoch_second", "1774785600.25", "2026-03-29T12:00:00.250+00:00"),
        ("epoch_second", "-0.5", "1969-12-31T23:59:59.500+00:00"),
        ("yyyy-MM-dd HH:mm:ss", "2026-03-29 12:00:01", "2026-03-29T12:00:01+00:00"),
        ("dd.MM.uuuu", "29.03.2026", "2026-03-29T00:00:00+00:00"),
        ("yyyy-dd-MM", "2026-02-03", "2026-03-02T00:00:00+00:00"),
        (
            "yyyy/MM/dd'T'HH:mm:ss.SSSSSSXXX",
            "2026/03/29T12:00:00.000001+01:00",
            "2026-03-29T11:00:00.000001+00:00",
        ),
        ("yyyyMMdd[ HHmmss]", "20260329 235959", "2026-03-29T23:59:59+00:00"),
        ("yyyyMMdd[ HHmmss]", "20260329", "2026-03-29T00:00:00+00:00"),
        ("basic_date_time_no_millis", "20260329T120000Z", "2026-03-29T12:00:00+00:00"),
        ("dd/MM/yyyy||yyyy-MM-dd", "2026-03-29", "2026-03-29T00:00:00+00:00"),
    ],
)
def test_a_date_means_what_its_format_says(written: str, text: str, meant: str) -> None:
    assert nanoseconds(text, written) == instant(meant)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (DEFAULT, "29.03.2026"),
        (DEFAULT, "2026-02-30"),
        (DEFAULT, "2026-3-1"),
        (DEFAULT, "2026-03-29T25:00:00Z"),
        (DEFAULT, "1.0000000000001"),
        ("yyyy-MM-dd HH:mm:ss.SSS", "2026-03-29 12:00:00.12"),
        ("epoch_second", "0.0000000001"),
        ("strict_date", "\u0662026-01-01"),
    ],
)
def test_a_text_in_no_format_has_no_meaning(written: str, text: str) -> None:
    assert nanoseconds(text, written) is None


@pytest.mark.parametrize(
    "written", ["dd MMM yyyy", "YYYY-'W'ww", "yy-MM-dd", "h:mm a", "HH:mm", "[yyyy", "week_date"]
)
def test_formats_with_words_weeks_or_guesses_are_left_to_the_server(written: str) -> None:
    assert date_format(written) is None


@pytest.mark.parametrize(
    ("written", "days"),
    [("yyyy-MM-dd", True), ("basic_date||strict_date", True), (DEFAULT, False), ("yyyy-MM-dd HH", False)],
)
def test_only_formats_without_a_time_make_days(written: str, *, days: bool) -> None:
    found = date_format(written)
    assert found is not None
    assert found.days is days


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_every_instant_comes_back_from_its_iso_text(moment: dt.datetime) -> None:
    meant = (moment - EPOCH) // dt.timedelta(microseconds=1) * 1000
    assert nanoseconds(moment.isoformat(), DEFAULT) == meant
