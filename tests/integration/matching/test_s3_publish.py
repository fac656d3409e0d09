"""Outputs in an S3 store count all at once, once, and only where nothing else lies."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiobotocore.client import AioBaseClient
from kalla_cli.ports import free_port
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_runner.outputs import s3 as s3_outputs
from kalla_runner.outputs.manifest import MANIFEST, OUTPUT_FILES, Manifest
from kalla_runner.outputs.reader import pinned_output, read_output
from kalla_runner.outputs.s3 import check_s3_output, publish_to_s3, s3_published_by
from pydantic import SecretStr

from tests.conftest import S3Bucket
from tests.integration.matching.test_publish import OTHER, RUN, attempt

ALL = sorted([*OUTPUT_FILES, MANIFEST])


def prefix(bucket: S3Bucket, name: str = "runs/r1") -> str:
    return f"s3://{bucket.name}/{name}"


def names(bucket: S3Bucket, at: str = "runs/r1") -> list[str]:
    return sorted(
        entry["path"].rsplit("/", 1)[1] for page in obstore.list(bucket.store, at) for entry in page
    )


def content(bucket: S3Bucket, name: str, at: str = "runs/r1") -> bytes:
    return bytes(obstore.get(bucket.store, f"{at}/{name}").bytes())


def uploads(bucket: S3Bucket) -> list[str]:
    """Keys of uploads that were begun and neither completed nor aborted."""
    import boto3  # noqa: PLC0415

    key_id, secret, _ = bucket.settings.credentials()
    client: Any = boto3.client(
        "s3",
        endpoint_url=bucket.settings.endpoint,
        region_name=bucket.settings.signing_region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )
    try:
        return [
            entry["Key"] for entry in client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])
        ]
    finally:
        client.close()


def check_whole(bucket: S3Bucket) -> None:
    """The three files as the manifest states them, and nothing left of the way there."""
    assert names(bucket) == ALL
    manifest = Manifest.from_json(content(bucket, MANIFEST))
    for entry in manifest.files:
        data = content(bucket, entry.name)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256)
    assert uploads(bucket) == []


def refused(folder: Path, bucket: S3Bucket, settings: S3Settings | None = None) -> KallaError:
    with pytest.raises(KallaError) as caught:
        publish_to_s3(folder, prefix(bucket), settings or bucket.settings, RUN)
    return caught.value


def test_all_files_appear_with_a_true_manifest(tmp_path: Path, s3_bucket: S3Bucket) -> None:
    folder = attempt(tmp_path, tmp_path / "local")
    assert check_s3_output(prefix(s3_bucket) + "/", s3_bucket.settings, RUN) == prefix(s3_bucket)
    publish_to_s3(folder, prefix(s3_bucket), s3_bucket.settings, RUN)
    check_whole(s3_bucket)
    assert s3_published_by(prefix(s3_bucket), s3_bucket.settings, RUN)
    assert not s3_published_by(prefix(s3_bucket), s3_bucket.settings, OTHER)
    assert not folder.exists()


def test_publishing_again_changes_nothing(tmp_path: Path, s3_bucket: S3Bucket) -> None:
    publish_to_s3(attempt(tmp_path, tmp_path / "local"), prefix(s3_bucket), s3_bucket.settings, RUN)
    before = [obstore.head(s3_bucket.store, f"runs/r1/{name}")["last_modified"] for name in ALL]
    again = attempt(tmp_path, tmp_path / "local", number=2)
    publish_to_s3(again, prefix(s3_bucket), s3_bucket.settings, RUN)
    assert [obstore.head(s3_bucket.store, f"runs/r1/{name}")["last_modified"] for name in ALL] == before
    check_s3_output(prefix(s3_bucket), s3_bucket.settings, RUN)


def test_a_file_of_many_parts_is_put_together_exactly(
    tmp_path: Path, s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [secrets.token_hex(16) for _ in range(250_000)]
    rows = pa.table({"id": pa.array(range(len(words))), "ref": words})
    folder = attempt(tmp_path, tmp_path / "local", rows=rows)
    # The least that S3 takes, but for the last one.
    monkeypatch.setattr(s3_outputs, "_PART_BYTES", 5 << 20)
    publish_to_s3(folder, prefix(s3_bucket), s3_bucket.settings, RUN)
    check_whole(s3_bucket)


def test_the_outputs_of_another_run_are_not_overwritten(tmp_path: Path, s3_bucket: S3Bucket) -> None:
    publish_to_s3(attempt(tmp_path, tmp_path / "l", OTHER), prefix(s3_bucket), s3_bucket.settings, OTHER)
    before = content(s3_bucket, MANIFEST)
    for refusing in (
        lambda: publish_to_s3(attempt(tmp_path, tmp_path / "l"), prefix(s3_bucket), s3_bucket.settings, RUN),
        lambda: check_s3_output(prefix(s3_bucket), s3_bucket.settings, RUN),
    ):
        with pytest.raises(KallaError, match="not empty") as caught:
            refusing()
        assert caught.value.code is Code.OUTPUT_NOT_WRITABLE
    assert content(s3_bucket, MANIFEST) == before
    assert names(s3_bucket) == ALL


def test_a_prefix_that_begins_like_another_is_another(tmp_path: Path, s3_bucket: S3Bucket) -> None:
    obstore.put(s3_bucket.store, "runs/r10/other.csv", b"x")
    obstore.put(s3_bucket.store, "runs/r1", b"x")
    publish_to_s3(attempt(tmp_path, tmp_path / "local"), prefix(s3_bucket), s3_bucket.settings, RUN)
    assert s3_published_by(prefix(s3_bucket), s3_bucket.settings, RUN)


def test_trap_12_a_damaged_attempt_is_not_published_and_nothing_remains(
    tmp_path: Path, s3_bucket: S3Bucket
) -> None:
    folder = attempt(tmp_path, tmp_path / "local")
    with (folder / OUTPUT_FILES[1]).open("r+b") as file:
        file.seek(10)
        file.write(b"\0\0\0")
    assert refused(folder, s3_bucket).code is Code.CONSERVATION_FAILED
    assert names(s3_bucket) == []
    assert uploads(s3_bucket) == []


def test_what_cannot_be_written_is_said_before_the_run(s3_bucket: S3Bucket) -> None:
    settings = s3_bucket.settings
    secret = "wrong/secret/0123456789"
    wrong = settings.model_copy(update={"secret_access_key": SecretStr(secret)})
    nobody = settings.model_copy(update={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
    for output, given, code, hint in (
        (prefix(s3_bucket), S3Settings(), Code.STORE_NOT_CONFIGURED, "AWS_ACCESS_KEY_ID"),
        (prefix(s3_bucket), wrong, Code.STORE_UNAVAILABLE, "AWS_SECRET_ACCESS_KEY"),
        (prefix(s3_bucket), nobody, Code.STORE_UNAVAILABLE, "AWS_ENDPOINT_URL"),
        ("s3://no-such-bucket-here/r1", settings, Code.OUTPUT_NOT_WRITABLE, "bucket"),
        (f"s3://{s3_bucket.name}/", settings, Code.INVALID_REQUEST, "prefix"),
        ("s3://user:pass@host/r1", settings, Code.INVALID_URI, "bucket"),
    ):
        with pytest.raises(KallaError) as caught:
            check_s3_output(output, given, RUN)
        assert caught.value.code is code, output
        assert hint in caught.value.message
        assert secret not in caught.value.message
        assert "pass" not in caught.value.message
    assert uploads(s3_bucket) == []


def _publish_and_die(folder: Path, output: str, settings: S3Settings, at: int, answered: bool) -> None:
    """In a process of its own: publish, and end before or after the answer to request number `at`."""
    original: Any = vars(AioBaseClient)["_make_api_call"]
    count = 0

    async def dying(self: Any, *arguments: Any) -> Any:
        nonlocal count
        number, count = count, count + 1
        if number == at and not answered:
            os._exit(9)
        try:
            return await original(self, *arguments)
        finally:
            if number == at:
                os._exit(9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AioBaseClient, "_make_api_call", dying)
        publish_to_s3(folder, output, settings, RUN)


def test_trap_27_killed_at_any_request_publishing_goes_on_and_ends_whole(
    tmp_path: Path, s3_bucket: S3Bucket
) -> None:
    made = attempt(tmp_path, tmp_path / "local")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    at = 0
    while True:
        folder = Path(shutil.copytree(made, tmp_path / f"attempt-{at}"))
        arguments = (folder, prefix(s3_bucket), s3_bucket.settings, at, at % 2 == 0)
        process = context.Process(target=_publish_and_die, args=arguments)
        process.start()
        process.join(60)
        # The manifest is the last to come, so where it is, all is.
        if MANIFEST in names(s3_bucket):
            check_whole(s3_bucket)
        if process.exitcode == 0:
            break
        assert process.exitcode == 9
        publish_to_s3(folder, prefix(s3_bucket), s3_bucket.settings, RUN)
        check_whole(s3_bucket)
        for name in ALL:
            obstore.delete(s3_bucket.store, f"runs/r1/{name}")
        at += 1
    assert at > 15, "every request was one to die at"
    check_whole(s3_bucket)


def test_a_page_of_an_output_is_read_by_ranges(tmp_path: Path, s3_bucket: S3Bucket) -> None:
    folder = attempt(tmp_path, tmp_path / "local")
    expected = pq.read_table(folder / "matched.parquet")
    publish_to_s3(folder, prefix(s3_bucket), s3_bucket.settings, RUN)
    path = f"{prefix(s3_bucket)}/matched.parquet"
    with pinned_output(path, s3_bucket.settings, tmp_path) as output:
        schema, total, batches = read_output(output, 1, 0)
        assert (schema, total) == (expected.schema, 1)
        assert [row for batch in batches for row in batch.to_pylist()] == expected.to_pylist()
    with pytest.raises(KallaError) as caught, pinned_output(path + "x", s3_bucket.settings, tmp_path):
        pass
    assert caught.value.code is Code.DATA_NOT_FOUND


def test_a_store_that_stops_answering_fails_the_run(
    tmp_path: Path, s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = s3_bucket.settings.model_copy(update={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
    monkeypatch.setattr(s3_outputs, "ATTEMPTS", 2)
    folder = attempt(tmp_path, tmp_path / "local")
    assert refused(folder, s3_bucket, nobody).code is Code.STORE_UNAVAILABLE
    assert folder.exists()
