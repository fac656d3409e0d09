"""The `kalla` command."""
