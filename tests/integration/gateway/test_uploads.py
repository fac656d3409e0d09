"""Uploads up to the point where a runner would read the file: addresses, refusals, a real S3 server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from kalla_common.s3 import S3Settings
from pydantic import SecretStr

from tests.conftest import S3Bucket
from tests.integration.gateway.conftest import Gateway, OpenGateway

HEADER = b"id,amount\n"


@pytest.fixture
async def uploads(open_gateway: OpenGateway, s3_bucket: S3Bucket) -> AsyncIterator[Gateway]:
    """A gateway with a bucket for uploads and a runner that does not answer."""
    async with open_gateway(s3=s3_bucket.settings, upload_bucket=s3_bucket.name) as gateway:
        yield gateway


async def signed(gateway: Gateway, filename: str = "payments.csv", session: str = "s1") -> dict[str, Any]:
    answer = await gateway.post("/api/uploads/presign", {"filename": filename, "session_id": session})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def put(url: str, data: bytes, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.put(url, content=data, headers=headers)


async def test_one_put_to_the_address_stores_the_file(uploads: Gateway, s3_bucket: S3Bucket) -> None:
    upload = await signed(uploads, "Zahlungen März 2026.csv")
    assert upload["s3_uri"] == f"s3://{s3_bucket.name}/s1/{upload['upload_id']}/Zahlungen_März_2026.csv"
    assert (await put(upload["presigned_url"], HEADER)).status_code == 200
    key = upload["s3_uri"].removeprefix(f"s3://{s3_bucket.name}/")
    assert bytes(s3_bucket.store.get(key).bytes()) == HEADER


async def test_any_content_type_may_go_with_it(uploads: Gateway) -> None:
    upload = await signed(uploads)
    answer = await put(upload["presigned_url"], HEADER, **{"Content-Type": "text/csv"})
    assert answer.status_code == 200


async def test_the_address_is_good_for_its_object_and_for_writing_alone(uploads: Gateway) -> None:
    upload = await signed(uploads)
    url = upload["presigned_url"]
    assert (await put(url.replace("payments.csv", "others.csv"), HEADER)).status_code == 403
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        assert (await client.get(url)).status_code == 403
        assert (await client.delete(url)).status_code == 403


async def test_an_address_lives_as_long_as_is_set(open_gateway: OpenGateway, s3_bucket: S3Bucket) -> None:
    async with open_gateway(
        s3=s3_bucket.settings, upload_bucket=s3_bucket.name, upload_url_seconds=1
    ) as gateway:
        upload = await signed(gateway)
    query = parse_qs(urlsplit(upload["presigned_url"]).query)
    assert query["X-Amz-Expires"] == ["1"]
    # The signature holds for the second it was made in and the one after.

    await asyncio.sleep(2.1)
    assert (await put(upload["presigned_url"], HEADER)).status_code == 403


async def test_addresses_name_the_store_as_clients_reach_it(
    open_gateway: OpenGateway, s3_bucket: S3Bucket
) -> None:
    port = urlsplit(s3_bucket.settings.endpoint).port
    async with open_gateway(
        s3=s3_bucket.settings, upload_bucket=s3_bucket.name, upload_endpoint=f"http://localhost:{port}"
    ) as gateway:
        upload = await signed(gateway)
        assert upload["presigned_url"].startswith(f"http://localhost:{port}/{s3_bucket.name}/s1/")
        assert (await put(upload["presigned_url"], HEADER)).status_code == 200


async def test_a_browser_may_put_from_any_origin(uploads: Gateway) -> None:
    upload = await signed(uploads)
    origin = {"Origin": "https://app.example.com"}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        asked = {**origin, "Access-Control-Request-Method": "PUT"}
        preflight = await client.options(upload["presigned_url"], headers=asked)
    assert preflight.status_code == 200
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    answer = await put(upload["presigned_url"], HEADER, **origin)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in ("*", origin["Origin"])


async def test_without_a_bucket_there_are_no_uploads(gateway: Gateway) -> None:
    answer = await gateway.post("/api/uploads/presign", {"filename": "a.csv", "session_id": "s"})
    assert (answer.status_code, answer.json()["code"]) == (503, "STORE_NOT_CONFIGURED")
    assert "KALLA_GATEWAY_UPLOAD_BUCKET" in answer.json()["error"]


async def test_without_credentials_there_are_no_uploads(open_gateway: OpenGateway) -> None:
    async with open_gateway(upload_bucket="kalla-uploads") as gateway:
        answer = await gateway.post("/api/uploads/presign", {"filename": "a.csv", "session_id": "s"})
    assert (answer.status_code, answer.json()["code"]) == (503, "STORE_NOT_CONFIGURED")
    assert "AWS_ACCESS_KEY_ID" in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"filename": "a.txt", "session_id": "s"},
        {"filename": "../a.csv", "session_id": "s"},
        {"filename": "a.csv", "session_id": "../s"},
        {"filename": "a.csv", "session_id": ""},
        {"filename": "a.csv"},
        {"session_id": "s"},
        {"filename": 1, "session_id": "s"},
        {"filename": None, "session_id": "s"},
    ],
)
async def test_a_name_that_cannot_be_is_a_400_that_names_the_field(
    uploads: Gateway, body: dict[str, Any]
) -> None:
    answer = await uploads.post("/api/uploads/presign", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert answer.json()["details"]["field"] in ("filename", "session_id")


async def test_a_file_that_was_never_put_is_a_404(uploads: Gateway) -> None:
    upload = await signed(uploads)
    preview = await uploads.post("/api/uploads/preview", {"s3_uri": upload["s3_uri"]})
    body = {"s3_uri": upload["s3_uri"], "filename": "payments.csv"}
    confirm = await uploads.post(f"/api/uploads/{upload['upload_id']}/confirm", body)
    for answer in (preview, confirm):
        assert (answer.status_code, answer.json()["code"]) == (404, "DATA_NOT_FOUND")
        assert "PUT it to its presigned_url" in answer.json()["error"]


async def test_an_upload_that_was_never_signed_is_a_404(uploads: Gateway, s3_bucket: S3Bucket) -> None:
    upload_id = "6f1c1f0e-3c0b-4a9d-9d57-0d5a3f4e8b21"
    s3_bucket.store.put(f"s1/{upload_id}/a.csv", HEADER)
    body = {"s3_uri": f"s3://{s3_bucket.name}/s1/{upload_id}/a.csv", "filename": "a.csv"}
    for path in ("preview", f"{upload_id}/confirm"):
        answer = await uploads.post(f"/api/uploads/{path}", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "UPLOAD_NOT_FOUND")


async def test_an_id_that_is_none_is_a_404(uploads: Gateway) -> None:
    upload = await signed(uploads)
    body = {"s3_uri": upload["s3_uri"], "filename": "payments.csv"}
    answer = await uploads.post("/api/uploads/not-an-id/confirm", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "UPLOAD_NOT_FOUND")


async def test_id_uri_and_filename_must_be_of_one_upload(uploads: Gateway) -> None:
    one, other = await signed(uploads), await signed(uploads)
    await put(one["presigned_url"], HEADER)
    path = f"/api/uploads/{other['upload_id']}/confirm"
    foreign = await uploads.post(path, {"s3_uri": one["s3_uri"], "filename": "payments.csv"})
    assert (foreign.status_code, foreign.json()["code"]) == (400, "INVALID_REQUEST")
    path = f"/api/uploads/{one['upload_id']}/confirm"
    renamed = await uploads.post(path, {"s3_uri": one["s3_uri"], "filename": "other.csv"})
    assert (renamed.status_code, renamed.json()["details"]["field"]) == (400, "filename")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "payments.csv",
        "s3://other-bucket/s1/{id}/payments.csv",
        "s3://{bucket}/payments.csv",
        "s3://{bucket}/s2/{id}/payments.csv",
        "s3://{bucket}/s1/{id}/other.csv",
        "s3://{bucket}/s1/../{id}",
    ],
)
async def test_a_uri_that_is_not_the_signed_one_is_a_400(
    uploads: Gateway, s3_bucket: S3Bucket, uri: str
) -> None:
    upload = await signed(uploads)
    await put(upload["presigned_url"], HEADER)
    text = uri.format(bucket=s3_bucket.name, id=upload["upload_id"])
    for path in ("preview", f"{upload['upload_id']}/confirm"):
        answer = await uploads.post(f"/api/uploads/{path}", {"s3_uri": text, "filename": "payments.csv"})
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_URI")


async def test_an_empty_file_is_a_400(uploads: Gateway) -> None:
    upload = await signed(uploads)
    await put(upload["presigned_url"], b"")
    body = {"s3_uri": upload["s3_uri"], "filename": "payments.csv"}
    for path in ("preview", f"{upload['upload_id']}/confirm"):
        answer = await uploads.post(f"/api/uploads/{path}", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "EMPTY_FILE")


async def test_a_file_above_the_limit_is_a_413(open_gateway: OpenGateway, s3_bucket: S3Bucket) -> None:
    async with open_gateway(
        s3=s3_bucket.settings, upload_bucket=s3_bucket.name, upload_max_bytes=len(HEADER) - 1
    ) as gateway:
        upload = await signed(gateway)
        await put(upload["presigned_url"], HEADER)
        answer = await gateway.post("/api/uploads/preview", {"s3_uri": upload["s3_uri"]})
    assert (answer.status_code, answer.json()["code"]) == (413, "UPLOAD_TOO_LARGE")
    assert "has 10 bytes, and uploads may have 9" in answer.json()["error"]


async def test_a_runner_that_does_not_answer_is_a_502(uploads: Gateway) -> None:
    upload = await signed(uploads)
    await put(upload["presigned_url"], HEADER)
    answer = await uploads.post("/api/uploads/preview", {"s3_uri": upload["s3_uri"]})
    assert (answer.status_code, answer.json()["code"]) == (502, "RUNNER_UNAVAILABLE")


async def test_a_store_that_is_away_is_a_503_without_secrets(open_gateway: OpenGateway) -> None:
    away = S3Settings(
        access_key_id="id",
        secret_access_key=SecretStr("s3cret"),
        endpoint_url="http://127.0.0.1:1",
        allow_http=True,
    )
    async with open_gateway(s3=away, upload_bucket="kalla-uploads") as gateway:
        upload = await signed(gateway)
        answer = await gateway.post("/api/uploads/preview", {"s3_uri": upload["s3_uri"]})
    assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")
    assert "s3cret" not in answer.text


async def test_a_store_that_refuses_kalla_is_a_503_that_says_so(
    open_gateway: OpenGateway, s3_bucket: S3Bucket
) -> None:
    wrong = s3_bucket.settings.model_copy(update={"secret_access_key": SecretStr("wr0ng")})
    async with open_gateway(s3=wrong, upload_bucket=s3_bucket.name) as gateway:
        upload = await signed(gateway)
        answer = await gateway.post("/api/uploads/preview", {"s3_uri": upload["s3_uri"]})
    assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")
    assert "HTTP status 403" in answer.json()["error"]
    assert "wr0ng" not in answer.text
