"""Warm child processes in which sources are staged and matched."""
