"""Sources to samples: files found, decoded once, measured, with a thumbnail each."""
