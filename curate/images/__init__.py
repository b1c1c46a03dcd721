"""Scans sources: finds files, decodes each once, measures it and keeps a thumbnail."""
