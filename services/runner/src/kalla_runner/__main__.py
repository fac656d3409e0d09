"""Starts the runner."""

from kalla_runner.main import main

main()
