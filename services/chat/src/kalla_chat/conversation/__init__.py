"""Sessions: what is known, which phase that makes, and one answer at a time."""
