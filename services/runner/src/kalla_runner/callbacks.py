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
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from kalla_common.domain import JobProgress, JobState
from kalla_common.telemetry import inject_context, log
from kalla_common.webhooks import sign

from kalla_runner.store.journal import Outcome

PROGRESS_SECONDS: Final = 0.25
"""Time between two progress messages of a stage that goes on, and before the first one."""
FIRST_RETRY_SECONDS: Final = 0.2
LAST_RETRY_SECONDS: Final = 300.0
GONE: Final = 410
_UNSENT: Final = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""What keeps a message from being sent: the receiver, or a URL that a job of an older version brought."""


class Callbacks:
    """Sends messages; shared by all jobs.

    Args:
        secret: signs the messages; None leaves them unsigned.
        timeout_seconds: of one request.
        give_up_seconds: how long the end of a job is offered.
    """

    def __init__(self, secret: str | None, timeout_seconds: float, give_up_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._secret = secret
        self._give_up = give_up_seconds
        # Callbacks go where the job says, never through a proxy of the environment.
        self._client = httpx.AsyncClient(timeout=timeout_seconds, trust_env=False, follow_redirects=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def progress(self, base_url: str, body: Mapping[str, Any]) -> None:
        """Send progress once; a failure is not worth more than a debug line."""
        message_id = f"{body['run_id']}:progress:{body['sequence']}"
        try:
            await self._post(f"{base_url.rstrip('/')}/progress", message_id, body)
        except _UNSENT as error:
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
        except _UNSENT as error:
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
    """Sends the newest progress of one job: a few times a second at most, and the last of each stage.

    The newest is kept for each source, or two sources staged at once would hide each other.
    However short a stage is, its last progress is sent before anything of the next one and before
    the end of the job; of a stage that nothing was sent of yet, the progress of one source is enough.
    """

    def __init__(self, callbacks: Callbacks, base_url: str, run_id: str) -> None:
        self._callbacks = callbacks
        self._base_url = base_url
        self._run_id = run_id
        self._ended: list[JobProgress] = []
        self._newest: dict[str | None, JobProgress] = {}
        self._sent: dict[str | None, JobProgress] = {}
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._last: list[dict[str, Any]] | None = None
        self._sending = asyncio.create_task(self._send()) if base_url else None

    def offer(self, progress: JobProgress) -> None:
        """Take note of progress; sent when its time has come."""
        if self._sending is None or self._sent.get(progress.source) == progress:
            return
        pending = list(self._newest.values())
        if pending and pending[0].stage != progress.stage:
            told = any(sent.stage == pending[0].stage for sent in self._sent.values())
            self._ended += pending if told else pending[-1:]
            self._newest.clear()
            self._hurry.set()
        self._newest[progress.source] = progress
        self._news.set()

    def finish(self) -> None:
        """Take no more progress, and send at once what is left; numbered before the end of the job is."""
        if self._sending is not None and self._last is None:
            self._last = self._take()
            self._news.set()
            self._hurry.set()

    async def drain(self, seconds: float) -> None:
        """Wait until all is sent; after `seconds` the rest is given up, so that it cannot follow the end."""
        if self._sending is None:
            return
        self.finish()
        await asyncio.wait({self._sending}, timeout=seconds)
        self.stop()

    def stop(self) -> None:
        """Send nothing more."""
        if self._sending is not None:
            self._sending.cancel()

    def _take(self) -> list[dict[str, Any]]:
        """The bodies to send now, in the order of their numbers."""
        due = [*self._ended, *self._newest.values()]
        self._ended.clear()
        self._newest.clear()
        self._sent |= {progress.source: progress for progress in due}
        return [
            {"run_id": self._run_id, **_present(asdict(progress)), "sequence": next_sequence()}
            for progress in due
        ]

    async def _send(self) -> None:
        while self._last is None:
            # A stage that goes on is reported after a pause: most take no time.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), PROGRESS_SECONDS)
            self._hurry.clear()
            await self._news.wait()
            self._news.clear()
            for body in self._take():
                await self._callbacks.progress(self._base_url, body)
        for body in self._last:
            await self._callbacks.progress(self._base_url, body)


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
