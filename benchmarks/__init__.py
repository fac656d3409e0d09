"""Measurements of Kalla beside other tools, on the same work."""
