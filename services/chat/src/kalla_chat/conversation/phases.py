"""The phases of a conversation, as data.

The phase is the first one whose work is not done. So it needs no bookkeeping: an agent changes
facts, and the phase follows; going back to a phase takes away what it and later ones found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kalla_chat.conversation.state import State


class PhaseName(StrEnum):
    """The phases in their order."""

    INITIAL = "initial"
    SOURCE_SELECTION = "source-selection"
    SCOPING = "scoping"
    DEMONSTRATION = "demonstration"
    INFERENCE = "inference"
    VALIDATION = "validation"
    EXECUTION = "execution"


class Status(StrEnum):
    """Where a session stands, for whoever shows it."""

    ACTIVE = "active"
    RECIPE_READY = "recipe_ready"
    RUNNING = "running"
    COMPLETED = "completed"


class Tool(StrEnum):
    """What an agent can do; each is a method of the workbench."""

    LIST_SOURCES = "list_sources"
    CHOOSE_SOURCES = "choose_sources"
    SHOW_ROWS = "show_rows"
    SET_FILTERS = "set_filters"
    CONFIRM_SCOPE = "confirm_scope"
    SET_WISHES = "set_wishes"
    PROPOSE_PAIRS = "propose_pairs"
    JUDGE_PAIRS = "judge_pairs"
    INFER_RECIPE = "infer_recipe"
    SHOW_RECIPE = "show_recipe"
    ACCEPT_RECIPE = "accept_recipe"
    START_RUN = "start_run"
    RUN_STATE = "run_state"
    GO_BACK = "go_back_to"


class Shown(StrEnum):
    """What of the state an agent is told in a phase."""

    SOURCES = "sources"
    COLUMNS = "columns"
    FILTERS = "filters"
    WISHES = "wishes"
    PAIRS = "pairs"
    RECIPE = "recipe"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase.

    Attributes:
        goal: what it is for, in words that an agent is told.
        needs: phases whose work must be done before.
        tools: what an agent may do in it, and nothing else.
        shown: what of the state an agent is told.
        done: when it is over.
        forget: takes away what this phase found.
    """

    name: PhaseName
    goal: str
    needs: tuple[PhaseName, ...]
    tools: tuple[Tool, ...]
    shown: tuple[Shown, ...]
    done: Callable[[State], bool]
    forget: Callable[[State], None]


def _forget_sources(state: State) -> None:
    state.left = state.right = state.chosen_left = None
    state.wishes.columns = []


def _forget_scope(state: State) -> None:
    state.scoped = False


def _forget_examples(state: State) -> None:
    state.pairs, state.demonstrated = [], False


def _forget_draft(state: State) -> None:
    state.draft, state.no_rule = None, ""


def _forget_approval(state: State) -> None:
    state.accepted = False


def _forget_run(state: State) -> None:
    state.run = None


def _forget_nothing(_state: State) -> None:
    pass


_P, _T, _S = PhaseName, Tool, Shown

PHASES: Final = (
    Phase(
        _P.INITIAL,
        "Say what you can do, and ask which two sources are to be reconciled.",
        (),
        (_T.LIST_SOURCES, _T.CHOOSE_SOURCES, _T.SET_WISHES),
        (_S.SOURCES,),
        lambda state: state.begun,
        _forget_nothing,
    ),
    Phase(
        _P.SOURCE_SELECTION,
        "Have the person choose a left and a right source, or upload CSV files.",
        (_P.INITIAL,),
        (_T.LIST_SOURCES, _T.CHOOSE_SOURCES, _T.SET_WISHES),
        (_S.SOURCES, _S.WISHES),
        lambda state: state.sides is not None,
        _forget_sources,
    ),
    Phase(
        _P.SCOPING,
        "Show some rows of both sources, set filters if the person wants some, and have the scope confirmed.",
        (_P.SOURCE_SELECTION,),
        (_T.SHOW_ROWS, _T.SET_FILTERS, _T.CONFIRM_SCOPE, _T.SET_WISHES, _T.CHOOSE_SOURCES, _T.GO_BACK),
        (_S.COLUMNS, _S.FILTERS, _S.WISHES),
        lambda state: state.scoped,
        _forget_scope,
    ),
    Phase(
        _P.DEMONSTRATION,
        "Show pairs of rows that may belong together, and have the person say which do.",
        (_P.SCOPING,),
        (_T.PROPOSE_PAIRS, _T.JUDGE_PAIRS, _T.SET_WISHES, _T.GO_BACK),
        (_S.COLUMNS, _S.FILTERS, _S.WISHES, _S.PAIRS),
        lambda state: state.demonstrated,
        _forget_examples,
    ),
    Phase(
        _P.INFERENCE,
        "Find the recipe; it is checked and run in a trial before it is shown.",
        (_P.DEMONSTRATION,),
        (_T.INFER_RECIPE, _T.JUDGE_PAIRS, _T.SET_WISHES, _T.GO_BACK),
        (_S.COLUMNS, _S.FILTERS, _S.WISHES, _S.PAIRS),
        lambda state: state.draft is not None,
        _forget_draft,
    ),
    Phase(
        _P.VALIDATION,
        "Explain the recipe and what its trial run gave; ask whether it is right, and change it if not.",
        (_P.INFERENCE,),
        (_T.SHOW_RECIPE, _T.ACCEPT_RECIPE, _T.SET_WISHES, _T.GO_BACK),
        (_S.COLUMNS, _S.FILTERS, _S.WISHES, _S.RECIPE),
        lambda state: state.accepted,
        _forget_approval,
    ),
    Phase(
        _P.EXECUTION,
        "Start the full run when the person says so, and tell how it ends.",
        (_P.VALIDATION,),
        (_T.START_RUN, _T.RUN_STATE, _T.SHOW_RECIPE, _T.SET_WISHES, _T.GO_BACK),
        (_S.FILTERS, _S.WISHES, _S.RECIPE, _S.RUN),
        lambda _state: False,
        _forget_run,
    ),
)
_BY_NAME: Final = {phase.name: phase for phase in PHASES}
_ENDED: Final = ("completed", "failed", "cancelled")


def phase_of(state: State) -> Phase:
    """The first phase whose work is not done; the last one has no end."""
    for phase in PHASES:
        if not phase.done(state):
            return phase
    return PHASES[-1]


def get_phase(name: PhaseName) -> Phase:
    """The phase of this name."""
    return _BY_NAME[name]


def go_back(state: State, name: PhaseName) -> None:
    """Return to a phase: what it and later phases found is forgotten, what was wished stays."""
    begin = PHASES.index(_BY_NAME[name])
    for phase in reversed(PHASES[begin:]):
        phase.forget(state)


def status_of(state: State) -> Status:
    """The status that the facts make."""
    if state.run is not None and state.run.run_id:
        if state.run.status == "completed":
            return Status.COMPLETED
        if state.run.status not in _ENDED:
            return Status.RUNNING
    return Status.RECIPE_READY if state.draft is not None else Status.ACTIVE
