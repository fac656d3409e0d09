"""Kalla's REST API, spoken as any client would."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
from kalla_common.errors import Code, KallaError
from kalla_common.filters_json import load_json


class RestClient:
    """A client of one gateway; failures are raised as the KallaError that the gateway names.

    Args:
        base_url: such as http://127.0.0.1:3001.
        timeout: seconds a request may take.
    """

    def __init__(self, base_url: str, timeout: float = 60.0) -> None:
        # A proxy of the environment is for the internet, not for this machine.
        self._http = httpx.Client(base_url=base_url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def error_of(self, response: httpx.Response) -> KallaError:
        """The error that a failed answer names."""
        return _error(response)

    def get(self, path: str, **parameters: str | int) -> Any:
        """The JSON answer of GET; numbers are int or Decimal."""
        return self._answer("GET", path, parameters=parameters)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer of POST; numbers are int or Decimal."""
        return self._answer("POST", path, body=body)

    def follow(self, path: str) -> None:
        """Wait until the server ends the event stream of `path`, as it does when a run has ended."""
        try:
            with self._http.stream("GET", path, timeout=None) as response:
                if not response.is_success:
                    response.read()
                    raise _error(response)
                for _ in response.iter_raw():
                    pass
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _answer(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            response = self._http.request(method, path, params=parameters, json=body)
        except httpx.TransportError as error:
            raise self._silent(error) from error
        if response.is_success:
            return load_json(response.content)
        raise _error(response)

    def _silent(self, error: httpx.TransportError) -> KallaError:
        return KallaError(Code.INTERNAL, f"Kalla does not answer on {self._http.base_url}: {error}.")


def _error(response: httpx.Response) -> KallaError:
    try:
        answer = load_json(response.content)
        return KallaError(Code(answer["code"]), str(answer["error"]), **answer.get("details", {}))
    except (KallaError, KeyError, TypeError, ValueError, AttributeError):
        return KallaError(Code.INTERNAL, f"Kalla answered {response.status_code} without a reason.")
