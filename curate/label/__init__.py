"""Labels for unlabelled samples: proposals, what to label next, and how well annotators agree."""
