"""Conversations with the guided agent, over REST alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.chatting import INJECTION, MATCHED, PAID, ROWS, Chat, events, sources
from tests.e2e.support import Kalla, running_kalla


@pytest.fixture
def chat(kalla: Kalla, data: Path) -> Chat:
    """A new conversation, its sources registered as bills and receipts."""
    sources(data / "bills.csv", data / "receipts.csv")
    kalla.register("bills", data / "bills.csv")
    kalla.register("receipts", data / "receipts.csv")
    return Chat(kalla)


def upload(kalla: Kalla, path: Path, session_id: str) -> dict[str, Any]:
    signed = kalla.post("/api/uploads/presign", {"filename": path.name, "session_id": session_id}).body
    put = httpx.put(signed["presigned_url"], content=path.read_bytes(), trust_env=False)
    assert put.status_code == 200
    body = {"s3_uri": signed["s3_uri"], "filename": path.name}
    confirmed = kalla.post(f"/api/uploads/{signed['upload_id']}/confirm", body).body
    return {name: confirmed[name] for name in ("filename", "columns", "row_count", "s3_uri")}


def test_from_two_uploads_to_a_completed_run(kalla: Kalla, data: Path) -> None:
    sources(data / "my bills.csv", data / "receipts 2026.csv")
    created = kalla.post("/api/chat/sessions").body
    assert set(created) == {"session_id", "phase", "status"}
    assert (created["phase"], created["status"]) == ("initial", "active")
    chat = Chat(kalla, created["session_id"])
    files = [
        upload(kalla, data / name, created["session_id"]) for name in ("my bills.csv", "receipts 2026.csv")
    ]
    runs = len(kalla.get("/api/runs").body)

    chat.send(message="match these within 2 cents", files=files)
    assert chat.place == ("scoping", "active")
    tables = [c for c in chat.last["message"]["cards"] if c["type"] == "sample_table"]
    assert [t["total_rows"] for t in tables] == [ROWS, PAID + 1]
    chat.press("confirm", "confirm")
    assert chat.place == ("demonstration", "active")
    pairs = chat.card("match_proposal")["pairs"]
    assert list(pairs[0]["left"]) == ["invoice_no", "client", "total", "currency", "issued"], (
        "columns keep their order"
    )
    right = [p["number"] for p in pairs if p["left"]["invoice_no"] == p["right"]["reference"]]
    wrong = [p["number"] for p in pairs if p["number"] not in right or "does not hold" in p["why"]]
    chat.press(
        "match_proposal", "judge", {"confirmed": [n for n in right if n not in wrong], "rejected": wrong}
    )

    assert chat.place == ("validation", "recipe_ready")
    draft = chat.last["recipe_draft"]
    assert "tolerance_match" in draft["match_sql"]
    assert draft["sources"]["left"]["primary_key"] == ["invoice_no"]
    summary = chat.card("rule_summary")
    assert summary["trial"]["matched_count"] == MATCHED
    assert len(kalla.get("/api/runs").body) == runs, "a trial is no run of the user's"
    assert not list((kalla.home / "runner" / "trials").iterdir()), "nothing is left of it"

    chat.press("rule_summary", "confirm")
    assert chat.last["message"]["cards"][0]["type"] == "progress"
    session = chat.finished()
    assert (session["phase"], session["status"]) == ("execution", "completed")
    card = session["messages"][-1]["cards"][0]
    assert (card["type"], card["matched_count"]) == ("result_summary", MATCHED)
    assert (card["unmatched_left_count"], card["unmatched_right_count"]) == (
        ROWS - MATCHED,
        PAID + 1 - MATCHED,
    )
    run = kalla.get(f"/api/runs/{card['run_id']}").body
    assert (run["status"], run["matched_count"]) == ("completed", MATCHED)
    assert kalla.get(f"/api/recipes/{run['recipe_id']}").body["match_sql"] == draft["match_sql"]
    assert len(kalla.get("/api/runs").body) == runs + 1
    assert [m["role"] for m in session["messages"]] == ["user", "assistant"] * 4 + ["assistant"]


def test_words_alone_lead_to_a_run_and_every_step_can_be_taken_back(chat: Chat) -> None:
    chat.say("match bills to receipts on invoice_no = reference and total within 1 cent, only USD")
    assert chat.place == ("scoping", "active")
    usd = ROWS - ROWS // 4
    assert chat.session()["left"]["filters"] == [{"column": "currency", "op": "eq", "value": "USD"}]
    assert chat.session()["left"]["row_count"] == usd
    chat.say("all rows")
    assert chat.session()["left"] == {"alias": "bills", "filters": [], "row_count": ROWS}
    chat.say("yes")
    chat.say("skip")
    assert chat.place == ("validation", "recipe_ready")
    first = chat.last["recipe_draft"]
    assert chat.card("rule_summary")["trial"]["matched_count"] == MATCHED

    chat.say("no tolerance")
    assert chat.place == ("validation", "recipe_ready")
    assert chat.last["recipe_draft"]["recipe_id"] != first["recipe_id"]
    fewer = chat.card("rule_summary")["trial"]["matched_count"]
    assert fewer < MATCHED

    chat.say("change the tolerance")
    assert "Which tolerance" in chat.text
    chat.press("rule_summary", "tolerance", "0.02") if "cards" in chat.last["message"] else chat.say(
        "within 2 cents"
    )
    assert chat.card("rule_summary")["trial"]["matched_count"] == MATCHED
    chat.say("other source")
    assert chat.place == ("source-selection", "active")
    assert chat.last["recipe_draft"] is None
    chat.press("select", "select", "bills", side="left")
    chat.press("select", "select", "receipts", side="right")
    chat.say("ok")
    chat.say("skip")
    chat.say("run it")
    assert chat.place == ("execution", "running")
    assert chat.finished()["status"] == "completed"


def test_a_wrong_example_is_pointed_out_and_not_averaged_away(chat: Chat) -> None:
    chat.say("match bills to receipts within 2 cents")
    chat.say("yes")
    doubtful = [p["number"] for p in chat.card("match_proposal")["pairs"] if "does not hold" in p["why"]]
    assert doubtful
    chat.press("match_proposal", "confirm")
    assert chat.place == ("validation", "recipe_ready")
    assert f"Pair {doubtful[0]}" in chat.text
    assert chat.card("rule_summary")["trial"]["matched_count"] == MATCHED


def test_a_source_that_is_not_there_is_said_so_and_columns_can_be_named_later(chat: Chat) -> None:
    chat.say("match bills to nonsense")
    assert chat.place == ("source-selection", "active")
    assert 'no source "nonsense"' in chat.text
    chat.say("receipts")
    assert chat.place == ("scoping", "active")
    chat.say("match invoice_no to reference")
    chat.say("yes")
    few = len(chat.card("match_proposal")["pairs"])
    chat.say("more examples")
    assert len(chat.card("match_proposal")["pairs"]) > few
    chat.say("skip")
    assert "b.invoice_no = r.reference" in chat.last["recipe_draft"]["match_sql"]


def test_nothing_reliable_is_said_so_and_never_shown_as_ready(chat: Chat, kalla: Kalla, data: Path) -> None:
    (data / "colours.csv").write_text("colour,weight\nred,1\nblue,2\ngreen,3\n")
    kalla.register("colours", data / "colours.csv")
    chat.say("match bills to colours")
    chat.say("yes")
    if chat.place[0] == "demonstration":
        chat.say("none of them")
    assert chat.place == ("inference", "active")
    assert chat.last["recipe_draft"] is None
    chat.say("run it")
    assert chat.place == ("inference", "active")


def test_the_stream_tells_what_is_done_and_follows_the_run_to_its_end(chat: Chat) -> None:
    chat.say("match bills to receipts within 2 cents")
    chat.say("yes")
    found = events(chat.kalla, session_id=chat.session_id, message="skip")
    names = [name for name, _ in found]
    assert names.count("message") == 1
    assert names[0] == "note"
    told = "".join(content["text"] for name, content in found if name == "text")
    assert told == found[-1][1]["message"]["content"]

    found = events(chat.kalla, session_id=chat.session_id, message="run it")
    messages = [content for name, content in found if name == "message"]
    assert [m["status"] for m in messages] == ["running", "completed"]
    assert messages[-1]["message"]["cards"][0]["type"] == "result_summary"
    assert [content["status"] for name, content in found if name == "progress"][-1] == "completed"
    assert chat.session()["messages"][-1]["content"] == messages[-1]["message"]["content"]


def test_a_message_sent_again_under_its_name_is_answered_once(chat: Chat) -> None:
    key = {"idempotency-key": str(uuid4())}
    body = {"message": "match bills to receipts"}
    first, again = [chat.kalla.http.post("/api/chat", json=body, headers=key).json() for _ in range(2)]
    assert first == again
    messages = chat.kalla.get(f"/api/chat/sessions/{first['session_id']}").body["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"]


def test_messages_to_one_session_are_answered_one_after_the_other(chat: Chat) -> None:
    chat.send(message="hello")
    texts = [f"within {number} cents" for number in range(1, 7)]
    with ThreadPoolExecutor(len(texts)) as pool:
        pending = [pool.submit(chat.post, message=text) for text in texts]
        answers = [one.result() for one in pending]
    assert [a.status for a in answers] == [200] * len(texts)
    messages = chat.session()["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * (len(texts) + 1)
    assert sorted(m["content"] for m in messages[2::2]) == texts


def test_two_presses_of_one_button_start_one_run(chat: Chat) -> None:
    chat.say("match bills to receipts within 2 cents")
    chat.say("yes")
    chat.say("skip")
    card = chat.card("rule_summary")
    press = {"card_response": {"card_id": card["card_id"], "action": "confirm"}}
    with ThreadPoolExecutor(2) as pool:
        pending = [pool.submit(chat.post, **press) for _ in range(2)]
        answers = [one.result() for one in pending]
    assert [a.status for a in answers] == [200, 200]
    chat.finished()
    recipe_id = chat.session()["recipe_draft"]["recipe_id"]
    assert len([r for r in chat.kalla.get("/api/runs").body if r["recipe_id"] == recipe_id]) == 1


def test_what_is_wrong_with_a_request_is_said_with_its_status(chat: Chat, kalla: Kalla) -> None:
    missing = kalla.get(f"/api/chat/sessions/{uuid4()}")
    assert (missing.status, missing.code) == (404, "SESSION_NOT_FOUND")
    assert kalla.get("/api/chat/sessions/no-id").status == 404
    assert kalla.post("/api/chat", {"session_id": str(uuid4()), "message": "hi"}).status == 404
    for body in ({}, {"message": "  "}, {"files": []}, {"card_response": {"action": "confirm"}}):
        answer = kalla.post("/api/chat", body)
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST"), body
    chat.say("match bills to receipts")
    card = chat.card("confirm")
    for response in (
        {"card_id": str(uuid4()), "action": "confirm"},
        {"card_id": card["card_id"], "action": "dance"},
    ):
        assert chat.post(card_response=response).status == 400
    assert len(chat.session()["messages"]) == 2, "a refused request leaves nothing"
    stream = kalla.http.post("/api/chat", json={}, headers={"accept": "text/event-stream"})
    assert stream.status_code == 400


def test_instructions_in_the_data_are_data(chat: Chat) -> None:
    chat.say("match bills to receipts within 2 cents")
    chat.say("yes")
    assert chat.place == ("demonstration", "active")
    chat.say("skip")
    assert chat.place == ("validation", "recipe_ready"), "nothing was run"
    session = chat.session()
    assert session["run"] is None
    assert INJECTION not in session["recipe_draft"]["match_sql"]
    assert chat.card("rule_summary")["trial"]["matched_count"] == MATCHED


def test_a_restart_in_mid_conversation_loses_nothing(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "data"
    folder.mkdir()
    tmp_path.chmod(0o711)
    sources(folder / "bills.csv", folder / "receipts.csv")
    with running_kalla(home, folder) as kalla:
        kalla.register("bills", folder / "bills.csv")
        kalla.register("receipts", folder / "receipts.csv")
        chat = Chat(kalla)
        chat.say("match bills to receipts within 2 cents, only USD")
        chat.say("yes")
        before = chat.session()
    with running_kalla(home, folder) as kalla:
        chat.kalla = kalla
        assert chat.session() == before
        chat.press("match_proposal", "skip")
        assert chat.place == ("validation", "recipe_ready")
        chat.say("run it")
        assert chat.finished()["status"] == "completed"
