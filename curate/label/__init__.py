"""Samples without a label: proposals, what to label next, and how well the annotators agree."""
