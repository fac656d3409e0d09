"""The runner as other services use it: control over gRPC, rows over Arrow Flight."""
