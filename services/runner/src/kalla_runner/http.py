"""The runner's documented HTTP API."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from kalla_common.domain import JobSpec, SourceSpec
from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.filters_json import load_json, parse_conditions, refuse_unstorable_texts
from kalla_common.openapi import CONDITION, TEXT, WORDS, forbid_nul
from kalla_common.sites import SiteGuard, Sites
from kalla_common.telemetry import extracted_context, inject_context, log, tracer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from kalla_runner.checks import RUN_ID
from kalla_runner.jobs import Jobs
from kalla_runner.metrics import CONTENT_TYPE, Metrics

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
BODY_SECONDS: Final = 60.0


class Readiness:
    """Whether jobs are taken now."""

    def __init__(self) -> None:
        self.ready = False


class SourceBody(BaseModel):
    """ResolvedSource of the API reference; `schema` lists expected columns, each "name" or "name:type"."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)

    alias: str
    uri: str
    filters: list[Any] = Field(default_factory=list[Any])
    schema_: list[str] = Field(default_factory=list[str], alias="schema")


class JobBody(BaseModel):
    """JobRequest of the API reference; `allow_quadratic` and `witness` go beyond it."""

    model_config = ConfigDict(strict=True)

    run_id: str
    callback_url: str = ""
    match_sql: str
    sources: list[SourceBody]
    output_path: str
    primary_keys: dict[str, list[str]]
    allow_quadratic: bool = False
    witness: bool | None = None


def make_app(jobs: Jobs, metrics: Metrics, readiness: Readiness, sites: Sites) -> FastAPI:
    """The HTTP application; errors leave as {"error", "code", "details"}."""

    async def overview() -> dict[str, Any]:
        """Say what this is, and where to go on."""
        paths = ("/api/jobs", "/health", "/ready", "/metrics", "/openapi.json")
        links = {path.rpartition("/")[2].removesuffix(".json"): path for path in paths}
        return {"name": app.title, "version": version("kalla"), "ready": readiness.ready, "links": links}

    async def health() -> Response:
        """Say that the process runs."""
        return PlainTextResponse("OK")

    async def ready() -> Response:
        """Say whether jobs are taken."""
        return PlainTextResponse("OK") if readiness.ready else PlainTextResponse("NOT READY", status_code=503)

    async def figures() -> Response:
        """Give the metrics in Prometheus' text form."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    async def submit(request: Request) -> dict[str, str]:
        """Take a job in."""
        spec = job_spec(await _body(request))
        with extracted_context(request.headers), tracer.start_as_current_span("POST /api/jobs"):
            job = await jobs.submit(spec, inject_context())
        return {"run_id": job.run_id, "status": "accepted"}

    # What comes before every endpoint may answer: hosts and sites.
    common = _documented({400: "The request is wrong.", 403: _FOREIGN, 421: "Not a host of this server."})
    app = FastAPI(title="Kalla runner", docs_url=None, redoc_url=None, responses=common)
    _add_errors(app)
    app.add_middleware(SiteGuard, sites=sites)
    body = {"content": {"application/json": {"schema": _job_schema()}}, "required": True}
    app.get("/", include_in_schema=False)(overview)
    app.get("/health", response_class=PlainTextResponse)(health)
    not_ready: dict[int | str, dict[str, Any]] = {
        503: {"description": "Not ready.", "content": {"text/plain": {}}}
    }
    app.get("/ready", response_class=PlainTextResponse, responses=not_ready)(ready)
    app.get("/metrics", response_class=PlainTextResponse)(figures)
    app.post("/api/jobs", openapi_extra={"requestBody": body}, responses=_documented(_REFUSALS))(submit)
    # The document is made once: what is changed here stays.
    forbid_nul(app.openapi())
    return app


_FOREIGN: Final = "A page of another site sent the request."
_REFUSALS: Final = {
    408: "The body did not arrive in time.",
    409: "The run_id was used with another body.",
    500: "The queue is full, or a defect.",
    502: "The runner is starting or stopping.",
    503: "The database of the runner cannot be reached.",
}


class ErrorBody(BaseModel):
    """Every error of the API."""

    error: str
    code: str
    details: dict[str, str] = Field(default_factory=dict)


def _documented(statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody, "description": text} for status, text in statuses.items()}


def _job_schema() -> dict[str, Any]:
    """The schema of a body, whole in itself: OpenAPI has no place for definitions beside it."""
    schema = JobBody.model_json_schema()
    source = schema.pop("$defs")["SourceBody"]
    text = {"type": "string", "minLength": 1} | TEXT
    source["properties"] |= {"alias": text, "uri": text, "filters": {"type": "array", "items": CONDITION}}
    schema["properties"] |= {
        "sources": {"type": "array", "minItems": 2, "items": source},
        "run_id": {"type": "string", "format": "uuid", "pattern": f"^{RUN_ID}$"},
        "match_sql": {"type": "string"} | WORDS,
        "output_path": text,
    }
    return schema


def job_spec(body: bytes) -> JobSpec:
    """The job in the body of POST /api/jobs.

    Raises:
        KallaError: INVALID_REQUEST, INVALID_FILTER.
    """
    try:
        content = load_json(body)
        refuse_unstorable_texts(content)
        job = JobBody.model_validate(content)
    except ValidationError as error:
        raise KallaError(Code.INVALID_REQUEST, _sentence(error)) from error
    return JobSpec(
        run_id=job.run_id,
        match_sql=job.match_sql,
        sources=tuple(
            SourceSpec(source.alias, source.uri, parse_conditions(source.filters), tuple(source.schema_))
            for source in job.sources
        ),
        output_path=job.output_path,
        primary_keys={alias: tuple(columns) for alias, columns in job.primary_keys.items()},
        callback_url=job.callback_url,
        allow_quadratic=job.allow_quadratic,
        witness=job.witness,
    )


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise KallaError(Code.INVALID_REQUEST, f"The body is larger than {MAX_BODY_BYTES} bytes.")
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {BODY_SECONDS:g} seconds") from None
    except ClientDisconnect:
        log.info("client_gone", path=request.url.path)
        raise KallaError(Code.CANCELLED, "The client went away before its request was whole.") from None
    return b"".join(parts)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "The body"
    return f"{where}: {first['msg']}."


def _add_errors(app: FastAPI) -> None:
    async def kalla_error(_request: Request, error: Exception) -> Response:
        return _answer(cast("KallaError", error))

    async def http_error(_request: Request, error: Exception) -> Response:
        http = cast("HTTPException", error)
        content = {"error": f"{http.detail}.", "code": Code.INVALID_REQUEST.value, "details": {}}
        return JSONResponse(content, http.status_code, headers=http.headers)

    async def unexpected(_request: Request, error: Exception) -> Response:
        log.error("http_failed", exc_info=error)
        return _answer(KallaError(Code.INTERNAL, INTERNAL_MESSAGE))

    app.add_exception_handler(KallaError, kalla_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected)


def _answer(error: KallaError) -> JSONResponse:
    content = {"error": error.message, "code": error.code.value, "details": error.details}
    return JSONResponse(content, error.info.http_status)
