"""A file goes from a plain HTTP client through the S3 store into a run; only REST and one PUT are used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.support import Answer, Kalla, recipe

QUOTED = b'id,note,amount\n1,"two\nlines",1.10\n2,"a ""word""",20\n3,,0.05\n'


def presign(kalla: Kalla, filename: str = "payments.csv") -> dict[str, Any]:
    answer = kalla.post("/api/uploads/presign", {"filename": filename, "session_id": "story"})
    assert answer.status == 200, answer.body
    return answer.body


def uploaded(kalla: Kalla, data: bytes, filename: str = "payments.csv") -> dict[str, Any]:
    """An upload whose file is in the store; put there as any HTTP client would."""
    upload = presign(kalla, filename)
    assert httpx.put(upload["presigned_url"], content=data, trust_env=False).status_code == 200
    return upload


def preview(kalla: Kalla, upload: dict[str, Any]) -> Answer:
    return kalla.post("/api/uploads/preview", {"s3_uri": upload["s3_uri"]})


def confirm(kalla: Kalla, upload: dict[str, Any], filename: str = "payments.csv") -> Answer:
    body = {"s3_uri": upload["s3_uri"], "filename": filename}
    return kalla.post(f"/api/uploads/{upload['upload_id']}/confirm", body)


def test_from_a_signed_address_to_a_run(kalla: Kalla, data: Path) -> None:
    invoices = data / "invoices.csv"
    invoices.write_text("number,total\n1,1.10\n2,20.00\n4,7\n")
    upload = uploaded(kalla, QUOTED)

    shown = preview(kalla, upload)
    assert shown.body == {
        "columns": ["id", "note", "amount"],
        "row_count": 3,
        "sample": [
            {"id": "1", "note": "two\nlines", "amount": "1.10"},
            {"id": "2", "note": 'a "word"', "amount": "20.00"},
            {"id": "3", "note": None, "amount": "0.05"},
        ],
    }
    confirmed = confirm(kalla, upload)
    assert confirmed.body == {
        "upload_id": upload["upload_id"],
        "filename": "payments.csv",
        "s3_uri": upload["s3_uri"],
        "columns": ["id", "note", "amount"],
        "row_count": 3,
    }
    run = kalla.complete(
        recipe(
            "SELECT i.number, p.id FROM invoices i JOIN payments p ON i.number = p.id AND i.total = p.amount",
            ("invoices", invoices, ["number"]),
            ("payments", confirmed.body["s3_uri"], ["id"]),
        )
    )
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (2, 1, 1)
    assert kalla.rows(run["run_id"], "unmatched_right") == [("3", None, "0.05")]


def test_an_upload_is_registered_as_a_source_like_any_other(kalla: Kalla) -> None:
    upload = uploaded(kalla, QUOTED)
    kalla.register("uploaded", upload["s3_uri"])
    shown = kalla.get("/api/sources/uploaded/preview").body
    assert (shown["total_rows"], shown["columns"][2]["data_type"]) == (3, "decimal(18,2)")


def test_confirming_again_answers_the_same_also_at_the_same_moment(kalla: Kalla) -> None:
    upload = uploaded(kalla, QUOTED)
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(confirm, kalla, upload) for _ in range(4)]
        answers = [one.result() for one in asked]
    assert {answer.status for answer in answers} == {200}
    assert all(answer.body == answers[0].body for answer in answers)
    assert confirm(kalla, upload).body == answers[0].body


def test_a_file_that_was_replaced_is_read_anew(kalla: Kalla) -> None:
    upload = uploaded(kalla, QUOTED)
    assert confirm(kalla, upload).body["row_count"] == 3
    httpx.put(upload["presigned_url"], content=QUOTED + b"4,,1\n", trust_env=False)
    assert confirm(kalla, upload).body["row_count"] == 4
    assert preview(kalla, upload).body["row_count"] == 4


def test_rows_are_counted_exactly_in_a_file_of_many_blocks(kalla: Kalla) -> None:
    rows = 120_000
    upload = uploaded(kalla, b"id,note\n" + b"".join(b'%d,"a\nb, c"\n' % number for number in range(rows)))
    shown = preview(kalla, upload).body
    assert shown["row_count"] == rows
    assert [row["id"] for row in shown["sample"]] == [str(number) for number in range(10)]
    assert confirm(kalla, upload).body["row_count"] == rows


def test_names_that_people_give_files_arrive(kalla: Kalla) -> None:
    filename = "Zahlungen (März) 100% & 支払い.csv"
    upload = uploaded(kalla, QUOTED, filename)
    assert upload["s3_uri"].endswith("/Zahlungen_(März)_100____支払い.csv")
    assert preview(kalla, upload).body["row_count"] == 3
    assert confirm(kalla, upload, filename).body["filename"] == filename
    kalla.register("named", upload["s3_uri"])
    assert kalla.get("/api/sources/named/preview").body["total_rows"] == 3


def test_a_header_without_rows_is_a_file_of_no_rows(kalla: Kalla) -> None:
    upload = uploaded(kalla, b"id,amount\n")
    assert confirm(kalla, upload).body["row_count"] == 0
    assert preview(kalla, upload).body["sample"] == []


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_header_is_empty(kalla: Kalla, data: bytes) -> None:
    upload = uploaded(kalla, data)
    for answer in (preview(kalla, upload), confirm(kalla, upload)):
        assert (answer.status, answer.code) == (400, "EMPTY_FILE")
        assert "payments.csv" in answer.message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"id,amount\n1,2\n1,2,3\n", "Line 3"),
        (b"id,name\n1,\xff\n", "Line 2"),
        (b"PK\x03\x04\x00\x00\x00\x00", "spreadsheet"),
        (b"id,id\n1,2\n", "'id' twice"),
    ],
)
def test_a_file_that_is_no_csv_says_where(kalla: Kalla, data: bytes, reason: str) -> None:
    upload = uploaded(kalla, data)
    for answer in (preview(kalla, upload), confirm(kalla, upload)):
        assert (answer.status, answer.code) == (422, "INVALID_DATA"), answer.body
        assert reason in answer.message


def test_a_file_that_was_never_put_is_a_404(kalla: Kalla) -> None:
    upload = presign(kalla)
    for answer in (preview(kalla, upload), confirm(kalla, upload)):
        assert (answer.status, answer.code) == (404, "DATA_NOT_FOUND")
