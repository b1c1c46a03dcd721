"""Computes embeddings from thumbnails, and one neighbour graph from the embeddings."""
