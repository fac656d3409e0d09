"""Random types and values, weighted towards what goes wrong: near misses, blanks, wide numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

from tests.differential.model import Kind, KindName, Value

TEXTS = (
    *("a", "A", " a", "a ", "", " ", "b", "ab", "a,b", 'q"q', "'", "007", "7", "7.0", "NULL", "null", "true"),
    *("é", "e\u0301", "Ж", "ж", "漢字", "🙂", "x\ny", "tab\t", "a;b", "INV-1", "inv-1", "INV-10", "%", "a_b"),
    *("2024-01-01", "1e3", "-0", "\\", "Z" * 40),
)
PLAIN_TEXTS = ("INV-1", "INV-2", "INV-3", "INV-10", "PAY 1", "pay 1", "x", "y", "z")
INTS = (0, 1, 2, 3, 5, 7, 10, 100, -1, -7, 2**31 - 1, -(2**31), 2**31, 2**53, 2**53 + 1, 2**62, -(2**62))

_KINDS: tuple[KindName, ...] = (
    *("int", "decimal", "decimal", "text", "text", "date", "timestamp", "timestamptz", "boolean"),
)


def any_kind(rng: Random, *, floats: bool = True, lists: bool = False) -> Kind:
    """Draw a column type."""
    name = rng.choice(_KINDS)
    if lists and rng.random() < 0.1:
        return Kind(
            "list", element=rng.choice([Kind("text"), Kind("int"), Kind("decimal", 12, 2), Kind("date")])
        )
    if floats and rng.random() < 0.08:
        return Kind("float", bits=rng.choice([32, 64, 64]))
    match name:
        case "int":
            return Kind("int", bits=rng.choice([16, 32, 64, 64]))
        case "decimal":
            return decimal_kind(rng)
        case _:
            return Kind(name)


def decimal_kind(rng: Random) -> Kind:
    """Draw a decimal type: mostly money, sometimes narrow, wide or without a scale."""
    precision, scale = rng.choice(
        [
            (12, 2),
            (12, 2),
            (18, 2),
            (18, 4),
            (5, 2),
            (9, 3),
            (20, 6),
            (30, 10),
            (38, 2),
            (38, 18),
            (10, 0),
            (3, 3),
        ]
    )
    return Kind("decimal", precision, scale)


def partner_kind(rng: Random, kind: Kind) -> Kind:
    """Draw a type that may be compared with `kind`: itself, or another exact number."""
    if kind.exact and rng.random() < 0.4:
        return rng.choice([Kind("int"), Kind("int", bits=32), Kind("decimal", 12, 2), Kind("decimal", 18, 4)])
    return kind


def value(rng: Random, kind: Kind) -> Value:
    """Draw one value that is not NULL."""
    match kind.name:
        case "int":
            whole = rng.choice(INTS) if rng.random() < 0.3 else rng.randint(-5, 30)
            limit = 2 ** (kind.bits - 1)
            return max(-limit, min(limit - 1, whole))
        case "decimal":
            return _decimal(rng, kind)
        case "text":
            return rng.choice(TEXTS) if rng.random() < 0.5 else rng.choice(PLAIN_TEXTS)
        case "date":
            return date(2024, 2, 27) + timedelta(
                days=rng.choice([0, 1, 2, 3, 366, -20000, rng.randint(-40, 40)])
            )
        case "timestamp" | "timestamptz":
            return _timestamp(rng, kind)
        case "boolean":
            return rng.random() < 0.5
        case "float":
            # At most six significant digits: its shortest decimal form is what is written here.
            return float(money(rng.randint(-99_999, 99_999), rng.choice([0, 1, 2, 2, 2, 4])))
        case "list":
            assert kind.element is not None
            cells = [
                None if rng.random() < 0.1 else value(rng, kind.element)
                for _ in range(rng.choice([0, 1, 2, 3]))
            ]
            return tuple(cells)


def money(units: int, scale: int) -> Decimal:
    """Return units * 10^-scale exactly, with its scale."""
    return Decimal(f"{units}e-{scale}")


def _decimal(rng: Random, kind: Kind) -> Decimal:
    if rng.random() < 0.1:
        # Of 38 digits less than half the range, so that the oracle can subtract two of them.
        limit = 10**kind.precision - 1 if kind.precision < 38 else 4 * 10**37
        return money(rng.randint(-limit, limit), kind.scale)
    room = kind.precision - kind.scale
    units = rng.randint(-3, 12) * 10**kind.scale if room >= 2 else 0
    steps = min(kind.scale, 2)
    units += rng.choice([0, 0, 1, 2, 3, 10, 50, 99]) % 10**steps * 10 ** (kind.scale - steps)
    if kind.scale > 2 and rng.random() < 0.3:
        units += rng.randint(0, 9)
    return money(units, kind.scale)


def _timestamp(rng: Random, kind: Kind) -> datetime:
    day = datetime(2024, 3, 31, tzinfo=UTC if kind.name == "timestamptz" else None)
    second = timedelta(seconds=rng.choice([0, 0, 1, 3600, 86399, 86400, -1, rng.randint(-100000, 100000)]))
    return day + second + timedelta(microseconds=rng.choice([0, 0, 0, 1, 123456, 999999]))


def shifted(rng: Random, source: Value, kind: Kind) -> Value:
    """Return a number near `source`, in the type `kind`; text in another case or with a blank."""
    if isinstance(source, str):
        return rng.choice([source, source.upper(), source + " ", source.strip()])
    if source is None or not kind.numeric:
        return source
    step = Fraction(rng.choice([0, 0, 0, 1, 2, -1, -2, 3, 100]), 100)
    return _fitted(Fraction(str(source)) + step, kind)


def fitted(source: Value, kind: Kind) -> Value:
    """Bring a value into another comparable type; what does not fit becomes a small number."""
    return source if source is None or not kind.numeric else _fitted(Fraction(str(source)), kind)


def _fitted(number: Fraction, kind: Kind) -> Value:
    if kind.name == "float":
        return float(money(int(number * 100), 2)) if abs(number) < 1000 else 1.5
    if kind.name == "int":
        whole = int(number)
        return whole if abs(whole) < 2 ** (kind.bits - 1) else 4
    units = int(number * 10**kind.scale)
    return money(units if abs(units) < min(10**kind.precision, 4 * 10**37) else 0, kind.scale)
