"""What the detectors look at. Only ``evidence`` knows the dataset; the other modules compute from plain arrays."""
