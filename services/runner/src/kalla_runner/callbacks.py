"""HTTP callbacks: progress while a job runs, and its end, at least once.

Every body carries `sequence`, which only grows over the life of a run, restarts included, and
every message has an id (header webhook-id) that stays the same when it is sent again. So a
receiver can apply each message once and ignore late ones. With a secret, messages are signed
by the Standard Webhooks scheme.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from kalla_common.domain import JobProgress, JobState
from kalla_common.telemetry import inject_context, log
from kalla_common.webhooks import sign

from kalla_runner.store.journal import Outcome

PROGRESS_SECONDS: Final = 0.25
"""Least time between two progress messages of one job, and before the first one."""
FIRST_RETRY_SECONDS: Final = 0.2
LAST_RETRY_SECONDS: Final = 300.0
GONE: Final = 410


class Callbacks:
    """Sends messages; shared by all jobs.

    Args:
        secret: signs the messages; None leaves them unsigned.
        timeout_seconds: of one request.
        give_up_seconds: how long the end of a job is offered.
    """

    def __init__(self, secret: str | None, timeout_seconds: float, give_up_seconds: float) -> None:
        self._secret = secret
        self._give_up = give_up_seconds
        # Callbacks go where the job says, never through a proxy of the environment.
        self._client = httpx.AsyncClient(timeout=timeout_seconds, trust_env=False, follow_redirects=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def progress(self, base_url: str, run_id: str, progress: JobProgress) -> None:
        """Send progress once; a failure is not worth more than a debug line."""
        sequence = next_sequence()
        body = {"run_id": run_id, **_present(asdict(progress)), "sequence": sequence}
        try:
            await self._post(f"{base_url}/progress", f"{run_id}:progress:{sequence}", body)
        except httpx.HTTPError as error:
            log.debug("progress_callback_failed", error=repr(error))

    async def deliver(self, base_url: str, message: Mapping[str, Any]) -> bool:
        """Offer the end of a job until it is taken.

        Args:
            base_url: the job's callback_url.
            message: what `end_message` made.

        Returns:
            Whether it was taken before the time to give up.
        """
        began, pause = time.monotonic(), FIRST_RETRY_SECONDS
        while True:
            problem = await self._offer(base_url, message)
            if problem is None:
                return True
            if problem == "gone" or time.monotonic() - began > self._give_up:
                log.error("callback_given_up", url=base_url, problem=problem)
                return False
            log.warning("callback_not_taken", url=base_url, problem=problem, again_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_RETRY_SECONDS)

    async def _offer(self, base_url: str, message: Mapping[str, Any]) -> str | None:
        try:
            status = await self._post(f"{base_url}/{message['kind']}", message["id"], message["body"])
        except httpx.HTTPError as error:
            return repr(error)
        if 200 <= status < 300:  # noqa: PLR2004 - the 2xx range
            return None
        return "gone" if status == GONE else f"HTTP {status}"

    async def _post(self, url: str, message_id: str, body: Mapping[str, Any]) -> int:
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "webhook-id": message_id, **inject_context()}
        if self._secret is not None:
            headers |= sign(self._secret, message_id, content, datetime.now(UTC))
        response = await self._client.post(url, content=content, headers=headers)
        return response.status_code


class ProgressSender:
    """Sends the newest progress of one job, a few times a second at most.

    What is newest is kept for each source apart, or two sources staged at once would hide
    each other.
    """

    def __init__(self, callbacks: Callbacks, base_url: str, run_id: str) -> None:
        self._callbacks = callbacks
        self._base_url = base_url
        self._run_id = run_id
        self._newest: dict[str | None, JobProgress] = {}
        self._news = asyncio.Event()
        self._sending = asyncio.create_task(self._send()) if base_url else None

    def offer(self, progress: JobProgress) -> None:
        """Take note of progress; sent when its time has come."""
        if self._sending is not None:
            # A new stage makes what the former one said about its sources old.
            if any(old.stage != progress.stage for old in self._newest.values()):
                self._newest.clear()
            self._newest[progress.source] = progress
            self._news.set()

    def stop(self) -> None:
        """Send nothing more."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self) -> None:
        while True:
            # The pause comes first: a run that takes no time needs no progress.
            await asyncio.sleep(PROGRESS_SECONDS)
            await self._news.wait()
            self._news.clear()
            newest, self._newest = self._newest, {}
            for progress in newest.values():
                await self._callbacks.progress(self._base_url, self._run_id, progress)


def end_message(run_id: str, outcome: Outcome) -> dict[str, Any]:
    """The last message of a job: kind (complete or error), id and body, as JSON values."""
    kind = "complete" if outcome.result is not None else "error"
    body: dict[str, Any] = {"run_id": run_id, "sequence": next_sequence()}
    if outcome.result is not None:
        result = asdict(outcome.result)
        sides = {"left": result.pop("left"), "right": result.pop("right")}
        del result["witness"]
        if outcome.result.witness is not None:
            result["witness"] = outcome.result.witness.as_json()
        body |= {**result, "diagnostics": {**sides, "match_path": result["match_path"]}}
    elif outcome.state is JobState.CANCELLED:
        body |= {"error": "cancelled", "code": "CANCELLED", "details": {}}
    elif outcome.failure is not None:
        failure = outcome.failure
        body |= {"error": failure.message, "code": failure.code, "details": failure.details}
    return {"kind": kind, "id": f"{run_id}:{kind}", "body": body}


_last_sequence = 0


def next_sequence() -> int:
    """A number greater than all before it, also than those of a former process of this runner."""
    global _last_sequence  # noqa: PLW0603 - the one counter of the process
    _last_sequence = max(_last_sequence + 1, time.time_ns() // 1000)
    return _last_sequence


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
