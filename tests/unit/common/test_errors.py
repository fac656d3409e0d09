"""The catalogue is complete, and errors survive every border they cross."""

from __future__ import annotations

import pickle

import pytest
from kalla_common.errors import CATALOGUE, Code, KallaError
from kalla_common.rpc.flight import to_flight_error
from kalla_common.rpc.flight import to_kalla_error as from_flight
from kalla_common.rpc.status import from_status, to_status


def test_every_code_has_its_statuses() -> None:
    assert set(CATALOGUE) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_an_error_survives_gRPC_flight_and_pickle(code: Code) -> None:  # noqa: N802
    error = KallaError(code, "Do this: ü.", line="3", column="7")
    again = [
        from_status(to_status(error)),
        from_flight(to_flight_error(error), Code.RUNNER_UNAVAILABLE),
        pickle.loads(pickle.dumps(error)),  # noqa: S301
    ]
    for copy in again:
        assert isinstance(copy, KallaError)
        assert (copy.code, copy.message, copy.details) == (error.code, error.message, error.details)


def test_an_unexpected_error_leaves_without_its_text() -> None:
    shown = to_flight_error(ValueError("password is hunter2"))
    assert "hunter2" not in str(shown)
    assert b"hunter2" not in shown.extra_info
