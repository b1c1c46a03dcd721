"""Images to samples, samples to findings, findings to decisions, decisions to a version: the dataset as source code."""

__version__ = "0.1.0"
