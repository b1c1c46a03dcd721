"""The detectors: functions from the evidence to rows of ``tables.FINDINGS``. Scores are in 0..1; low is bad."""
