"""A match child: `python -m kalla_runner.children.child <socket fd>`.

It serves one task after the other until its socket closes. It never outlives the runner:
the kernel kills it when its parent dies (Linux), and a thread that watches the parent ends
it elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kalla_common.domain import JobProgress
from kalla_common.errors import Code, KallaError

from kalla_runner.children.protocol import (
    HEADER,
    Crashed,
    Done,
    Failed,
    Progress,
    Ready,
    Reply,
    Task,
    pack,
    unpack,
)

PR_SET_PDEATHSIG = 1
PARENT_CHECK_SECONDS = 0.5
IDLE_SECONDS = 10.0
"""A child that has had nothing to do for so long gives back what memory it has kept for the next task."""
OOM_SCORE = "500"
"""If memory runs out, the kernel ends a match child rather than the runner or the database."""


def main() -> None:
    """Serve the socket whose file descriptor is the first argument; the parent's pid is the second."""
    parent = int(sys.argv[2])
    die_with(parent)
    channel = socket.socket(fileno=int(sys.argv[1]))
    # Imported after the tie to the parent: a runner killed at once leaves no importing child.
    from kalla_runner.children import tasks  # noqa: PLC0415

    tasks.warm_up()
    serve(channel, tasks.run, tasks.cool_down)


def serve(
    channel: socket.socket,
    run: Callable[[Task, Callable[[JobProgress], None]], Any],
    idle: Callable[[], None],
) -> None:
    """Answer requests until the other end closes; `idle` is called where none comes for a while."""
    sending = threading.Lock()

    def send(reply: Reply) -> None:
        # Progress may come from several threads of one task.
        with sending, suppress(BrokenPipeError, ConnectionResetError):
            channel.sendall(pack(reply))

    send(Ready())
    stream = channel.makefile("rb")
    while True:
        # A request follows an answer, so nothing of it can be in the stream's buffer yet.
        if not select.select([channel], [], [], IDLE_SECONDS)[0]:
            idle()
        header = stream.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        body = stream.read(HEADER.unpack(header)[0])
        send(_answer(unpack(body), run, lambda progress: send(Progress(progress))))


def _answer(
    task: Task,
    run: Callable[[Task, Callable[[JobProgress], None]], Any],
    progress: Callable[[JobProgress], None],
) -> Reply:
    try:
        return Done(run(task, progress))
    except KallaError as error:
        return Failed(error)
    except MemoryError:
        return Failed(refused_memory())
    except Exception:  # noqa: BLE001 - the border of the process
        return Crashed(traceback.format_exc())


def refused_memory() -> KallaError:
    """The error for an allocation that the operating system refused."""
    return KallaError(
        Code.MEMORY_LIMIT,
        "A source holds values larger than the memory there is: leave them out or narrow the sources with"
        " filters.",
    )


def die_with(parent: int) -> None:
    """End with the runner, whatever happens to it; and before it where memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
