"""Generated requests against both REST interfaces of a real Kalla."""
