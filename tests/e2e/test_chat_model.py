"""Conversations that a model leads: a scripted one, behind the provider's real client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.chatting import INJECTION, MATCHED, Chat, sources
from tests.e2e.scripted_model import KEY, ScriptedModel, calls, says, scripted_model
from tests.e2e.support import Kalla, running_kalla


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with scripted_model() as running:
        yield running


@pytest.fixture(scope="module")
def kalla(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kalla]:
    """A `kalla up` whose chat has the model."""
    root = tmp_path_factory.mktemp("chat-model")
    for folder in (root, root.parent):
        folder.chmod(0o711)
    (root / "data").mkdir()
    sources(root / "data" / "bills.csv", root / "data" / "receipts.csv")
    environment = {
        "KALLA_CHAT_MODEL": "openai:scripted",
        "KALLA_CHAT_MODEL_API_KEY": KEY,
        "KALLA_CHAT_MODEL_BASE_URL": model.url,
        "KALLA_CHAT_MODEL_STEPS": "6",
        "KALLA_CHAT_MODEL_RETRIES": "1",
    }
    with running_kalla(root / "home", root / "data", **environment) as running:
        for alias in ("bills", "receipts"):
            running.register(alias, root / "data" / f"{alias}.csv")
        yield running


@pytest.fixture
def chat(kalla: Kalla, model: ScriptedModel) -> Chat:
    model.script.clear()
    model.requests.clear()
    model.failing = False
    return Chat(kalla)


def lead_to_recipe(chat: Chat, model: ScriptedModel) -> None:
    """Three messages, with which the model comes to a recipe."""
    model.script += [
        calls("choose_sources", left="bills", right="receipts"),
        calls("show_rows"),
        says("These?"),
    ]
    chat.say("please reconcile bills with receipts")
    model.script += [calls("confirm_scope"), calls("propose_pairs"), says("Are these right?")]
    chat.say("yes, these rows")
    model.script += [
        calls("judge_pairs", confirmed=[], rejected=[]),
        calls("set_wishes", tolerance="0.02"),
        calls("infer_recipe"),
        says("I found a rule. Shall I run it?"),
    ]
    chat.say("no examples, two cents are fine")


def test_a_model_leads_to_a_completed_run_with_the_tools_of_each_phase(
    chat: Chat, model: ScriptedModel
) -> None:
    lead_to_recipe(chat, model)
    assert chat.place == ("validation", "recipe_ready")
    assert chat.text == "I found a rule. Shall I run it?"
    assert chat.card("rule_summary")["trial"]["matched_count"] == MATCHED
    assert model.tools(0) == {"list_sources", "choose_sources", "set_wishes"}
    assert "confirm_scope" in model.tools(1)
    assert "judge_pairs" in model.tools(4)
    assert all("start_run" not in model.tools(n) for n in range(len(model.requests)))

    model.script += [calls("accept_recipe"), calls("start_run"), says("It runs.")]
    chat.say("yes, run it")
    assert chat.place == ("execution", "running")
    session = chat.finished()
    assert session["status"] == "completed"
    assert session["messages"][-1]["cards"][0]["matched_count"] == MATCHED
    requests = len(model.requests)
    assert session["model_usage"] == {
        "requests": requests,
        "input_tokens": 100 * requests,
        "output_tokens": 10 * requests,
        "cost_usd": None,
    }


def test_a_model_sees_the_shape_of_values_and_no_secret(chat: Chat, model: ScriptedModel) -> None:
    lead_to_recipe(chat, model)
    model.script += [says("I cannot take that.")]
    chat.say("my table is postgres://me:s3cret-word@db/x?table=t")
    seen = model.seen()
    assert "AAA-9999" in seen
    assert not [value for value in ("INV-0", "Client 1", "179.19", INJECTION) if value in seen]
    assert "s3cret-word" not in seen
    assert "s3cret-word" not in str(chat.session())
    assert model.keys == {f"Bearer {KEY}"}
    logs = "".join(path.read_text() for path in (chat.kalla.home / "logs").glob("*.log"))
    assert not [word for word in (KEY, "s3cret-word") if word in logs]


def test_a_model_that_follows_the_data_can_do_no_more_than_the_person_said(
    chat: Chat, model: ScriptedModel
) -> None:
    model.script += [
        calls("choose_sources", left="bills", right="receipts"),
        calls("show_rows"),
        # As the first row of bills says.
        calls("start_run"),
        says("Shall I go on with these rows?"),
    ]
    chat.say("look at bills and receipts")
    assert chat.place == ("scoping", "active")
    lead_to_recipe(chat, model)
    model.script += [calls("accept_recipe"), calls("start_run"), says("What do you think?")]
    chat.say("what does the rule say?")
    assert "refused" in str(model.tool_results())
    session = chat.session()
    assert (session["phase"], session["run"]) == ("validation", None)


def test_a_failing_provider_hands_over_to_the_guided_agent_in_mid_conversation(
    chat: Chat, model: ScriptedModel
) -> None:
    lead_to_recipe(chat, model)
    first = chat.last["recipe_draft"]["recipe_id"]
    model.failing = True
    chat.say("no tolerance")
    assert "The model did not answer" in chat.text
    assert chat.place == ("validation", "recipe_ready")
    assert chat.last["recipe_draft"]["recipe_id"] != first
    chat.say("run it")
    assert chat.finished()["status"] == "completed"


def test_a_failure_after_a_tool_leaves_nothing_half_done(chat: Chat, model: ScriptedModel) -> None:
    # The script ends after the tool, so the next request fails.
    model.script += [calls("choose_sources", left="receipts", right="bills")]
    chat.say("match bills to receipts")
    assert "The model did not answer" in chat.text
    session = chat.session()
    assert (session["left"]["alias"], session["right"]["alias"]) == ("bills", "receipts")


def test_a_model_that_never_comes_to_an_end_is_stopped(chat: Chat, model: ScriptedModel) -> None:
    model.script += [calls("list_sources")] * 20
    chat.say("match bills to receipts")
    assert "it took too many steps" in chat.text
    assert len(model.requests) == 6
    assert chat.place == ("scoping", "active")


def test_buttons_mean_what_they_say_whatever_the_model(chat: Chat, model: ScriptedModel) -> None:
    lead_to_recipe(chat, model)
    asked = len(model.requests)
    chat.press("rule_summary", "confirm")
    assert chat.place == ("execution", "running")
    assert len(model.requests) == asked
    assert chat.finished()["status"] == "completed"
