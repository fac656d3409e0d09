"""The environment of a match child: what its libraries must be told before they are loaded."""

from __future__ import annotations

import os
from typing import Final

_ALLOCATORS: Final = {
    # Touching memory for the first time is dear (measured: half of a run's processor time, and on
    # virtual machines more), so what one batch gives back is kept for the next one.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    # Arenas of their own for many threads would each keep a share.
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # DataFusion's own allocator, which nothing else here uses.
    "MIMALLOC_PURGE_DELAY": "-1",
}


_SETTINGS: Final = "KALLA_"
"""A child is told what it needs with its tasks; the runner's passwords stay with the runner."""
_FRUGAL: Final = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What a reader gets: its memory is bounded tightly, and what it holds back would count."""


def child_environment(threads: int, *, keep_memory: bool = True) -> dict[str, str]:
    """All variables of a child; those of this process win over the allocators' settings.

    Args:
        threads: bounds the thread pools of the libraries in the child.
        keep_memory: whether memory that was touched is kept for the next task.
    """
    pools = {"OMP_NUM_THREADS": str(threads), "TOKIO_WORKER_THREADS": str(threads)}
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**(_ALLOCATORS if keep_memory else _FRUGAL), **ours, **pools}
