"""From the text of match_sql to a query that the engine runs exactly; `matching/check.py` shows the way."""
