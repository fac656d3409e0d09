"""For every function that match_sql may call: the type that the plan states is the type that arrives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from datafusion import DataFrame, SessionContext
from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql.catalogue import ENTRIES, Entry, Family, Parameter
from kalla_runner.matching.stable import CONTRADICTION, stabilised

MOMENT = datetime(2024, 3, 2, 12, 30, 15)  # noqa: DTZ001  # a moment without a zone
COLUMNS = {
    Family.TEXT: [
        (pa.string(), ["abc", "1.50"]),
        (pa.dictionary(pa.int32(), pa.string()), ["a", "2024-03-02"]),
    ],
    Family.INTEGER: [(pa.int8(), [3, 2]), (pa.int64(), [3, 2]), (pa.uint64(), [3, 2])],
    Family.DECIMAL: [
        (pa.decimal128(5, 2), [Decimal("1.50"), Decimal("-2.55")]),
        (pa.decimal128(38, 10), [Decimal("1.0000000001"), Decimal("-2.55")]),
        (pa.decimal256(60, 10), [Decimal("1.0000000001"), Decimal("-2.55")]),
    ],
    Family.FLOAT: [(pa.float32(), [1.5, -2.5]), (pa.float64(), [1.5, -2.5])],
    Family.BOOLEAN: [(pa.bool_(), [True, False])],
    Family.DATE: [(pa.date32(), [date(2024, 3, 2), date(1999, 12, 31)])],
    Family.TIMESTAMP: [(pa.timestamp(unit), [MOMENT, MOMENT]) for unit in ("s", "ms", "us", "ns")],
    Family.ZONED: [(pa.timestamp("us", "UTC"), [MOMENT.replace(tzinfo=UTC)] * 2)],
    Family.LIST: [
        (pa.list_(pa.int64()), [[1, 2], [3]]),
        (pa.list_(pa.string()), [["a"], ["b"]]),
        (pa.list_(pa.decimal128(10, 2)), [[Decimal("1.50")], []]),
    ],
    Family.BINARY: [(pa.binary(), [b"ab", b"c"])],
}
LITERALS = ("2", "-1", "0.5", "'day'", "'%Y-%m-%d'", "','", "INTERVAL '1' DAY")
FIELDS = {
    f"{family.name.lower()}{n}": (family, data_type, values)
    for family, kinds in COLUMNS.items()
    for n, (data_type, values) in enumerate(kinds)
}


@pytest.fixture(scope="module")
def session() -> SessionContext:
    made = new_session()
    rows = pa.record_batch(
        [pa.array([*values, None], t) for _, t, values in FIELDS.values()], names=list(FIELDS)
    )
    made.register_record_batches("t", [[rows]])
    return made


def arguments(parameter: Parameter) -> list[str]:
    if parameter.literal:
        return list(LITERALS)
    return [name for name, (family, _, _) in FIELDS.items() if family in parameter.families] or list(LITERALS)


def calls(entry: Entry) -> Iterator[str]:
    over = " OVER (PARTITION BY boolean0 ORDER BY integer1)" if entry.kind == "window" else ""
    for signature in entry.signatures:
        for count in range(len(signature.parameters) - signature.optional, len(signature.parameters) + 1):
            choices = [arguments(parameter) for parameter in signature.parameters[:count]]
            for chosen in itertools.islice(itertools.product(*choices), 60):
                yield f"{entry.name}({', '.join(chosen)}){over}"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_arrives_is_what_was_planned(entry: Entry, session: SessionContext) -> None:
    for call in calls(entry):
        # Beside a column of another scale, types have to agree; they are planned again until they do.
        beside = "max(decimal1)" if entry.kind == "aggregate" else "decimal1"
        for text in (call, f"coalesce({call}, {beside})", f"({call}) = {beside}"):
            try:
                frame, _ = stabilised(session, session.sql(f"SELECT {text} AS v FROM t"))
            except Exception:  # noqa: BLE001, S112  # a call that cannot be planned gives no rows
                continue
            planned = frame.schema().types
            failure, batches = taken(frame)
            assert CONTRADICTION not in failure, text
            assert "Invalid comparison operation" not in failure, text
            assert all(batch.schema.types == planned for batch in batches), text


def taken(frame: DataFrame) -> tuple[str, list[pa.RecordBatch]]:
    """The engine's words if it fails on the values, and the rows if it does not."""
    try:
        return "", [batch.to_pyarrow() for batch in frame.execute_stream()]
    except BaseException as error:  # noqa: BLE001  # panics included
        return str(error), []
