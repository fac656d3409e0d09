"""The runner as the gateway uses it: control over gRPC, rows over Arrow Flight."""
