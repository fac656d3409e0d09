"""One shape for every error: {"error", "code", "details"} with the code's HTTP status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.telemetry import log, redact
from starlette.exceptions import HTTPException
from starlette.routing import Match

from kalla_gateway.rest.exact_json import BodyError
from kalla_gateway.rest.schemas import ErrorBody

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_MEANINGS: Final = {
    400: "The request's shape or a value in it is wrong.",
    401: "The callback's signature is missing or wrong.",
    403: "The caller or the path is not allowed.",
    404: "Nothing has this name.",
    406: "None of the accepted formats can be sent.",
    408: "The body did not arrive in time.",
    409: "The state does not allow it (yet).",
    413: "The body or the file is too large.",
    421: "The server does not answer to this host.",
    422: "The source's content cannot be read exactly.",
    502: "The runner or a source did not do its part.",
    503: "Kalla's database or S3 store cannot be reached.",
    504: "It took longer than its deadline.",
    507: "The runner's disk is full.",
}


class HttpError(KallaError):
    """An INVALID_REQUEST that HTTP has a status of its own for."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(Code.INVALID_REQUEST, message)
        self.http_status = http_status


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that may answer with these errors."""
    return {status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in statuses}


def error_response(error: KallaError) -> JSONResponse:
    """The answer to a failed request; secrets in its texts are masked."""
    status = error.http_status if isinstance(error, HttpError) else error.info.http_status
    body = ErrorBody(
        error=redact(error.message),
        code=error.code.value,
        details={key: redact(value) for key, value in error.details.items()},
    )
    return JSONResponse(body.model_dump(), status)


def install_error_handlers(app: FastAPI) -> None:
    """Have every error of `app` leave in the one shape."""
    app.add_exception_handler(KallaError, _on_kalla_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_defect)


async def _on_kalla_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, KallaError):
        raise error
    return error_response(error)


async def _on_validation_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return error_response(_validation_error(error.errors()))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, BodyError):
        return error_response(error.error)
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    match error.status_code:
        case 404:
            message = f"There is nothing at {path}; /docs lists all paths."
        case 405:
            message = f"{request.method} is not allowed at {path}; /docs lists what is."
        case status:
            message = error.detail or HTTPStatus(status).phrase
    response = error_response(HttpError(error.status_code, message))
    response.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["allow"] = ", ".join(_allowed_methods(request))
    return response


def _allowed_methods(request: Request) -> list[str]:
    """The methods of all routes of this path; the router itself names those of the first one."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


async def _on_defect(_request: Request, error: Exception) -> JSONResponse:
    log.error("request_failed", exc_info=error)
    return error_response(KallaError(Code.INTERNAL, INTERNAL_MESSAGE))


def _validation_error(problems: Any) -> KallaError:
    """One sentence about the first problem; what was sent is not repeated, it may be a secret."""
    first = problems[0]
    place = [str(part) for part in first["loc"]]
    where, field = place[0], ".".join(place[1:])
    if where == "body" and not field:
        message = (
            "The request needs a JSON object as its body, with Content-Type: application/json."
            if first["type"] in ("missing", "model_attributes_type")
            else f"The body is wrong: {first['msg']}."
        )
        return KallaError(Code.INVALID_REQUEST, message)
    name = f"{field!r}" if where == "body" else f"{field!r} in the {where}"
    if first["type"] == "missing":
        return KallaError(Code.INVALID_REQUEST, f"The field {name} is missing.", field=field)
    message = str(first["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    return KallaError(Code.INVALID_REQUEST, f"The field {name} is wrong: {message}.", field=field)
