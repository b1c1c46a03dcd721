"""Counts how many planted faults the findings caught, and how many findings were false alarms."""

from __future__ import annotations

import pandas as pd

# planted fault -> the issue that should catch it; a byte copy is no finding but a second location of one sample.
CAUGHT_BY: dict[str, str] = {
    "label_error": "label_error",
    "label_conflict": "label_conflict",
    "near_copy": "near_duplicate",
    "byte_copy": "locations",
    "unreadable": "unreadable",
    "blank": "low_information",
    "dark": "dark",
    "blurry": "blurry",
    "off_topic": "off_topic",
    "odd_size": "odd_size",
    "odd_aspect_ratio": "odd_aspect_ratio",
    "grayscale": "grayscale",
}
# planted fault -> other issues that it rightly raises as well: flagging these is no false alarm. A black, blurred or
# blank picture tells no class and resembles its like; a page or a car has no right label among cat and dog; a strip
# or a stamp of an animal is out of the ordinary in several ways; a 16-bit picture here is grey.
ALSO_RAISES: dict[str, frozenset[str]] = {
    "label_conflict": frozenset({"near_duplicate", "label_error"}),
    "blank": frozenset(
        {"off_topic", "outlier", "blurry", "dark", "light", "near_duplicate", "label_error", "label_conflict"}
    ),
    "dark": frozenset({"off_topic", "low_information", "outlier", "blurry", "near_duplicate"}),
    "blurry": frozenset({"off_topic", "low_information", "outlier"}),
    "off_topic": frozenset({"outlier", "label_error", "low_information"}),
    "odd_size": frozenset({"off_topic", "outlier", "blurry", "low_information"}),
    "odd_aspect_ratio": frozenset({"off_topic", "outlier", "odd_size", "low_information"}),
    "sixteen_bit": frozenset({"grayscale"}),
    "grayscale": frozenset({"outlier"}),
    "alpha": frozenset({"outlier"}),
}
SCORE_COLUMNS = ["fault", "issue", "planted", "found", "false_alarms"]


def score_demo(truth: pd.DataFrame, findings: pd.DataFrame, locations: pd.DataFrame) -> pd.DataFrame:
    """Return one row a kind of fault: ``fault, issue, planted, found, false_alarms``, all counts of samples or files.

    A fault is found when a finding with ``is_issue`` flags its file, or, for a near copy, its original. A false alarm
    is a flagged sample none of whose files carries a planted fault that raises the issue (``CAUGHT_BY``,
    ``ALSO_RAISES``). ``findings`` needs ``path, sample_id, issue, is_issue``, ``locations`` needs ``path, sample_id``,
    and their paths are relative to the same folder as those of ``truth``. Without findings nothing is found.

    >>> truth = pd.DataFrame({"path": ["cat/1.jpg", "dog/2.jpg"], "fault": ["dark", "none"], "of": ["", ""]})
    >>> flagged = truth.assign(sample_id=["a", "b"], issue="dark", is_issue=True)
    >>> score_demo(truth, flagged, flagged).query("issue == 'dark'").values.tolist()
    [['dark', 'dark', 1, 1, 1]]
    """
    sample_of = dict(zip(locations["path"], locations["sample_id"], strict=True))
    truth = truth.assign(sample=[sample_of.get(path, path) for path in truth["path"]])
    excused = find_excused(truth)
    flagged = findings[findings["is_issue"].astype(bool)]
    # A file that could not be read may have no sample: then its path stands for it.
    flagged = flagged.assign(sample=[sample_of.get(path, path) for path in flagged["path"]])
    raised = {str(issue): set(rows["sample"]) for issue, rows in flagged.groupby("issue")}
    copied = locations["sample_id"].value_counts()
    raised["locations"] = set(copied[copied > 1].index)
    rows = [_score_fault(fault, issue, truth, raised.get(issue, set()), excused) for fault, issue in CAUGHT_BY.items()]
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def find_excused(truth: pd.DataFrame) -> dict[str, set[str]]:
    """Return issue -> the samples that a finding of this issue may flag; ``truth`` has the column ``sample``."""
    excused: dict[str, set[str]] = {}
    sample_of = dict(zip(truth["path"], truth["sample"], strict=True))
    for sample, fault, original in zip(truth["sample"], truth["fault"], truth["of"], strict=True):
        for issue in {CAUGHT_BY.get(fault, "")} | ALSO_RAISES.get(fault, frozenset()):
            excused.setdefault(issue, set()).add(sample)
            if original in sample_of:
                excused[issue].add(sample_of[original])
            # A byte copy under both classes is one sample with two locations.
            if fault == "label_conflict" and sample_of.get(original) == sample:
                excused.setdefault("locations", set()).add(sample)
    return excused


def _score_fault(
    fault: str, issue: str, truth: pd.DataFrame, flagged: set[str], excused: dict[str, set[str]]
) -> tuple[str, str, int, int, int]:
    sample_of = dict(zip(truth["path"], truth["sample"], strict=True))
    rows = truth[truth["fault"] == fault]
    caught = [
        sample in flagged or (fault in ("near_copy", "label_conflict") and sample_of.get(original) in flagged)
        for sample, original in zip(rows["sample"], rows["of"], strict=True)
    ]
    return fault, issue, len(rows), sum(caught), len(flagged - excused.get(issue, set()))
