"""Votes between this dataset and other tools: files in, files out, checked on the way."""
