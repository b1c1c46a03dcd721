"""Checks of a dataset: each a function from the evidence to rows of ``tables.FINDINGS``, scores 0..1, low is bad."""
