"""Writes decisions: by the policy, by hand, or from a file of answers."""
