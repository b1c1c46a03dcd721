"""Finds faults in samples, and learns from people's decisions how often each detector is right."""
