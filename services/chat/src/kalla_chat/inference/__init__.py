"""Finds out from two sources which rows match, and proves the rule by running it.

    request -> profiles -> keys, amounts, dates -> drafts -> check and trial run -> answer

Plain code over Arrow tables: it knows no server, no protocol and no model. `Trials` is its only way out.
"""

from kalla_chat.inference.answer import (
    Candidate,
    ColumnProfile,
    Contradiction,
    DraftRecipe,
    Inference,
    ProposedPair,
    Rule,
    Shape,
    SourceProfile,
    TrialRun,
    Trials,
    TrialSummary,
    Verdict,
)
from kalla_chat.inference.infer import infer, profile, propose_pairs
from kalla_chat.inference.request import MAX_ROWS, Example, Hints, Request, Source

__all__ = [
    "MAX_ROWS",
    "Candidate",
    "ColumnProfile",
    "Contradiction",
    "DraftRecipe",
    "Example",
    "Hints",
    "Inference",
    "ProposedPair",
    "Request",
    "Rule",
    "Shape",
    "Source",
    "SourceProfile",
    "TrialRun",
    "TrialSummary",
    "Trials",
    "Verdict",
    "infer",
    "profile",
    "propose_pairs",
]
