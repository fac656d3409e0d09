"""The cards of the chat: what they hold, and how they may be answered.

A card is JSON: {"card_id", "type", "title", "actions", ...}. `actions` are its buttons: the name goes
back as `action` of a card response; `value` says what goes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from kalla_chat.conversation.state import Cells, Draft, IssuedCard, Pair, State

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Card:
    """A card to be shown. `role` tells what an answer to it means, `draft` which proposal it is about."""

    type: str
    title: str
    content: Json
    actions: tuple[Json, ...] = ()
    role: str = ""
    draft: str | None = None


def issue(state: State, card: Card) -> Json:
    """Give the card an id, remember how it may be answered, and return its JSON."""
    card_id = str(uuid4())
    names = [str(action["action"]) for action in card.actions]
    state.cards[card_id] = IssuedCard(type=card.type, actions=names, draft=card.draft, role=card.role)
    head = {"card_id": card_id, "type": card.type, "title": card.title}
    return head | card.content | {"actions": list(card.actions)}


def button(action: str, label: str, value: str = "") -> Json:
    """A button; `value` says in words what goes back with it, "" for nothing."""
    return {"action": action, "label": label} | ({"value": value} if value else {})


def select_source(role: str, title: str, options: Sequence[Json]) -> Card:
    """Choose one source; `role` is left or right. Options are {value, label, description}."""
    return Card(
        "select",
        title,
        {"side": role, "options": list(options)},
        (button("select", "Choose", "the value of one option"),),
        role=role,
    )


def upload_request(session_id: str) -> Card:
    """Offer to upload CSV files."""
    return Card(
        "upload_request",
        "Upload a CSV file",
        {"accept": ".csv", "session_id": session_id, "presign": "/api/uploads/presign"},
    )


def sample_table(title: str, columns: Sequence[str], rows: Sequence[Cells], total_rows: int | None) -> Card:
    """Some rows; `total_rows` is how many there are in all."""
    cells = [[row[column] for column in columns] for row in rows]
    return Card("sample_table", title, {"columns": list(columns), "rows": cells, "total_rows": total_rows})


def confirm(role: str, title: str, yes: str, no: str, draft: str | None = None) -> Card:
    """A question with two buttons, confirm and reject."""
    buttons = (button("confirm", yes), button("reject", no))
    return Card("confirm", title, {}, buttons, role=role, draft=draft)


def match_proposal(pairs: Sequence[Pair], left: str, right: str) -> Card:
    """Pairs to be judged."""
    shown = [{"number": p.number, "left": p.left, "right": p.right, "why": p.why} for p in pairs]
    return Card(
        "match_proposal",
        "Do these rows belong together?",
        {"left_alias": left, "right_alias": right, "pairs": shown},
        (
            button("confirm", "All belong together"),
            button("judge", "Answer one by one", '{"confirmed": [numbers], "rejected": [numbers]}'),
            button("reject", "None of them does"),
            button("skip", "Skip the examples"),
        ),
        role="pairs",
    )


def rule_summary(draft: Draft) -> Card:
    """A recipe that was run in a trial."""
    content = {
        "match_description": draft.match_description,
        "match_sql": draft.match_sql,
        "primary_keys": {"left": draft.left_key, "right": draft.right_key},
        "shape": draft.shape,
        "rules": draft.rules,
        "trial": draft.trial.model_dump(),
        "notes": draft.notes,
        "contradictions": draft.contradictions,
    }
    buttons = (
        button("confirm", "Run it on all rows"),
        button("tolerance", "Change the tolerance", "a decimal number as text"),
        button("reject", "Change something else"),
    )
    return Card("rule_summary", draft.name, content, buttons, role="recipe", draft=draft.recipe_id)


def progress(run_id: str) -> Card:
    """A run under way."""
    content = {"run_id": run_id, "events": f"/api/runs/{run_id}/events"}
    return Card("progress", "The run is under way", content)


def result_summary(run_id: str, content: Json) -> Card:
    """The end of a run."""
    results = {
        name: f"/api/runs/{run_id}/results/{name}"
        for name in ("matched", "unmatched_left", "unmatched_right")
    }
    return Card("result_summary", "The result", {"run_id": run_id, **content, "results": results})
