"""The dataset as source code: images become samples, samples findings, findings decisions, decisions a version.

pets = curate.open_dataset("pets")
pets.audit()
pets.findings.head()
"""

from curate.api.dataset import Dataset, demo_dataset, init_dataset, open_dataset
from curate.storage.files import Problem

__all__ = ["Dataset", "Problem", "demo_dataset", "init_dataset", "open_dataset"]
__version__ = "0.1.0"
