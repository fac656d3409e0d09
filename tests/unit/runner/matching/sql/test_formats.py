"""Patterns of dates: one meaning, or a refusal; none is copied as text."""

from __future__ import annotations

import pytest
from kalla_runner.matching.sql.formats import PatternError, Use, read_pattern


@pytest.mark.parametrize(
    ("pattern", "engine"),
    [
        ("YYYY-MM", "%Y-%m"),
        ("yyyy-MM-dd", "%Y-%m-%d"),
        ("yyyy-mm-dd", "%Y-%m-%d"),
        ("%Y-%m", "%Y-%m"),
        ("DD.MM.YYYY HH24:MI:SS", "%d.%m.%Y %H:%M:%S"),
        ("yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S"),
        ("yyyy-MM-dd'T'HH:mm", "%Y-%m-%dT%H:%M"),
        ('YYYY-MM-DD"T"HH24:MI', "%Y-%m-%dT%H:%M"),
        ("HH12:MI AM", "%I:%M %p"),
        ("YYYYMMDD", "%Y%m%d"),
        ("DD-Mon-YY", "%d-%b-%y"),
        ("FMDD.FMMM.YYYY", "%-d.%-m.%Y"),
        ("IYYY-IW", "%G-%V"),
        ("100%% %d", "100%% %d"),
        ("%F %T", "%Y-%m-%d %H:%M:%S"),
    ],
)
def test_patterns_of_other_databases_are_translated(pattern: str, engine: str) -> None:
    assert read_pattern(pattern, "to_char", "write").engine == engine


@pytest.mark.parametrize(
    ("pattern", "function", "use", "part"),
    [
        ("abc", "to_char", "write", "'abc', which is not a field"),
        ("-", "to_char", "write", "has no field"),
        ("999.99", "to_char", "write", "has no field"),
        ("", "to_char", "write", "has no field"),
        ("%%", "to_char", "write", "has no field"),
        ("%Q", "to_char", "write", "%Q"),
        ("%", "to_char", "write", "not available"),
        ("Q", "to_char", "write", "not a field"),
        ("Month", "to_char", "write", "not a field"),
        ("MON", "to_char", "write", "another case"),
        ("HH:MI", "to_char", "write", "HH24"),
        ("%I:%M", "to_char", "write", "AM or PM"),
        ("yyyy-mm-dd", "date_format", "write", "MM for months"),
        ("%Y-%m-%d %H:%M", "date_format", "write", "MySQL"),
        ("MM.YYYY", "to_date", "read", "one day"),
        ("DD.MM.YYYY YYYY", "to_date", "read", "one year"),
        ("DD.MM.YYYY HH24", "to_timestamp", "read", "hours and minutes"),
        ("Dy DD.MM.YYYY", "to_date", "read", "not available"),
    ],
)
def test_what_has_no_one_meaning_is_refused_with_what_to_write(
    pattern: str, function: str, use: Use, part: str
) -> None:
    with pytest.raises(PatternError) as caught:
        read_pattern(pattern, function, use)
    assert part in str(caught.value)
    assert pattern in str(caught.value)


def test_mysql_writes_minutes_as_i() -> None:
    assert read_pattern("%H:%i:%s", "date_format", "write").engine == "%H:%M:%S"


def test_fields_that_touch_have_all_their_digits() -> None:
    assert read_pattern("YYYYMMDD", "to_date", "read").regex == r"(\d{4})(\d{2})(\d{2})"
    assert read_pattern("DD.MM.YYYY", "to_date", "read").regex == r"(\d{1,2})\.(\d{1,2})\.(\d{4})"
