"""2 match: staged tables and a query in, three outputs and a proof out."""
