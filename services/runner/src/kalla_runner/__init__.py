"""The runner: reads sources, matches them, keeps the outputs."""
