"""Answers of reviewers to decisions: held against the log as it is now, and written before the App says done."""
