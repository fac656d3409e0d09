"""`python -m kalla_cli` is `kalla`."""

from kalla_cli.main import app

app()
