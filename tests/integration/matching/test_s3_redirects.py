"""A store that points elsewhere: the clients' secrets are not sent there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_gateway.uploads.store import UploadStore
from kalla_runner.outputs.s3_client import s3_client
from kalla_runner.s3.address import S3Address
from pydantic import SecretStr

SECRET = "very/secret/0123456789"


@pytest.fixture(params=[301, 302, 307, 308])
def redirecting(request: pytest.FixtureRequest) -> Iterator[tuple[S3Settings, list[str]]]:
    """A store whose every answer points to another host; the heads of requests that arrive there."""
    arrived: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            arrived.append(f"{self.path}\n{self.headers}")
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815 - the base class looks for these names

    class Redirect(Elsewhere):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(request.param)
            self.send_header("location", f"http://localhost:{elsewhere.server_port}{self.path}")
            self.send_header("content-length", "0")
            self.end_headers()

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

    elsewhere, first = (ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Elsewhere, Redirect))
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (elsewhere, first)]
    for thread in threads:
        thread.start()
    try:
        yield (
            S3Settings(
                access_key_id="AKIDOFKALLA",
                secret_access_key=SecretStr(SECRET),
                session_token=SecretStr("the-session-token"),
                endpoint_url=f"http://127.0.0.1:{first.server_port}",
                allow_http=True,
            ),
            arrived,
        )
    finally:
        for one in (elsewhere, first):
            one.shutdown()
            one.server_close()
        for thread in threads:
            thread.join()


async def test_outputs_go_nowhere_else(redirecting: tuple[S3Settings, list[str]]) -> None:
    settings, arrived = redirecting
    for operation in ("head_object", "create_multipart_upload"):
        with pytest.raises(KallaError) as caught:
            async with s3_client(settings, S3Address("bucket", "key"), attempts=1) as client:
                await getattr(client, operation)(Bucket="bucket", Key="key")
        assert caught.value.code is Code.STORE_UNAVAILABLE
        assert SECRET not in caught.value.message
    assert arrived == []


async def test_a_look_at_an_upload_goes_nowhere_else(redirecting: tuple[S3Settings, list[str]]) -> None:
    settings, arrived = redirecting
    async with UploadStore(settings, None) as store:
        with pytest.raises(KallaError) as caught:
            await store.head("bucket", "key")
    assert caught.value.code is Code.STORE_UNAVAILABLE
    assert arrived == []
