"""How well a match recipe is inferred: labelled pairs of sources, each run in full and compared with the truth."""
