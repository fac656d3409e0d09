"""What all REST endpoints share: exact JSON, one error shape, limits, metrics."""
