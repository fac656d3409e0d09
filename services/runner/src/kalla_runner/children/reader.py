"""A reader: `python -m kalla_runner.children.reader <socket fd> <parent's pid>`.

It answers one question about sources after the other until its socket closes. Rows leave as Arrow
IPC messages; the socket's buffer holds it up where nobody takes them.
"""

from __future__ import annotations

import ctypes
import select
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
from kalla_common.errors import KallaError

from kalla_runner.children.child import IDLE_SECONDS, die_with, refused_memory
from kalla_runner.children.protocol import (
    BATCH,
    HEADER,
    MESSAGE,
    READER_HEADER,
    Crashed,
    Done,
    Failed,
    Opened,
    ReaderReply,
    ReaderTask,
    Ready,
    SourceRows,
    pack,
    unpack,
)


def main() -> None:
    """Serve the socket whose file descriptor is the first argument; the parent's pid is the second."""
    die_with(int(sys.argv[2]))
    channel = socket.socket(fileno=int(sys.argv[1]))
    # Imported after the tie to the parent: a runner killed at once leaves no importing child.
    from kalla_runner.children import reading, tasks  # noqa: PLC0415

    tasks.warm_up()
    with suppress(BrokenPipeError, ConnectionResetError):
        serve(channel, reading.answer, reading.source_rows)


def serve(
    channel: socket.socket,
    answer: Callable[[Any], Any],
    rows: Callable[[SourceRows], Iterator[Opened | pa.RecordBatch]],
) -> None:
    """Answer until the other end closes, with rows where rows are asked for."""
    _send(channel, Ready())
    stream = channel.makefile("rb")
    while True:
        # A request follows an answer, so nothing of it can be in the stream's buffer yet.
        if not select.select([channel], [], [], IDLE_SECONDS)[0]:
            _give_back_memory()
        header = stream.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        body = stream.read(HEADER.unpack(header)[0])
        task: ReaderTask = unpack(body)
        _send(channel, _reply(lambda: _carry_out(channel, task, answer, rows)))  # noqa: B023 - called at once


def _carry_out(
    channel: socket.socket,
    task: ReaderTask,
    answer: Callable[[Any], Any],
    rows: Callable[[SourceRows], Iterator[Opened | pa.RecordBatch]],
) -> Any:
    if not isinstance(task, SourceRows):
        return answer(task)
    for item in rows(task):
        if isinstance(item, Opened):
            _send(channel, item)
        else:
            _send_batch(channel, item)
    return None


def _reply(work: Callable[[], Any]) -> ReaderReply:
    try:
        return Done(work())
    except (BrokenPipeError, ConnectionResetError):
        raise
    except KallaError as error:
        return Failed(error)
    except MemoryError:
        return Failed(refused_memory())
    except Exception:  # noqa: BLE001 - the border of the process
        return Crashed(traceback.format_exc())


def _send(channel: socket.socket, reply: ReaderReply) -> None:
    frame = pack(reply)[HEADER.size :]
    channel.sendall(READER_HEADER.pack(MESSAGE, len(frame)) + frame)


def _send_batch(channel: socket.socket, batch: pa.RecordBatch) -> None:
    message: Any = batch.serialize()
    channel.sendall(READER_HEADER.pack(BATCH, message.size))
    channel.sendall(memoryview(message))


def _give_back_memory() -> None:
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    main()
