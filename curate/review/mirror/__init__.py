"""Mirrors the tables in a FiftyOne dataset: pushes rows, pulls edits back, and sets up the App's display."""
