"""The rows that a completed run left, as pages or as files."""
