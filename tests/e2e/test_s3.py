"""Sources and outputs in the S3 store of a real `kalla up`, seen through REST."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_cli.buckets import bucket_store
from kalla_cli.embedded_s3 import OUTPUTS_BUCKET
from kalla_common.s3 import S3Settings
from obstore.store import S3Store
from pydantic import SecretStr

from tests.e2e.support import Kalla, recipe, running_kalla

INVOICES = 'number,total,note\n1,1.10,"two\nlines"\n2,20.00,\n4,7,"a ""word"""\n'
PAYMENTS = pa.table({"id": [1, 2, 3], "amount": ["1.10", "20", "0.05"]})
SQL = "SELECT l.number, r.id FROM invoices l JOIN payments r ON l.number = r.id"


@pytest.fixture(scope="module")
def kalla() -> Iterator[Kalla]:
    """A Kalla whose outputs go to its own S3 store."""
    with tempfile.TemporaryDirectory(prefix="kalla-e2e-s3-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o711)
        (root / "data").mkdir()
        options = ("--output-root", f"s3://{OUTPUTS_BUCKET}/runs/")
        with running_kalla(root / "home", root / "data", *options) as running:
            yield running


@pytest.fixture(scope="module")
def store(kalla: Kalla) -> S3Store:
    """The bucket of outputs, as another program with the same credentials reaches it."""
    settings = S3Settings(
        access_key_id="kalla",
        secret_access_key=SecretStr((kalla.home / "s3.secret").read_text().strip()),
        region="us-east-1",
        endpoint_url=kalla.state["s3"],
        allow_http=True,
    )
    return bucket_store(settings, OUTPUTS_BUCKET)


def uploaded(kalla: Kalla, data: bytes) -> str:
    answer = kalla.post("/api/uploads/presign", {"filename": "file.csv", "session_id": "s3"})
    assert answer.status == 200, answer.body
    assert httpx.put(answer.body["presigned_url"], content=data, trust_env=False).status_code == 200
    return str(answer.body["s3_uri"])


def sources(kalla: Kalla, store: S3Store) -> dict[str, Any]:
    """A recipe of a CSV object and a Parquet prefix."""
    for number in range(3):
        part = pa.BufferOutputStream()
        pq.write_table(PAYMENTS.slice(number, 1), part)
        obstore.put(store, f"payments/part-{number}.parquet", part.getvalue().to_pybytes())
    left = ("invoices", uploaded(kalla, INVOICES.encode()), ["number"])
    return recipe(SQL, left, ("payments", f"s3://{OUTPUTS_BUCKET}/payments/", ["id"]))


def test_a_run_from_s3_to_s3_is_read_over_rest(kalla: Kalla, store: S3Store) -> None:
    asked = sources(kalla, store)
    kalla.register("invoices_in_s3", asked["sources"]["left"]["uri"])
    preview = kalla.get("/api/sources/invoices_in_s3/preview")
    assert preview.body["rows"][0] == ["1", "1.10", "two\nlines"]
    assert preview.body["total_rows"] == 3

    run = kalla.complete(asked)
    at = f"s3://{OUTPUTS_BUCKET}/runs/{run['run_id']}"
    assert run["output_matched"] == f"{at}/matched.parquet"
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (2, 1, 1)
    assert sorted(kalla.rows(run["run_id"], "matched")) == [("1", "1"), ("2", "2")]
    assert kalla.rows(run["run_id"], "unmatched_left") == [("4", "7.00", 'a "word"')]
    assert kalla.rows(run["run_id"], "unmatched_right") == [("3", "0.05")]
    listed = [entry["path"] for page in obstore.list(store, f"runs/{run['run_id']}") for entry in page]
    assert len(listed) == 4
    assert not (kalla.home / "runs" / run["run_id"]).exists()
    assert [entry for entry in (kalla.home / "runner").iterdir() if entry.is_dir()] == []


def test_an_object_that_is_not_there_fails_the_run_with_its_name(kalla: Kalla, store: S3Store) -> None:
    asked = sources(kalla, store)
    asked["sources"]["left"]["uri"] = f"s3://{OUTPUTS_BUCKET}/none.csv"
    code, message = kalla.failure(asked)
    assert code == "DATA_NOT_FOUND"
    assert f"s3://{OUTPUTS_BUCKET}/none.csv" in message
