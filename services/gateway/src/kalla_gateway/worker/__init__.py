"""What the runner reports about its jobs."""
