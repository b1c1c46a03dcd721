"""Properties that tell a class although they have nothing to do with it: the rules tried, and those that are faults."""
