"""The way of a run's outputs to an S3 prefix, on which a reader sees all of them or none.

    verify -> upload parts of all files -> complete the uploads -> manifest.json

An upload is invisible until it is completed, and the files count only once manifest.json is
there: it is written last, and lists them with their hashes. Every step may be repeated after a
crash: what was completed is known by its metadata, what was not is aborted. No step overwrites
anything (If-None-Match), so two runs never mix.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shutil
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_common.telemetry import log

from kalla_runner.outputs.manifest import MANIFEST, OUTPUT_FILES, Manifest, verify_manifest
from kalla_runner.outputs.s3_client import (
    ATTEMPTS,
    FEW_ATTEMPTS,
    NOT_FOUND,
    TAKEN,
    error_code,
    not_writable,
    s3_client,
)
from kalla_runner.outputs.writer import WrittenFile
from kalla_runner.s3.address import S3Address, parse_s3

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

_PART_BYTES: Final = 16 << 20
_MOST_PARTS: Final = 9_000
"""S3 takes 10,000."""
_PARTS_AT_ONCE: Final = 4
_RUN: Final = "kalla-run-id"
_SHA256: Final = "kalla-sha256"
T = TypeVar("T")


def check_s3_output(output_path: str, settings: S3Settings, run_id: str) -> str:
    """Check before anything runs that the outputs can be published at an S3 prefix.

    Args:
        output_path: s3://bucket/prefix, with or without a final slash.
        settings: the store and Kalla's credentials.
        run_id: the run; a prefix where this run published, or began to, is fine.

    Returns:
        The prefix without a final slash.

    Raises:
        KallaError: INVALID_URI, INVALID_REQUEST, STORE_NOT_CONFIGURED, STORE_UNAVAILABLE or
            OUTPUT_NOT_WRITABLE.
    """
    at = _prefix(output_path)
    _run(_check(settings, at, run_id))
    return str(at)


def publish_to_s3(attempt: Path, output: str, settings: S3Settings, run_id: str) -> None:
    """Make the outputs of an attempt appear below `output`; safe to repeat after a crash at any point.

    What this run has published is left as it is; the attempt's folder is removed in the end.

    Raises:
        KallaError: OUTPUT_NOT_WRITABLE if something else lies there or it may not be written,
            STORE_UNAVAILABLE, CONSERVATION_FAILED if the attempt is not what its manifest states.
            Nothing of the run remains in the store then, as far as it can be reached.
    """
    _run(_publish(settings, _prefix(output), attempt, run_id))
    shutil.rmtree(attempt, ignore_errors=True)


def s3_published_by(output: str, settings: S3Settings, run_id: str) -> bool:
    """Whether the outputs of this run lie whole below `output`."""

    async def look() -> bool:
        at = _prefix(output)
        async with s3_client(settings, at, attempts=FEW_ATTEMPTS) as client:
            return await _Target(client, at, run_id).published()

    return _run(look())


def _run(work: Coroutine[Any, Any, T]) -> T:
    # A loop of its own: the calling thread has none.
    return asyncio.run(work)


def _prefix(output_path: str) -> S3Address:
    at = parse_s3(output_path)
    key = at.key.rstrip("/")
    if not key:
        raise KallaError(
            Code.INVALID_REQUEST, f"The output path {at} is a whole bucket; name a prefix in it, {at}runs/1."
        )
    return S3Address(at.bucket, key)


async def _check(settings: S3Settings, at: S3Address, run_id: str) -> None:
    async with s3_client(settings, at, attempts=FEW_ATTEMPTS) as client:
        target = _Target(client, at, run_id)
        # The request about the bucket alone has an answer without a body, and so without a reason.
        await client.list_objects_v2(Bucket=at.bucket, Prefix=f"{at.key}/", MaxKeys=1)
        if await target.published():
            return
        await target.check_free()
        # A real write that nobody sees: permissions to write are not told otherwise.
        key = at.below(OUTPUT_FILES[0]).key
        upload = await client.create_multipart_upload(Bucket=at.bucket, Key=key)
        await client.abort_multipart_upload(Bucket=at.bucket, Key=key, UploadId=upload["UploadId"])


async def _publish(settings: S3Settings, at: S3Address, attempt: Path, run_id: str) -> None:
    async with s3_client(settings, at, attempts=ATTEMPTS) as client:
        target = _Target(client, at, run_id)
        if await target.published():
            return
        manifest = await asyncio.to_thread(verify_manifest, attempt)
        await target.check_free()
        await target.abort_uploads()
        try:
            await target.put(attempt, manifest)
        except BaseException:
            with suppress(Exception):
                await target.withdraw()
            raise


@dataclass(frozen=True, slots=True)
class _Upload:
    """All parts of a file, uploaded and not yet visible."""

    key: str
    upload_id: str
    parts: list[CompletedPartTypeDef]


@dataclass(frozen=True, slots=True)
class _Target:
    """A prefix of the store, as one run writes to it."""

    client: S3Client
    at: S3Address
    run_id: str

    async def published(self) -> bool:
        """Whether this run's manifest and all files that it lists are there."""
        try:
            answer = await self.client.get_object(Bucket=self.at.bucket, Key=self.at.below(MANIFEST).key)
            manifest = Manifest.from_json(await answer["Body"].read())
        except (ValueError, KeyError, TypeError):
            return False
        except self.client.exceptions.ClientError as error:
            if error_code(error) in NOT_FOUND - {"NoSuchBucket"}:
                return False
            raise
        if manifest.identity.run_id != self.run_id:
            return False
        return all(await _together([self._has(entry) for entry in manifest.files]))

    async def check_free(self) -> None:
        """Raise OUTPUT_NOT_WRITABLE if there are objects that are not this run's own."""
        listed = await self.client.list_objects_v2(
            Bucket=self.at.bucket, Prefix=f"{self.at.key}/", MaxKeys=len(OUTPUT_FILES) + 1
        )
        allowed = {self.at.below(name).key for name in OUTPUT_FILES}
        for entry in listed.get("Contents", []):
            key = entry.get("Key", "")
            if key not in allowed or (await self._metadata(key)).get(_RUN) != self.run_id:
                raise not_writable(self.at, "is not empty; name a prefix below which nothing lies yet")

    async def abort_uploads(self) -> None:
        """Give up what a dead process began to upload here."""
        keys = {self.at.below(name).key for name in OUTPUT_FILES}
        listed = await self.client.list_multipart_uploads(Bucket=self.at.bucket, Prefix=f"{self.at.key}/")
        for entry in listed.get("Uploads", []):
            key, upload_id = entry.get("Key", ""), entry.get("UploadId", "")
            if key in keys:
                with suppress(self.client.exceptions.NoSuchUpload):
                    await self.client.abort_multipart_upload(
                        Bucket=self.at.bucket, Key=key, UploadId=upload_id
                    )
                log.info("upload_aborted", key=key)

    async def put(self, attempt: Path, manifest: Manifest) -> None:
        """Upload all, then let it appear, the manifest last."""
        slots = asyncio.Semaphore(_PARTS_AT_ONCE)
        missing = [entry for entry in manifest.files if not await self._has(entry)]
        for entry in missing:
            await self._remove_own(self.at.below(entry.name).key)
        uploads = await _together([self._upload(attempt / entry.name, entry, slots) for entry in missing])
        for entry, upload in zip(missing, uploads, strict=True):
            await self._complete(entry, upload)
        body = await asyncio.to_thread((attempt / MANIFEST).read_bytes)
        try:
            await self.client.put_object(
                Bucket=self.at.bucket,
                Key=self.at.below(MANIFEST).key,
                Body=body,
                ContentMD5=_md5(body),
                ContentType="application/json",
                Metadata={_RUN: self.run_id},
                IfNoneMatch="*",
            )
        except self.client.exceptions.ClientError as error:
            # An answer that was lost has the client ask again, and then it is there already.
            if not (error_code(error) in TAKEN and await self.published()):
                raise

    async def withdraw(self) -> None:
        """Remove what this run has put here, if it was not published; for a run that fails."""
        if await self.published():
            return
        await self.abort_uploads()
        for name in OUTPUT_FILES:
            await self._remove_own(self.at.below(name).key)

    async def _remove_own(self, key: str) -> None:
        if (await self._metadata(key)).get(_RUN) == self.run_id:
            await self.client.delete_object(Bucket=self.at.bucket, Key=key)

    async def _has(self, entry: WrittenFile) -> bool:
        found = await self._metadata(self.at.below(entry.name).key)
        return (found.get(_RUN), found.get(_SHA256), found.get("size")) == (
            self.run_id,
            entry.sha256,
            str(entry.bytes),
        )

    async def _metadata(self, key: str) -> dict[str, str]:
        """The metadata of an object with its size, nothing if there is none."""
        try:
            head = await self.client.head_object(Bucket=self.at.bucket, Key=key)
        except self.client.exceptions.ClientError as error:
            if error_code(error) in NOT_FOUND:
                return {}
            raise
        return {**head["Metadata"], "size": str(head["ContentLength"])}

    async def _upload(self, path: Path, entry: WrittenFile, slots: asyncio.Semaphore) -> _Upload:
        key = self.at.below(entry.name).key
        created = await self.client.create_multipart_upload(
            Bucket=self.at.bucket,
            Key=key,
            ContentType="application/vnd.apache.parquet",
            Metadata={_RUN: self.run_id, _SHA256: entry.sha256},
        )
        upload_id = created["UploadId"]
        size = max(_PART_BYTES, -(-entry.bytes // _MOST_PARTS))
        parts = range(-(-entry.bytes // size))
        sent = await _together([self._part(path, (key, upload_id), n, size, slots) for n in parts])
        return _Upload(key, upload_id, sent)

    async def _part(
        self, path: Path, upload: tuple[str, str], number: int, size: int, slots: asyncio.Semaphore
    ) -> CompletedPartTypeDef:
        async with slots:
            body, md5 = await asyncio.to_thread(_read_part, path, number * size, size)
            sent = await self.client.upload_part(
                Bucket=self.at.bucket,
                Key=upload[0],
                UploadId=upload[1],
                PartNumber=number + 1,
                Body=body,
                # The store refuses a part that did not arrive as it was sent.
                ContentMD5=md5,
            )
        return {"ETag": sent["ETag"], "PartNumber": number + 1}

    async def _complete(self, entry: WrittenFile, upload: _Upload) -> None:
        """Let a file appear, and look that it is whole."""
        try:
            done = await self.client.complete_multipart_upload(
                Bucket=self.at.bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": upload.parts},
                IfNoneMatch="*",
            )
        except self.client.exceptions.ClientError as error:
            if error_code(error) in TAKEN | {"NoSuchUpload"} and await self._has(entry):
                return
            raise
        head = await self.client.head_object(Bucket=self.at.bucket, Key=upload.key)
        if (head["ContentLength"], head["ETag"]) != (entry.bytes, done["ETag"]):
            raise KallaError(
                Code.CONSERVATION_FAILED,
                f"The S3 store holds {head['ContentLength']} bytes of {entry.name} where {entry.bytes} were "
                "written, or another file; run the reconciliation again.",
            )


async def _together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results; the first failure ends all and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return [task.result() for task in tasks]


def _read_part(path: Path, start: int, size: int) -> tuple[bytes, str]:
    with path.open("rb") as file:
        file.seek(start)
        body = file.read(size)
    return body, _md5(body)


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
