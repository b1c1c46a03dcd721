"""Makes versions from samples and decisions: current labels, slices, groups, splits, build and export."""
