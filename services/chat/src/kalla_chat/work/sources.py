"""Sources: those there are, those chosen, their rows and their scope."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

from kalla_common.domain import FilterCondition, SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_chat.conversation import cards
from kalla_chat.conversation.phases import PhaseName, go_back
from kalla_chat.conversation.state import Column, Condition, Side, State
from kalla_chat.work.ports import RegisteredSource
from kalla_chat.work.reading import Rows, read_rows
from kalla_chat.work.turn import Means, Turn

SAMPLE_ROWS: Final = 5
LOOKED_AT: Final = 1000
"""Rows in which a value such as USD is looked for."""

SideName = Literal["left", "right"]


async def show_sources(turn: Turn, means: Means) -> tuple[RegisteredSource, ...]:
    """Show what may be chosen from, and the offer to upload."""
    found = await means.catalog.sources()
    state = turn.state
    for role, chosen in (("left", state.left), ("right", state.right)):
        if chosen is not None:
            continue
        other = state.right if role == "left" else state.left
        options = [_option(s) for s in found if other is None or s.alias != other.alias]
        if options:
            title = "Which source is the left one?" if role == "left" else "Which source is the right one?"
            turn.show(cards.select_source(role, title, options))
    turn.show(cards.upload_request(str(turn.session_id)))
    return found


async def choose_source(turn: Turn, means: Means, role: SideName, alias: str) -> Side:
    """Take a registered source as one side; another one than before takes the conversation back to it.

    Raises:
        KallaError: SOURCE_NOT_FOUND; INVALID_REQUEST if the other side is the same source; what
            describing it raises.
    """
    state = turn.state
    present: Side | None = getattr(state, role)
    other = state.right if role == "left" else state.left
    if other is not None and other.alias == alias:
        raise KallaError(
            Code.INVALID_REQUEST, f"The two sides must differ, and {alias} is the other one already."
        )
    if present is not None and present.alias == alias:
        return present
    source = await means.catalog.source(alias)
    columns = await means.control.describe(await means.catalog.resolved(alias))
    side = Side(
        alias=alias,
        source_type=source.source_type,
        columns=[Column(name=c.name, data_type=c.data_type) for c in columns],
    )
    if present is not None:
        kept = other
        go_back(state, PhaseName.SOURCE_SELECTION)
        setattr(state, "right" if role == "left" else "left", kept)
    setattr(state, role, side)
    return side


async def take_uploads(turn: Turn, means: Means) -> list[str]:
    """Register attached files as sources under names of their own; returns their aliases.

    Raises:
        KallaError: INVALID_REQUEST for a file that is no CSV in an S3 store; what registering raises.
    """
    known = {source.alias: source.uri for source in await means.catalog.sources()}
    taken: list[str] = []
    for upload in turn.asked.uploads:
        if not upload.s3_uri.startswith("s3://") or not upload.s3_uri.lower().endswith(".csv"):
            raise KallaError(
                Code.INVALID_REQUEST,
                f"The file {upload.filename!r} needs the s3_uri that /api/uploads/presign returned for it.",
            )
        alias = _free_alias(upload.filename, upload.s3_uri, known)
        if alias not in known:
            await means.catalog.register(alias, upload.s3_uri, "file")
            known[alias] = upload.s3_uri
        taken.append(alias)
    return taken


async def read_side(
    turn: Turn, means: Means, side: Side, limit: int, *, filtered: bool = True
) -> tuple[SourceSpec, Rows]:
    """Read rows of a side after its filters."""
    source = await scoped(means, side) if filtered else await means.catalog.resolved(side.alias)
    turn.note(f"Reading {side.alias} ...")
    return source, await read_rows(means.rows, source, limit)


async def scoped(means: Means, side: Side) -> SourceSpec:
    """The source of a side with its secret and its filters."""
    return replace(await means.catalog.resolved(side.alias), filters=side.conditions())


async def show_rows(turn: Turn, means: Means) -> dict[str, Rows]:
    """Show some rows of both sides, after their filters, and count them."""
    found: dict[str, Rows] = {}
    turn.replace({"sample_table"})
    for side in turn.state.sides or ():
        _, rows = await read_side(turn, means, side, LOOKED_AT)
        side.row_count = rows.total_rows
        title = f"{side.alias}: {counted(rows.total_rows, 'row')}{scope_words(side)}"
        turn.show(cards.sample_table(title, side.names, rows.first(SAMPLE_ROWS), rows.total_rows))
        found[side.alias] = rows
    return found


def set_filters(state: State, role: SideName, conditions: list[FilterCondition]) -> None:
    """Replace the filters of a side; what was found with other rows is forgotten.

    Raises:
        KallaError: INVALID_FILTER for an unknown column.
    """
    side: Side | None = getattr(state, role)
    if side is None:
        raise KallaError(Code.INVALID_REQUEST, "Choose the sources before their filters.")
    for condition in conditions:
        if condition.column not in side.names:
            known = ", ".join(side.names)
            raise KallaError(
                Code.INVALID_FILTER, f"{side.alias} has no column {condition.column!r}; it has {known}."
            )
    fresh = [Condition.of(condition) for condition in conditions]
    if fresh != side.filters:
        go_back(state, PhaseName.SCOPING)
        side.filters, side.row_count = fresh, None


def scope_words(side: Side) -> str:
    """The filters of a side in words, "" for none."""
    if not side.filters:
        return ""
    return " where " + " and ".join(filter_words(condition.domain()) for condition in side.filters)


_OPERATORS: Final = {
    "eq": "=",
    "neq": "is not",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "between": "between",
    "in": "in",
    "like": "like",
}


def filter_words(condition: FilterCondition) -> str:
    """A filter in words."""
    texts = [f"{v:f}" if isinstance(v, Decimal) else str(v) for v in condition.values]
    value = " and ".join(texts) if condition.op.value == "between" else ", ".join(texts)
    return f"{condition.column} {_OPERATORS[condition.op.value]} {value}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it needs one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _option(source: RegisteredSource) -> dict[str, str]:
    description = f"{source.source_type}, {source.uri}"
    return {"value": source.alias, "label": source.alias, "description": description}


def _free_alias(filename: str, uri: str, known: dict[str, str]) -> str:
    """A name for an uploaded file: that of the file, numbered if another source has it."""
    stem = filename.rsplit("/", 1)[-1].removesuffix(".csv").removesuffix(".CSV").lower()
    base = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")[:40] or "upload"
    if base[0].isdigit():
        base = f"file_{base}"
    alias, number = base, 1
    while alias in known and known[alias] != uri:
        number += 1
        alias = f"{base}_{number}"
    return alias
