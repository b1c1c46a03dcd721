"""Version -> model -> predictions -> comparison: trains on a version, measures what it learned, compares two models."""
