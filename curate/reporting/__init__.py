"""Collects from the tables what a report or an offline page shows; ``reports`` renders it."""
