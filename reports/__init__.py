"""Renders reports and pages from plain values: computes nothing, needs neither torch nor cleanlab."""
