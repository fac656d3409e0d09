"""What other databases and spreadsheets have is refused with what to write in its place."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kalla_common.errors import KallaError

from tests.unit.runner.matching.sql.tables import run

ROWS = pa.table({"id": [1, 2], "ref": ["a", "b"], "amount": [1, 2]})
KEYS = "SELECT l.id, r.id AS rid"
JOIN = "FROM l JOIN r ON l.id = r.id"


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        (f"SELECT TOP 10 l.id, r.id AS rid {JOIN}", "write LIMIT at the end in place of TOP"),
        (f"{KEYS} FROM l, r WHERE l.id = r.id(+)", "in place of (+) write LEFT JOIN with ON"),
        (f"{KEYS}, dbo.f(l.amount) AS x {JOIN}", "functions have no schema before their name"),
        (f"{KEYS} {JOIN} WHERE l.ref LIKE 'a!%' ESCAPE '!'", "ESCAPE is not available; a backslash takes"),
        (f"{KEYS}, l.ref + r.ref AS x {JOIN}", "write a || b in place of a + b"),
        (f"{KEYS}, ROUNDUP(l.amount, 2) AS x {JOIN}", "for two digits"),
        (f"{KEYS}, IFERROR(l.amount, 2) AS x {JOIN}", "an error is not hidden"),
        (
            f"{KEYS}, (SELECT count(*) FROM r x WHERE x.amount > l.amount) AS n {JOIN}",
            "write a CTE with GROUP BY in its place",
        ),
        (
            f"{KEYS} FROM l JOIN r ON l.amount = (SELECT max(x.amount) FROM r x WHERE x.ref = l.ref)",
            "write a CTE with GROUP BY in its place",
        ),
    ],
)
def test_a_refusal_says_what_to_write(query: str, advice: str) -> None:
    with pytest.raises(KallaError) as refusal:
        run(query, ROWS, ROWS)
    assert advice in refusal.value.message
