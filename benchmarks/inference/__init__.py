"""How well match recipes are inferred: labelled sources, run in full and compared with the truth."""
