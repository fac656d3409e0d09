"""gRPC and Flight as Kalla uses them: one way to pack errors, deadlines, TLS."""
