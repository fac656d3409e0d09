"""The REST edge: sources, recipes, runs, results and the callbacks of the runner."""
