"""What the catalogue says of one function or operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Family(StrEnum):
    """Families of argument and result types; finer than `types.Kind`, which does not tell numbers apart."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    ZONED = "timestamp with time zone"
    TIME = "time"
    INTERVAL = "interval"
    DURATION = "duration"
    LIST = "list"
    STRUCT = "struct"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a signature.

    Attributes:
        name: as the documentation calls it.
        families: what it may be; a NULL literal is always accepted.
        literal: must be written as a literal, because the result's type or meaning depends on it.
    """

    name: str
    families: frozenset[Family]
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a function.

    Attributes:
        parameters: in order.
        repeated: the last parameter may come any number of times, at least once.
        optional: so many parameters at the end may be left out.
        duckdb: the same value in DuckDB, with {0}, {1}, ... for the arguments and {all} for all of them,
            joined by commas; None where no translation is certain. Every argument is put in brackets.
        result: the family of the result, for the documentation; None: that of the first argument.
        alike: all arguments must be of one kind, as in a comparison; a list counts as its elements.
    """

    parameters: tuple[Parameter, ...]
    repeated: bool = False
    optional: int = 0
    duckdb: str | None = None
    result: Family | None = None
    alike: bool = False

    def accepts(self, families: Sequence[Family | None]) -> bool:
        """Whether arguments of these families fit; None stands for NULL or a type not known yet."""
        least = len(self.parameters) - self.optional
        if len(families) < least or (len(families) > len(self.parameters) and not self.repeated):
            return False
        last = len(self.parameters) - 1
        return all(
            family is None or family in self.parameters[min(at, last)].families
            for at, family in enumerate(families)
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A function or an operator that match_sql may use.

    Attributes:
        name: lower case, as the documentation calls it.
        kind: scalar, aggregate or window; operators are scalar.
        meaning: one line for people.
        signatures: the ways to call it; the first that accepts the arguments counts.
        aliases: other names with the same meaning.
        form: how it is written, with {0}, {1}, ... for the arguments; None: name(arguments).
    """

    name: str
    kind: Literal["scalar", "aggregate", "window"]
    meaning: str
    signatures: tuple[Signature, ...]
    aliases: tuple[str, ...] = ()
    form: str | None = None

    def signature(self, families: Sequence[Family | None]) -> Signature | None:
        """The signature that accepts arguments of these families, or None."""
        return next((s for s in self.signatures if s.accepts(families)), None)
