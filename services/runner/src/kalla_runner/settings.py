"""What the runner can be told from outside: environment variables KALLA_RUNNER_*."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import psutil
from kalla_common.settings import CommonSettings
from kalla_common.sites import HostNames, OriginNames
from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

MEMORY_SHARE = 0.7
"""Part of the machine's memory that all match children together may take by default."""

READER_MEMORY_SHARE = 0.05
"""Part of the machine's memory that one process may take which reads sources for previews."""
LEAST_READER_BYTES = 512 * 1024 * 1024


class RunnerSettings(CommonSettings):
    """Settings of one runner process.

    `host` and the ports say where it listens; `advertised_host` is how others reach
    it (default: the listen host). `executor_id` must stay the same over restarts of one
    runner, and two runners on one database must have different ones: a restarted runner
    goes on with the jobs of its own id.
    """

    model_config = SettingsConfigDict(env_prefix="KALLA_RUNNER_")

    host: str = "127.0.0.1"
    advertised_host: str | None = None
    http_port: int = Field(50050, ge=0, le=65535)
    grpc_port: int = Field(50051, ge=0, le=65535)
    flight_port: int = Field(50052, ge=0, le=65535)

    allowed_hosts: HostNames = ()
    """Hosts that HTTP answers to beside loopback, `host`, `advertised_host` and the address called."""
    allowed_origins: OriginNames = ()
    """Web sites whose pages may call HTTP."""

    database_url: str
    """PostgreSQL URL; the schema `dbos` in it holds the journal of jobs."""
    executor_id: str = Field("kalla-runner-0", min_length=1)

    work_dir: Path = Path("~/.kalla/work")
    """Staged data of running jobs; one runner process alone may use it."""
    allowed_roots: tuple[Path, ...] = (Path(),)
    """Folders (a JSON list in the environment) below which sources and outputs must lie."""

    max_active: int = Field(2, ge=1, le=256)
    """Jobs that run at once, each in a child process."""
    max_queued: int = Field(100, ge=0)
    """Jobs that may wait; one more is refused with QUEUE_FULL."""
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Threads of all match children together."""
    memory_limit_bytes: int = Field(
        default_factory=lambda: int(psutil.virtual_memory().total * MEMORY_SHARE), ge=64 * 1024 * 1024
    )
    """Memory that all match children together may take."""
    jobs_per_child: int = Field(200, ge=1)
    """A child process is replaced after so many tasks."""
    idle_child_bytes: int = Field(1024 * 1024 * 1024, ge=1)
    """A child process that keeps more than this after a task is replaced."""

    readers: int = Field(8, ge=1, le=256)
    """Processes at most that read sources for previews and checks; they start when they are needed."""
    reader_memory_bytes: int = Field(
        default_factory=lambda: max(
            LEAST_READER_BYTES, int(psutil.virtual_memory().total * READER_MEMORY_SHARE)
        ),
        ge=64 * 1024 * 1024,
    )
    """Memory that one of them may take; all together take four times as much at most."""
    read_seconds: float = Field(300.0, gt=0)
    """How long a source may keep a preview or a check waiting."""
    source_silence_seconds: float = Field(900.0, gt=0)
    """A run ends whose source sends nothing for so long."""

    witness: bool = False
    """Whether a second engine, DuckDB, answers too where neither recipe nor request says so."""

    webhook_secret: str | None = Field(None, repr=False)
    """Secret of the Standard Webhooks signature; absent: callbacks are not signed."""
    callback_timeout_seconds: float = Field(10.0, gt=0)
    callback_give_up_seconds: float = Field(3 * 24 * 3600.0, gt=0)
    """How long the end of a job is offered to a callback URL that does not answer."""

    pause_at: str | None = None
    """For kill tests: stop for ever before the named stage (see steps.pause_point)."""

    @field_validator("work_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("allowed_roots")
    @classmethod
    def _resolved(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(root.expanduser().resolve() for root in value)

    @field_validator("webhook_secret")
    @classmethod
    def _usable_secret(cls, value: str | None) -> str | None:
        if not value:
            return None
        # Imported late: only a signing runner needs it at start.
        from kalla_common.webhooks import sign  # noqa: PLC0415

        try:
            sign(value, "check", b"{}")
        except Exception as error:
            msg = "must be base64, with or without the prefix whsec_"
            raise ValueError(msg) from error
        return value

    @model_validator(mode="after")
    def _has_roots(self) -> Self:
        if not self.allowed_roots:
            raise ValueError("allowed_roots must name at least one folder")
        return self

    @property
    def trials_dir(self) -> Path:
        """Where the outputs of trials lie; whatever a runner finds there at its start it removes."""
        return self.work_dir / "trials"

    def output_roots(self, *, trial: bool) -> tuple[Path, ...]:
        """Folders below which the outputs of a job may lie."""
        return (self.trials_dir,) if trial else self.allowed_roots

    @property
    def advertised_flight(self) -> str:
        """host:port under which others reach the Flight server."""
        return f"{self.advertised_host or self.host}:{self.flight_port}"

    def witness_for(self, asked: bool | None, *, trial: bool) -> bool:
        """Whether a second engine answers for a job; `asked` is None where the job leaves it open."""
        return asked if asked is not None else self.witness and not trial

    def threads_for(self, active: int) -> int:
        """Threads for a task while `active` jobs run: a lone job may use all, several share them."""
        return max(1, self.threads // max(1, active))

    @property
    def memory_per_child(self) -> int:
        """Bytes that one match child may take."""
        return self.memory_limit_bytes // self.max_active
