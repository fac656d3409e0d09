"""Request bodies as exact JSON: numbers with a fraction become Decimal, never float."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from kalla_common.errors import KallaError
from kalla_common.filters_json import load_json, refuse_unstorable_texts


class BodyError(HTTPException):
    """Carries a KallaError through FastAPI's body parsing, which lets HTTPExceptions alone pass."""

    def __init__(self, error: KallaError) -> None:
        super().__init__(error.info.http_status, error.message)
        self.error = error


class ExactJsonRequest(Request):
    """A request whose body is parsed by `load_json`."""

    async def json(self) -> Any:
        """Return the body, whatever its JSON type.

        Raises:
            BodyError: it is not JSON, or holds a text that is not Unicode or has a NUL.
        """
        try:
            body = load_json(await self.body())
            refuse_unstorable_texts(body)
        except KallaError as error:
            raise BodyError(error) from error
        return body


class ExactJsonRoute(APIRoute):
    """A route whose handler gets an ExactJsonRequest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await inner(ExactJsonRequest(request.scope, request.receive))

        return handle
