"""When progress is sent: the last of each stage always, in order, and never after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from kalla_common.domain import JobProgress
from kalla_runner.callbacks import Callbacks, ProgressSender, next_sequence


class Sent:
    """In the place of Callbacks: keeps what is sent, each after a pause."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.bodies: list[Mapping[str, Any]] = []
        self._seconds = seconds

    async def progress(self, base_url: str, body: Mapping[str, Any]) -> None:
        await asyncio.sleep(self._seconds)
        self.bodies.append(body)


def sender(sent: Sent) -> ProgressSender:
    return ProgressSender(cast("Callbacks", sent), "http://h/api", "run")


def short(body: Mapping[str, Any]) -> tuple[str, float, str | None]:
    return body["stage"], body["progress"], body.get("source")


async def test_the_last_progress_of_each_stage_is_sent_however_short_it_was() -> None:
    sent = Sent()
    job = sender(sent)
    for fraction in (0.0, 0.5, 1.0):
        job.offer(JobProgress("staging", fraction, source="l"))
        job.offer(JobProgress("staging", fraction, source="r"))
    job.offer(JobProgress("matching", 0.1))
    job.offer(JobProgress("matching", 1.0))
    job.finish()
    end = next_sequence()
    await job.drain(5)
    assert [short(body) for body in sent.bodies] == [
        ("staging", 1.0, "r"),
        ("matching", 1.0, None),
    ]
    numbers = [body["sequence"] for body in sent.bodies]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < end


async def test_each_source_of_a_stage_that_was_told_of_is_told_to_its_end() -> None:
    sent = Sent()
    job = sender(sent)
    for fraction in (0.5, 1.0):
        for source in ("l", "r"):
            job.offer(JobProgress("staging", fraction, source=source))
        await asyncio.sleep(0.35 if fraction < 1 else 0)
    job.offer(JobProgress("matching", 1.0))
    await job.drain(5)
    assert [short(body) for body in sent.bodies] == [
        ("staging", 0.5, "l"),
        ("staging", 0.5, "r"),
        ("staging", 1.0, "l"),
        ("staging", 1.0, "r"),
        ("matching", 1.0, None),
    ]


async def test_a_stage_that_has_ended_is_told_at_once() -> None:
    sent = Sent()
    job = sender(sent)
    job.offer(JobProgress("staging", 1.0, source="l"))
    job.offer(JobProgress("matching", 0.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert short(sent.bodies[0]) == ("staging", 1.0, "l")
    job.stop()


async def test_the_same_progress_is_not_sent_twice() -> None:
    sent = Sent()
    job = sender(sent)
    job.offer(JobProgress("staging", 1.0, source="l"))
    await asyncio.sleep(0.35)
    job.offer(JobProgress("staging", 1.0, source="l"))
    await job.drain(5)
    assert len(sent.bodies) == 1


async def test_a_receiver_that_hangs_gets_nothing_after_the_end() -> None:
    sent = Sent(seconds=0.2)
    job = sender(sent)
    job.offer(JobProgress("staging", 1.0, source="l"))
    job.offer(JobProgress("matching", 1.0))
    await job.drain(0.05)
    told = len(sent.bodies)
    await asyncio.sleep(0.5)
    assert len(sent.bodies) == told == 0


async def test_a_job_without_a_callback_url_sends_nothing() -> None:
    sent = Sent()
    job = ProgressSender(cast("Callbacks", sent), "", "run")
    job.offer(JobProgress("staging", 1.0))
    job.finish()
    await job.drain(1)
    assert sent.bodies == []
