"""Objects of an S3 store beyond the contract: ranges, pins, what is asked of the store, and refusals."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.csv import source as csv_source
from kalla_runner.connectors.csv.source import CsvSource
from kalla_runner.connectors.csv.whole import KnownFiles
from kalla_runner.connectors.registry import open_source
from kalla_runner.connectors.s3 import s3_reading
from kalla_runner.pinned import PinnedFiles
from kalla_runner.s3 import fetch
from kalla_runner.s3.address import parse_s3

from tests.conftest import S3Bucket
from tests.integration.connectors.contract import read_rows, staged_rows


@pytest.fixture
def session(s3_bucket: S3Bucket, tmp_path: Path) -> Iterator[ReadSession]:
    with ReadSession((), threads=2, s3=s3_bucket.settings, scratch=tmp_path) as session:
        yield session


def put(bucket: S3Bucket, key: str, data: bytes | str) -> str:
    obstore.put(bucket.store, key, data if isinstance(data, bytes) else data.encode())
    return f"s3://{bucket.name}/{key}"


def opened(session: ReadSession, uri: str) -> OpenSource:
    return open_source(SourceSpec("src", uri), session)


def failure(session: ReadSession, uri: str) -> KallaError:
    with pytest.raises(KallaError) as caught:
        opened(session, uri).count()
    return caught.value


def in_small_blocks(session: ReadSession, uri: str, block_bytes: int) -> CsvSource:
    """The object read in many lanes, however small it is."""
    pinned = PinnedFiles.one(s3_reading(session).pin(parse_s3(uri)))
    return CsvSource(SourceSpec("src", uri), pinned, session, block_bytes)


class Proxy:
    """A store that is the real one, but for what a test does to its answers.

    Attributes:
        seen: method, path and Range of every request.
        bytes_sent: of all bodies.
        cut: how many answers to ranges still break off in the middle.
    """

    def __init__(self, target: str) -> None:
        self.seen: list[tuple[str, str, str | None]] = []
        self.conditions: list[str | None] = []
        self.bytes_sent = 0
        self.cut = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.seen.append((self.command, self.path, self.headers["range"]))
                proxy.conditions.append(self.headers["if-match"])
                # The Host header is signed, so it goes on as it came.
                answer = client.request(self.command, target + self.path, headers=dict(self.headers))
                body = answer.content
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in ("connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                if proxy.cut and self.headers["range"] and answer.is_success:
                    proxy.cut -= 1
                    body = body[: len(body) // 2]
                    self.close_connection = True
                proxy.bytes_sent += len(body)
                self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        client = httpx.Client(trust_env=False, timeout=30)
        self._client = client
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()


@contextmanager
def through_proxy(bucket: S3Bucket, folder: Path) -> Generator[tuple[Proxy, ReadSession]]:
    proxy = Proxy(bucket.settings.endpoint)
    try:
        given = bucket.settings.model_copy(update={"endpoint_url": proxy.url})
        with ReadSession((), threads=2, s3=given, scratch=folder) as session:
            yield proxy, session
    finally:
        proxy.close()


QUOTED = "id,note\n" + "".join(f'{n},"line one\nline ""{n}""\r\n,,"\n' for n in range(3_000))


@pytest.mark.parametrize("range_bytes", [1 << 10, 1 << 16])
def test_trap_03_quoted_line_breaks_are_read_exactly_from_parallel_ranges(
    s3_bucket: S3Bucket,
    session: ReadSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    range_bytes: int,
) -> None:
    monkeypatch.setattr(fetch, "_RANGE_BYTES", range_bytes)
    uri = put(s3_bucket, "quoted.csv", QUOTED)
    source = in_small_blocks(session, uri, 4_096)
    staged = source.stage(tmp_path / "out", lambda _: None)
    table = staged_rows(staged)
    assert len(staged.files) > 4
    assert table["id"].to_pylist() == list(range(3_000))
    assert table["note"][2_999].as_py() == 'line one\nline "2999"\r\n,,'


def test_trap_04_each_range_owns_the_rows_that_start_in_it(
    s3_bucket: S3Bucket, session: ReadSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "id,name\n" + "".join(f"{n},{'x' * (n % 37)}\n" for n in range(2_000))
    uri = put(s3_bucket, "plain.csv", text)
    for range_bytes in (777, 4_096, len(text) - 1, len(text), len(text) + 1):
        monkeypatch.setattr(fetch, "_RANGE_BYTES", range_bytes)
        source = in_small_blocks(session, uri, 1_000)
        table = staged_rows(source.stage(tmp_path / f"out-{range_bytes}", lambda _: None))
        assert table["id"].to_pylist() == list(range(2_000)), range_bytes


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.lists(st.text(st.sampled_from('a,"\n\r;é '), max_size=12), min_size=1, max_size=60),
    range_bytes=st.integers(16, 300),
)
def test_trap_03_any_text_arrives_as_it_was_written_whatever_the_ranges(
    s3_bucket: S3Bucket, session: ReadSession, tmp_path: Path, fields: list[str], range_bytes: int
) -> None:
    text = "id,note\n" + "".join('{},"{}"\n'.format(n, f.replace('"', '""')) for n, f in enumerate(fields))
    uri = put(s3_bucket, "any.csv", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "_RANGE_BYTES", range_bytes)
        patch.setattr(csv_source, "_KNOWN", KnownFiles())
        source = open_source(SourceSpec("src", uri, schema=("note:text",)), session)
        assert isinstance(source, CsvSource)
        rows = staged_rows(source.stage(tmp_path / "out", lambda _: None))
    assert rows["note"].to_pylist() == fields


def test_a_literal_quote_is_read_strictly_as_one_stream(
    s3_bucket: S3Bucket, session: ReadSession, tmp_path: Path
) -> None:
    text = "id,note\n" + "".join(f'{n},5" pipe\n' for n in range(1_999)) + '1999,"a\nb"\n'
    staged = in_small_blocks(session, put(s3_bucket, "literal.csv", text), 1_000).stage(
        tmp_path / "out", lambda _: None
    )
    table = staged_rows(staged)
    assert len(staged.files) == 1
    assert table["note"][0].as_py() == '5" pipe'
    assert table["note"][1_999].as_py() == "a\nb"


def test_a_run_downloads_an_object_once_also_if_its_types_were_guessed_wrong(
    s3_bucket: S3Bucket, tmp_path: Path
) -> None:
    middle = 40_000
    lines = (f"{n},{'late' if n == middle else n}\n" for n in range(2 * middle))
    text = "id,value\n" + "".join(lines)
    uri = put(s3_bucket, "late.csv", text)
    with through_proxy(s3_bucket, tmp_path) as (proxy, session):
        staged = opened(session, uri).stage(tmp_path / "out", lambda _: None)
        assert staged.schema.field("value").type == pa.string()
        assert proxy.bytes_sent < 1.5 * len(text)
        ranged = [
            condition for (_, _, span), condition in zip(proxy.seen, proxy.conditions, strict=True) if span
        ]
        head = obstore.head(s3_bucket.store, "late.csv")
        assert ranged
        assert set(ranged) == {head["e_tag"]}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_second_preview_reads_the_beginning_alone(s3_bucket: S3Bucket, tmp_path: Path) -> None:
    text = "id,name\n" + "".join(f"{n},name of {n}\n" for n in range(60_000))
    uri = put(s3_bucket, "preview.csv", text)
    with through_proxy(s3_bucket, tmp_path) as (proxy, session):
        assert read_rows(opened(session, uri), limit=5).num_rows == 5
        before = proxy.bytes_sent
        source = opened(session, uri)
        assert read_rows(source, limit=5)["id"].to_pylist() == [0, 1, 2, 3, 4]
        assert source.count() == 60_000
        assert proxy.bytes_sent - before < 200_000
        put(s3_bucket, "preview.csv", text + "60000,x\n")
        assert opened(session, uri).count() == 60_001


def test_a_parquet_preview_reads_footer_and_needed_row_groups_only(
    s3_bucket: S3Bucket, tmp_path: Path
) -> None:
    target = io.BytesIO()
    rows = pa.table(
        {"id": pa.array(range(400_000)), "text": [f"some text {n * 7919}" for n in range(400_000)]}
    )
    pq.write_table(rows, target, row_group_size=10_000, compression="none")
    data = target.getvalue()
    uri = put(s3_bucket, "groups.parquet", data)
    with through_proxy(s3_bucket, tmp_path) as (proxy, session):
        source = opened(session, uri)
        assert source.count() == 400_000
        assert read_rows(source, 3, 250_001)["id"].to_pylist() == [250_001, 250_002, 250_003]
        assert proxy.bytes_sent < len(data) / 10


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(
    s3_bucket: S3Bucket, tmp_path: Path, ending: str
) -> None:
    rows = pa.table({"id": pa.array(range(50_000))})
    target = io.BytesIO()
    if ending == "parquet":
        pq.write_table(rows, target)
    else:
        text = "id\n" + "".join(f"{n}\n" for n in range(50_000))
        target.write(gzip.compress(text.encode()) if ending == "csv.gz" else text.encode())
    uri = put(s3_bucket, f"cut.{ending}", target.getvalue())
    with through_proxy(s3_bucket, tmp_path) as (proxy, session):
        proxy.cut = 3
        table = staged_rows(opened(session, uri).stage(tmp_path / "out", lambda _: None))
        assert proxy.cut == 0
    assert table["id"].to_pylist() == list(range(50_000))


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "replaced"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_an_object_that_changes_or_vanishes_while_it_is_read_is_an_error(
    s3_bucket: S3Bucket, session: ReadSession, tmp_path: Path, ending: str, gone: bool
) -> None:
    target = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2]}), target)
    data = {"csv": b"id\n1\n2\n", "csv.gz": gzip.compress(b"id\n1\n2\n"), "parquet": target.getvalue()}[
        ending
    ]
    uri = put(s3_bucket, f"changing.{ending}", data)
    source = opened(session, uri)
    if gone:
        obstore.delete(s3_bucket.store, f"changing.{ending}")
    else:
        # Of the same size, in the same second.
        put(s3_bucket, f"changing.{ending}", data[:-1] + b"X")
    for reading in (lambda: source.stage(tmp_path / "out", lambda _: None), source.check_unchanged):
        with pytest.raises(KallaError, match="changed") as caught:
            reading()
        assert caught.value.code is Code.SOURCE_CHANGED
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_prefix_holds_one_kind_of_objects_with_the_same_columns(
    s3_bucket: S3Bucket, session: ReadSession
) -> None:
    parquet = io.BytesIO()
    pq.write_table(pa.table({"id": [1]}), parquet)
    put(s3_bucket, "mixed/a.csv", "id\n1\n")
    put(s3_bucket, "mixed/b.parquet", parquet.getvalue())
    put(s3_bucket, "other/a.csv", "id\n1\n")
    put(s3_bucket, "other/readme.txt", "hello")
    put(s3_bucket, "columns/a.csv", "id,name\n1,x\n")
    put(s3_bucket, "columns/b.csv", "id,nom\n1,x\n")
    put(s3_bucket, "notes/_SUCCESS", "")
    for prefix, code, hint in (
        ("mixed", Code.INVALID_DATA, "'mixed/b.parquet'"),
        ("other", Code.INVALID_DATA, "'other/readme.txt'"),
        ("columns", Code.SCHEMA_MISMATCH, "'nom'"),
        ("notes", Code.DATA_NOT_FOUND, "no objects"),
    ):
        error = failure(session, f"s3://{s3_bucket.name}/{prefix}/")
        assert error.code is code
        assert hint in error.message


def test_the_types_of_a_prefix_are_those_of_all_its_objects_in_the_order_of_their_keys(
    s3_bucket: S3Bucket, session: ReadSession, tmp_path: Path
) -> None:
    put(s3_bucket, "days/2026-01-02.csv", "id,amount\n3,0.125\n")
    put(s3_bucket, "days/2026-01-01.csv", "id,amount\n1,10\n2,\n")
    put(s3_bucket, "days/more/late.csv.gz", gzip.compress(b"id,amount\n4,7.5\n"))
    put(s3_bucket, "days-other/x.csv", "nothing of ours\n")
    source = opened(session, f"s3://{s3_bucket.name}/days/")
    assert source.schema().field("amount").type.scale == 3
    assert read_rows(source)["id"].to_pylist() == [1, 2, 3, 4]
    staged = staged_rows(source.stage(tmp_path / "out", lambda _: None))
    assert [None if v is None else str(v) for v in staged["amount"].to_pylist()] == [
        "10.000",
        None,
        "0.125",
        "7.500",
    ]
    source.check_unchanged()
    put(s3_bucket, "days/2026-01-03.csv", "id,amount\n9,9\n")
    with pytest.raises(KallaError, match="other objects"):
        source.check_unchanged()


def test_what_is_wrong_is_said_in_words_that_help(s3_bucket: S3Bucket, session: ReadSession) -> None:
    put(s3_bucket, "dir/a.csv", "id\n1\n")
    for uri, code, hint in (
        ("s3://no-such-bucket-here/a.csv", Code.DATA_NOT_FOUND, "bucket no-such-bucket-here"),
        (f"s3://{s3_bucket.name}/none.parquet", Code.DATA_NOT_FOUND, "none.parquet"),
        (f"s3://{s3_bucket.name}/dir", Code.DATA_NOT_FOUND, "slash"),
        ("s3://key:secretsecret@bucket/a.csv", Code.INVALID_URI, "AWS_ACCESS_KEY_ID"),
        (f"s3://{s3_bucket.name}/a//b.csv", Code.INVALID_URI, "empty part"),
        (f"s3://{s3_bucket.name}/../b.csv", Code.INVALID_URI, ".."),
    ):
        error = failure(session, uri)
        assert error.code is code, uri
        assert hint in error.message
        assert "secretsecret" not in error.message
    with ReadSession((), s3=S3Settings()) as without:
        error = failure(without, f"s3://{s3_bucket.name}/a.csv")
    assert error.code is Code.STORE_NOT_CONFIGURED
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        assert name in error.message


def test_keys_are_taken_as_they_are_written(s3_bucket: S3Bucket, session: ReadSession) -> None:
    for key in ("sp ace/ü+%41?x#y.csv", "a=b&c/'q'.CSV"):
        assert opened(session, put(s3_bucket, key, "id\n7\n")).count() == 1


def test_an_empty_parquet_object_or_none_at_all_is_no_parquet_file(
    s3_bucket: S3Bucket, session: ReadSession
) -> None:
    for key, data in (("empty.parquet", b""), ("text.parquet", b"id\n1\n2\n3\n4\n5\n")):
        error = failure(session, put(s3_bucket, key, data))
        assert error.code is Code.INVALID_DATA
        assert "not a Parquet file" in error.message
