"""Traces and structured logs of a service.

Logs are JSON lines on stderr with the trace and, where one is bound, the run_id. Secrets in
URIs are masked in every text that is logged or attached to a span.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from kalla_common.settings import CommonSettings
from kalla_common.uris import mask_uri

log: structlog.stdlib.BoundLogger = structlog.get_logger()
tracer = trace.get_tracer("kalla")

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def redact(text: str) -> str:
    """Return `text` with the passwords of all URIs in it masked."""
    return _URI.sub(lambda match: mask_uri(match[0]), text)


def setup_telemetry(service: str, settings: CommonSettings) -> Callable[[], None]:
    """Configure logging and tracing of this process, once, at its start.

    Args:
        service: name in logs and traces, such as kalla-runner.
        settings: log level and OTLP endpoint.

    Returns:
        A function that flushes and ends the export; call it last.
    """
    _setup_logging(service, settings.log_level)
    if settings.otlp_endpoint is None:
        return lambda: None
    # Imported late: nobody pays for the exporter who does not use it.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    insecure = settings.otlp_endpoint.startswith("http://")
    exporter = _Redacting(OTLPSpanExporter(endpoint=settings.otlp_endpoint, insecure=insecure))
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def inject_context() -> dict[str, str]:
    """The present trace context as text, to be carried in a message or a journal."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


@contextmanager
def extracted_context(carrier: Mapping[str, str]) -> Generator[None]:
    """Spans started inside belong to the trace that `inject_context` put into `carrier`."""
    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def run_context(run_id: str) -> Generator[None]:
    """Log lines written inside carry `run_id`."""
    with structlog.contextvars.bound_contextvars(run_id=run_id):
        yield


def _setup_logging(service: str, level: str) -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _names_service(service),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _add_trace,
        _redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:4], structlog.stdlib.ExtraAdder(), *shared[4:]],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _late_redact,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # An answer that broke off was logged by whoever broke it off.
    logging.getLogger("uvicorn.error").addFilter(_not_a_broken_off_answer)
    for noisy in ("httpx", "httpcore", "sqlalchemy.engine", "alembic", "uvicorn.access", "dbos"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def _not_a_broken_off_answer(record: logging.LogRecord) -> bool:
    return "without completing response" not in str(record.msg)


def _names_service(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _add_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def _redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and "://" in value:
            event[key] = redact(value)
    return event


def _late_redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Tracebacks of foreign loggers become text only in the formatter.
    if isinstance(event.get("exc_info"), tuple):
        event["exception"] = "".join(logging.Formatter().formatException(event.pop("exc_info")))
    return _redact_event(logger, method, event)


class _Redacting(SpanExporter):
    """Masks passwords in span attributes before they leave the process."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Any) -> SpanExportResult:
        return self._inner.export([_redacted(span) for span in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _redacted(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_redacted_attributes(span.attributes),
        events=[
            type(event)(event.name, _redacted_attributes(event.attributes), event.timestamp)
            for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=trace.Status(
            span.status.status_code,
            redact(span.status.description) if span.status.description else None,
        ),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _redacted_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        key: redact(value) if isinstance(value, str) else value for key, value in (attributes or {}).items()
    }
