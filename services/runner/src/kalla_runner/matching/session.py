"""The one way to make a DataFusion session, so that what is checked is what runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext

from kalla_runner.matching.natives import FUNCTIONS

SETTINGS: Final[Mapping[str, str]] = {
    # 0.1 is a decimal, not the nearest binary fraction.
    "datafusion.sql_parser.parse_float_as_decimal": "true",
    # Text made by SQL is utf8, as text from sources is: many readers cannot open string views.
    "datafusion.sql_parser.map_string_types_to_utf8view": "false",
    "datafusion.execution.parquet.schema_force_view_types": "false",
    # What a zoned timestamp is written or read as never depends on the machine.
    "datafusion.execution.time_zone": "UTC",
    # Kalla bounds depth itself: reaching this one makes the parser try again at every level above.
    "datafusion.sql_parser.recursion_limit": "20000",
    "datafusion.execution.enable_recursive_ctes": "false",
    "datafusion.catalog.information_schema": "false",
    # Loses the name of the table where a field of a struct is within another expression of a join.
    "datafusion.optimizer.enable_leaf_expression_pushdown": "false",
}
"""What decides the meaning of a query; never overridden."""


def new_session(
    *,
    partitions: int = 1,
    memory_bytes: int | None = None,
    spill_folder: Path | None = None,
    tuning: Mapping[str, str] | None = None,
) -> SessionContext:
    """Make a session in which match queries mean what the checks saw.

    Args:
        partitions: how many partitions the engine works on at once.
        memory_bytes: bound of the engine's memory pool; None leaves it unbounded.
        spill_folder: where sorts and aggregates may spill; None forbids spilling.
        tuning: further DataFusion settings, of speed only: SETTINGS win over them.
    """
    runtime = RuntimeEnvBuilder()
    if spill_folder is None:
        runtime = runtime.with_disk_manager_disabled()
    else:
        runtime = runtime.with_disk_manager_specified(spill_folder)
    if memory_bytes is not None:
        runtime = runtime.with_fair_spill_pool(memory_bytes)
    config = SessionConfig({**(tuning or {}), **SETTINGS}).with_target_partitions(partitions)
    session = SessionContext(config, runtime)
    for function in FUNCTIONS:
        session.register_udf(function)
    return session
