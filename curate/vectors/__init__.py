"""Thumbnails to embeddings, and embeddings to one neighbour graph."""
