"""Runs: from the request to the end that the runner reports."""
