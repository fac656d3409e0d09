"""Recipes: which SQL says what a match is, and over which sources."""
