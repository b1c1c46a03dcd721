"""Samples and decisions to versions: labels as they stand, slices, groups, splits, the build, and its export."""
