"""What the runner keeps over a restart: the journal's words and the run's folders."""
