"""Images to samples, samples to findings, findings to decisions, decisions to a version: the dataset as source code.

pets = curate.open_dataset("pets")
pets.audit()
pets.findings.head()
"""

from curate.api.dataset import Dataset, demo_dataset, init_dataset, open_dataset
from curate.storage.files import Problem

__all__ = ["Dataset", "Problem", "demo_dataset", "init_dataset", "open_dataset"]
__version__ = "0.1.0"
