"""What a run may use."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    Attributes:
        memory_bytes: bound of the join engine's memory. Rows that have to be held decoded (filtered ones,
            those of Parquet sources) stay in memory up to a quarter of it, beyond that on disk.
        threads: how many partitions are worked on at once.
    """

    memory_bytes: int = 4096 * MIB
    threads: int = field(default_factory=lambda: min(os.cpu_count() or 1, 8))

    @property
    def held_bytes(self) -> int:
        """How much of one table's decoded rows may stay in memory."""
        return self.memory_bytes // 8

    def memory_text(self) -> str:
        """The memory bound as people write it."""
        return f"{self.memory_bytes / MIB:.0f} MiB"
