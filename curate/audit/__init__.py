"""Samples to findings: what the detectors see, what they find, and how often they were right."""
