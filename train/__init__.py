"""Trains models on a version, measures what they learned, and compares two of them."""
