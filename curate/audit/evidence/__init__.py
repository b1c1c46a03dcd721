"""Evidence for the detectors. Only ``evidence`` knows the dataset; the other modules compute from plain arrays."""
