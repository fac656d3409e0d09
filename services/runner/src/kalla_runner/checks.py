"""What is wrong with a job before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from kalla_common.domain import JobSpec, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.uris import base_url_problem, has_control_characters

RUN_ID: Final = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_RUN_ID: Final = re.compile(RUN_ID)


def check_spec(spec: JobSpec) -> None:
    """Judge the shape of a job.

    Raises:
        KallaError: INVALID_REQUEST, INVALID_PRIMARY_KEY.
    """
    _check_run_id(spec.run_id)
    if not spec.match_sql.strip():
        _refuse("match_sql is empty.")
    if not spec.output_path or "\0" in spec.output_path:
        _refuse("output_path must name a directory.")
    if spec.callback_url:
        _check_callback(spec.callback_url)
    check_sources(spec.sources)
    check_keys(spec.sources, spec.primary_keys)


def check_sources(sources: Sequence[SourceSpec]) -> None:
    """Judge the sources of a match: two or more, each with an alias of its own and a URI."""
    if len(sources) < 2:  # noqa: PLR2004
        _refuse("A job needs at least two sources: the left one first, then the right one.")
    seen: set[str] = set()
    for source in sources:
        if not source.alias or not source.uri:
            _refuse("Every source needs an alias and a uri.")
        if "\0" in source.uri or ("://" in source.uri and has_control_characters(source.uri)):
            raise KallaError(
                Code.INVALID_URI,
                f"The URI of source {source.alias!r} has control characters.",
                alias=source.alias,
            )
        if source.alias in seen:
            _refuse(f"Two sources have the alias {source.alias!r}: each needs one of its own.")
        seen.add(source.alias)


def check_keys(sources: Sequence[SourceSpec], primary_keys: Mapping[str, tuple[str, ...]]) -> None:
    """Judge the shape of the primary keys; whether the columns exist is known where the source is."""
    aliases = [source.alias for source in sources]
    for alias, columns in primary_keys.items():
        if alias not in aliases:
            _refuse_key(f"primary_keys names {alias!r}, which is no source of this job.")
        if len(set(columns)) != len(columns) or not all(columns):
            _refuse_key(f"The primary key of {alias!r} has an empty or repeated column.")
    for alias in aliases[:2]:
        if not primary_keys.get(alias):
            _refuse_key(f"primary_keys must name the key columns of {alias!r}.")


def _check_run_id(run_id: str) -> None:
    # The id names directories and headers, so nothing but the usual form is let in: UUID() takes more.
    if _RUN_ID.fullmatch(run_id) is None:
        _refuse("run_id must be a UUID such as a1b2c3d4-e5f6-7890-abcd-ef1234567890.")


def _check_callback(url: str) -> None:
    problem = base_url_problem(url)
    if problem is not None:
        _refuse(f"callback_url {problem}.")


def _refuse(sentence: str) -> NoReturn:
    raise KallaError(Code.INVALID_REQUEST, sentence)


def _refuse_key(sentence: str) -> NoReturn:
    raise KallaError(Code.INVALID_PRIMARY_KEY, sentence)
