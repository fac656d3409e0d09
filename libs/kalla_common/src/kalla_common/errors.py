"""The one error catalogue: every failure a caller can see has a code here.

Services raise `KallaError(Code.X, "one sentence a person can act on")`. The gRPC
and Flight servers pack code, message and details; the clients raise the same
`KallaError` again; REST answers with the code's HTTP status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import grpc


class Code(StrEnum):
    """Stable names of all failures; they are part of the API."""

    INVALID_REQUEST = "INVALID_REQUEST"
    """The request's shape or a value in it is wrong."""
    INVALID_URI = "INVALID_URI"
    """A source URI cannot be understood (no table, unknown scheme, bad syntax)."""
    INVALID_FILTER = "INVALID_FILTER"
    """A filter names an unknown column or operator, or its value does not fit."""
    INVALID_SQL = "INVALID_SQL"
    """match_sql does not parse, or names things that do not exist."""
    FORBIDDEN_SQL = "FORBIDDEN_SQL"
    """match_sql does something a match query may not do."""
    TYPE_MISMATCH = "TYPE_MISMATCH"
    """match_sql compares types that are never converted silently."""
    KEYS_NOT_SELECTED = "KEYS_NOT_SELECTED"
    """Key columns are missing in the output and cannot be added by the engine."""
    INVALID_PRIMARY_KEY = "INVALID_PRIMARY_KEY"
    """A primary key is empty or names a column that its source does not have."""
    QUADRATIC_PLAN = "QUADRATIC_PLAN"
    """The query would compare every left row with every right row."""
    PATH_NOT_ALLOWED = "PATH_NOT_ALLOWED"
    """A local path lies outside the allowed roots."""
    SOURCE_NOT_FOUND = "SOURCE_NOT_FOUND"
    """No source is registered under this alias."""
    RECIPE_NOT_FOUND = "RECIPE_NOT_FOUND"
    """No recipe has this id."""
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    """No run has this id."""
    SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
    """No chat session has this id."""
    RESULTS_NOT_READY = "RESULTS_NOT_READY"
    """The run has no results (yet): it is not completed."""
    DATA_NOT_FOUND = "DATA_NOT_FOUND"
    """The file, table or column that a source names does not exist."""
    UPLOAD_NOT_FOUND = "UPLOAD_NOT_FOUND"
    """No address was signed for this upload."""
    UPLOAD_TOO_LARGE = "UPLOAD_TOO_LARGE"
    """The uploaded file is larger than uploads may be."""
    EMPTY_FILE = "EMPTY_FILE"
    """The file has not even a line that names its columns."""
    INVALID_DATA = "INVALID_DATA"
    """The source's content cannot be read exactly (ragged row, bad byte, NaN, ...)."""
    SCHEMA_MISMATCH = "SCHEMA_MISMATCH"
    """The source does not have the columns or types that its recipe declares."""
    SOURCE_CHANGED = "SOURCE_CHANGED"
    """The source changed after it was pinned."""
    SOURCE_UNREACHABLE = "SOURCE_UNREACHABLE"
    """The source's server cannot be reached."""
    ACCESS_DENIED = "ACCESS_DENIED"
    """The source refused the credentials or the permission is missing."""
    CONNECTOR_MISSING = "CONNECTOR_MISSING"
    """No installed connector reads this URI."""
    STORE_NOT_CONFIGURED = "STORE_NOT_CONFIGURED"
    """It needs an S3 store, and this Kalla was started without one."""
    ALREADY_EXISTS = "ALREADY_EXISTS"
    """The same id was used before with another content."""
    QUEUE_FULL = "QUEUE_FULL"
    """The runner has as many jobs waiting as it takes."""
    RUNNER_UNAVAILABLE = "RUNNER_UNAVAILABLE"
    """The runner cannot be reached or did not accept the job."""
    CHAT_UNAVAILABLE = "CHAT_UNAVAILABLE"
    """The chat service cannot be reached."""
    GATEWAY_UNAVAILABLE = "GATEWAY_UNAVAILABLE"
    """The gateway's CatalogService cannot be reached."""
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    """Kalla's own database cannot be reached."""
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    """The S3 store cannot be reached or refuses Kalla."""
    OUTPUT_NOT_WRITABLE = "OUTPUT_NOT_WRITABLE"
    """The output path cannot be written."""
    STORAGE_FULL = "STORAGE_FULL"
    """The disk is full."""
    MEMORY_LIMIT = "MEMORY_LIMIT"
    """The run needs more memory than its limit."""
    CONSERVATION_FAILED = "CONSERVATION_FAILED"
    """Rows in are not rows accounted for; the run's outputs were discarded."""
    WITNESS_DISAGREES = "WITNESS_DISAGREES"
    """A second engine found other matches on the same rows; the run's outputs were discarded."""
    CANCELLED = "CANCELLED"
    """The run was cancelled."""
    UNAUTHENTICATED = "UNAUTHENTICATED"
    """The caller is not allowed to make this call."""
    CALLER_NOT_ALLOWED = "CALLER_NOT_ALLOWED"
    """The caller is known, or its place is, and may not make this call."""
    HOST_NOT_ALLOWED = "HOST_NOT_ALLOWED"
    """The request names a host that this server does not answer to (protection from DNS rebinding)."""
    ORIGIN_NOT_ALLOWED = "ORIGIN_NOT_ALLOWED"
    """A web page of another site sent the request."""
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    """The call took longer than its deadline."""
    INTERNAL = "INTERNAL"
    """A defect in Kalla; details are in the service's log only."""


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """How one code leaves over gRPC and HTTP."""

    grpc_status: grpc.StatusCode
    http_status: int
    retryable: bool = False


_S = grpc.StatusCode

CATALOGUE: Final[dict[Code, CodeInfo]] = {
    Code.INVALID_REQUEST: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.INVALID_URI: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.INVALID_FILTER: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.INVALID_SQL: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.FORBIDDEN_SQL: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.TYPE_MISMATCH: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.KEYS_NOT_SELECTED: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.INVALID_PRIMARY_KEY: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.QUADRATIC_PLAN: CodeInfo(_S.INVALID_ARGUMENT, 400),
    Code.PATH_NOT_ALLOWED: CodeInfo(_S.PERMISSION_DENIED, 403),
    Code.SOURCE_NOT_FOUND: CodeInfo(_S.NOT_FOUND, 404),
    Code.RECIPE_NOT_FOUND: CodeInfo(_S.NOT_FOUND, 404),
    Code.RUN_NOT_FOUND: CodeInfo(_S.NOT_FOUND, 404),
    Code.SESSION_NOT_FOUND: CodeInfo(_S.NOT_FOUND, 404),
    Code.RESULTS_NOT_READY: CodeInfo(_S.FAILED_PRECONDITION, 409),
    Code.DATA_NOT_FOUND: CodeInfo(_S.NOT_FOUND, 404),
    Code.UPLOAD_NOT_FOUND: CodeInfo(_S.NOT_FOUND, 404),
    Code.UPLOAD_TOO_LARGE: CodeInfo(_S.FAILED_PRECONDITION, 413),
    Code.EMPTY_FILE: CodeInfo(_S.FAILED_PRECONDITION, 400),
    Code.INVALID_DATA: CodeInfo(_S.FAILED_PRECONDITION, 422),
    Code.SCHEMA_MISMATCH: CodeInfo(_S.FAILED_PRECONDITION, 422),
    Code.SOURCE_CHANGED: CodeInfo(_S.ABORTED, 409, retryable=True),
    Code.SOURCE_UNREACHABLE: CodeInfo(_S.UNAVAILABLE, 502, retryable=True),
    Code.ACCESS_DENIED: CodeInfo(_S.PERMISSION_DENIED, 502),
    Code.CONNECTOR_MISSING: CodeInfo(_S.UNIMPLEMENTED, 400),
    Code.STORE_NOT_CONFIGURED: CodeInfo(_S.FAILED_PRECONDITION, 503),
    Code.ALREADY_EXISTS: CodeInfo(_S.ALREADY_EXISTS, 409),
    Code.QUEUE_FULL: CodeInfo(_S.RESOURCE_EXHAUSTED, 500, retryable=True),
    Code.RUNNER_UNAVAILABLE: CodeInfo(_S.UNAVAILABLE, 502, retryable=True),
    Code.CHAT_UNAVAILABLE: CodeInfo(_S.UNAVAILABLE, 502, retryable=True),
    Code.GATEWAY_UNAVAILABLE: CodeInfo(_S.UNAVAILABLE, 502, retryable=True),
    Code.DATABASE_UNAVAILABLE: CodeInfo(_S.UNAVAILABLE, 503, retryable=True),
    Code.STORE_UNAVAILABLE: CodeInfo(_S.UNAVAILABLE, 503, retryable=True),
    Code.OUTPUT_NOT_WRITABLE: CodeInfo(_S.FAILED_PRECONDITION, 422),
    Code.STORAGE_FULL: CodeInfo(_S.RESOURCE_EXHAUSTED, 507, retryable=True),
    Code.MEMORY_LIMIT: CodeInfo(_S.RESOURCE_EXHAUSTED, 422),
    Code.CONSERVATION_FAILED: CodeInfo(_S.DATA_LOSS, 500),
    Code.WITNESS_DISAGREES: CodeInfo(_S.DATA_LOSS, 500),
    Code.CANCELLED: CodeInfo(_S.CANCELLED, 409),
    Code.UNAUTHENTICATED: CodeInfo(_S.UNAUTHENTICATED, 401),
    Code.CALLER_NOT_ALLOWED: CodeInfo(_S.PERMISSION_DENIED, 403),
    Code.HOST_NOT_ALLOWED: CodeInfo(_S.PERMISSION_DENIED, 421),
    Code.ORIGIN_NOT_ALLOWED: CodeInfo(_S.PERMISSION_DENIED, 403),
    Code.DEADLINE_EXCEEDED: CodeInfo(_S.DEADLINE_EXCEEDED, 504, retryable=True),
    Code.INTERNAL: CodeInfo(_S.INTERNAL, 500),
}

INTERNAL_MESSAGE: Final = "Kalla failed in an unexpected way; the service's log has the details."


class KallaError(Exception):
    """A failure that may be shown to the caller.

    Args:
        code: its entry in the catalogue.
        message: one sentence a person can act on, without secrets.
        details: further facts for programs, text to text, without secrets.
    """

    def __init__(self, code: Code, message: str, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @property
    def info(self) -> CodeInfo:
        """The code's statuses."""
        return CATALOGUE[self.code]

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (match children, journaled workflow steps).
        return (_rebuild, (self.code.value, self.message, self.details))


def _rebuild(code: str, message: str, details: dict[str, str]) -> KallaError:
    return KallaError(Code(code), message, **details)
