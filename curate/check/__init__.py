"""The rules of the spec, held against a version."""
