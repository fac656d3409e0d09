"""Stop signals are taken where nothing is left half done."""

from __future__ import annotations

import os
import signal

import pytest
from kalla_cli.stopping import Stopped, stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_at_the_next_check_and_not_before(number: signal.Signals) -> None:
    with stop_signals() as request:
        request.check()
        os.kill(os.getpid(), number)
        assert request.received is number
        with pytest.raises(Stopped) as caught:
            request.check()
        assert caught.value.signal is number


def test_the_first_signal_counts() -> None:
    with stop_signals() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert request.received is signal.SIGTERM


def test_under_nohup_the_end_of_the_terminal_changes_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert request.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_from_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
