"""An OpenSearch index against a CSV file, through REST alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Kalla, recipe
from tests.integration.connectors.http_proxy import refusing_proxy
from tests.integration.connectors.search_indices import Indices, opened_indices

ORDERS = {
    "order_no": {"type": "keyword"},
    "amount": {"type": "scaled_float", "scaling_factor": 100},
    "placed": {"type": "date"},
    "customer": {"properties": {"id": {"type": "long"}}},
}
SECRET = "p@ss/word"
SQL = """SELECT l.order_no, r.payment_id, l.amount, r.paid
FROM orders l JOIN payments r ON l.order_no = r.order_no AND tolerance_match(l.amount, r.paid, 0.02)"""


def order(number: int) -> str:
    placed = f"2026-01-{number % 28 + 1:02}T12:00:00.000Z"
    customer = 9007199254740993 + number
    head = f'{{"order_no":"{number:05}","amount":{number}.10,"placed":"{placed}"'
    return f'{head},"customer":{{"id":{customer}}}}}'


@pytest.fixture
def orders(opensearch_url: str) -> Iterator[tuple[str, Indices]]:
    """The URI of 1,000 orders behind a login, and the indices to change them."""
    with opened_indices(opensearch_url) as indices, refusing_proxy(opensearch_url, "kalla", SECRET) as place:
        index = indices.made(ORDERS, *(order(number) for number in range(1000)), shards=2)
        yield f"opensearch://kalla:p%40ss%2Fword@{place}/{index}", indices


@pytest.fixture
def payments(data: Path) -> Path:
    """Of orders 0 to 899: every tenth off by 0.03, the others by at most 0.02; and ten of no order."""
    lines = ["payment_id,order_no,paid"]
    for number in range(900):
        paid = Decimal(f"{number}.10") + (Decimal("0.03") if number % 10 == 9 else Decimal(number % 3) / 100)
        lines.append(f"P{number},{number:05},{paid}")
    lines += [f"X{number},9{number:04},1.00" for number in range(10)]
    path = data / "payments.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def register(kalla: Kalla, alias: str, uri: str) -> None:
    answer = kalla.post("/api/sources", {"alias": alias, "uri": uri, "source_type": "elasticsearch"})
    assert answer.status == 200, answer.body


def test_an_index_is_registered_previewed_filtered_and_its_password_never_shown(
    kalla: Kalla, orders: tuple[str, Indices]
) -> None:
    uri, indices = orders
    register(kalla, "search_orders", uri)
    (listed,) = [one for one in kalla.get("/api/sources").body if one["alias"] == "search_orders"]
    assert listed["source_type"] == "elasticsearch"
    assert listed["uri"].startswith("opensearch://kalla:***@")
    preview = kalla.get("/api/sources/search_orders/preview", limit=5)
    assert preview.status == 200, preview.body
    types = {column["name"]: column["data_type"] for column in preview.body["columns"]}
    assert types == {
        "_id": "text",
        "amount": "decimal(18,2)",
        "customer": "text",
        "order_no": "text",
        "placed": "timestamp with time zone",
    }
    assert (preview.body["total_rows"], len(preview.body["rows"])) == (1000, 5)
    conditions = [
        {"column": "order_no", "op": "between", "value": ["00010", "00019"]},
        {"column": "amount", "op": "gt", "value": 15.105},
    ]
    loaded = kalla.post("/api/sources/search_orders/load-scoped", {"conditions": conditions})
    assert loaded.status == 200, loaded.body
    place = [column["name"] for column in loaded.body["columns"]].index("order_no")
    assert sorted(row[place] for row in loaded.body["rows"]) == ["00016", "00017", "00018", "00019"]
    assert SECRET not in json.dumps([listed, preview.body, loaded.body])
    assert indices.points_in_time() == 0


def test_a_run_of_an_index_against_a_csv_is_exact_and_records_the_point_in_time(
    kalla: Kalla, orders: tuple[str, Indices], payments: Path
) -> None:
    uri, indices = orders
    body: dict[str, Any] = recipe(SQL, ("orders", uri, ["_id"]), ("payments", payments, ["payment_id"]))
    body["sources"]["left"]["schema"] = ["customer.id:integer"]
    run = kalla.complete(body)
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (
        810,
        190,
        100,
    )
    assert ("00001", "P1", "1.10", "1.11") in {row[:4] for row in kalla.rows(run["run_id"], "matched")}
    columns = kalla.columns(run["run_id"], "unmatched_left")
    row = next(row for row in kalla.rows(run["run_id"], "unmatched_left") if row[0] == "9")
    assert row[columns.index("customer.id")] == str(9007199254740993 + 9)
    manifest = json.loads(Path(run["output_matched"]).with_name("manifest.json").read_text())
    pin = manifest["pins"]["orders"] if "pins" in manifest else manifest["sources"]["orders"]["pin"]
    assert pin["point_in_time"]
    assert SECRET not in json.dumps([manifest, run])
    assert indices.points_in_time() == 0


def test_a_document_that_cannot_be_read_fails_the_run_with_its_name(
    kalla: Kalla, orders: tuple[str, Indices], payments: Path
) -> None:
    uri, indices = orders
    index = uri.rpartition("/")[2]
    indices.add(index, ['{"order_no":["1","2"]}'], first=5000)
    code, message = kalla.failure(
        recipe(SQL, ("orders", uri, ["_id"]), ("payments", payments, ["payment_id"]))
    )
    assert code == "INVALID_DATA"
    assert "'order_no' of document '5000'" in message
    assert indices.points_in_time() == 0


def test_a_wrong_login_is_one_sentence_without_the_password(
    kalla: Kalla, orders: tuple[str, Indices]
) -> None:
    register(kalla, "search_refused", orders[0].replace("p%40ss%2Fword", "wr0ng"))
    answer = kalla.get("/api/sources/search_refused/preview")
    assert (answer.status, answer.code) == (502, "ACCESS_DENIED")
    assert "wr0ng" not in answer.message
