"""Turns reviewers' answers into decisions: checked against the current log, and written before the App confirms."""
