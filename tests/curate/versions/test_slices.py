"""Slices: which samples they mean, and what is said of a column that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.images.samples import Scan
from curate.log.decision import Decision
from curate.spec.model import Range, Slice, Source, Spec
from curate.storage.files import Problem
from curate.storage.tables import LOCATIONS, SAMPLES, VOTES, empty, shaped
from curate.versions.slices import find_slice, tabulate_slices
from tests.conftest import curate

ID_C = "c" * 20


def scan_of(rows: list[dict[str, object]], metadata: pd.DataFrame | None = None) -> Scan:
    blank = {name: {"str": "", "float64": 0.5}.get(kind, 0) for name, kind in SAMPLES.items()}
    samples = shaped(pd.DataFrame([{**blank, **row} for row in rows]), SAMPLES)
    located = samples[["sample_id", "path", "source"]].assign(
        file=samples["path"], label="", split="", status="sample", reason=""
    )
    metadata = pd.DataFrame(columns=["sample_id", "path"]) if metadata is None else metadata
    return Scan(samples, shaped(located, LOCATIONS), empty(VOTES), metadata)


@pytest.fixture
def scan() -> Scan:
    rows: list[dict[str, object]] = [
        {"sample_id": "a", "path": "web/deep/1.jpg", "source": "s1", "given_label": "cat", "brightness": 0.1},
        {"sample_id": "b", "path": "web/2.jpg", "source": "s2", "given_label": "dog", "brightness": 0.9},
        {"sample_id": ID_C, "path": "own/3.jpg", "source": "s1", "given_label": "", "brightness": np.nan},
    ]
    metadata = pd.DataFrame({"sample_id": ["a", "b", ID_C], "path": "", "camera": ["x100", None, "d5"]})
    return scan_of(rows, metadata)


@pytest.mark.parametrize(
    "part, expected",
    [
        (Slice(), "abc"),
        (Slice(path="web/*"), "ab"),
        (Slice(path=["web/?.jpg", "own/*"]), "bc"),
        (Slice(path="web/*", source="s1"), "a"),
        (Slice(given_label=["dog", ""]), "bc"),
        (Slice(measures={"brightness": Range(below=0.5)}), "a"),
        (Slice(measures={"brightness": Range(above=0.1, below=0.9)}), ""),
        (Slice(metadata={"camera": "x*"}), "a"),
        (Slice(metadata={"camera": "*"}, path="web/*"), "ab"),
        (Slice(path="WEB/*"), ""),
    ],
)
def test_all_conditions_hold(scan: Scan, part: Slice, expected: str) -> None:
    assert "".join(one[0] for one in scan.samples["sample_id"][find_slice(scan, part)]) == expected


def test_any_file_of_a_sample_counts(scan: Scan) -> None:
    copy = scan.locations.iloc[[2]].assign(path="web/copy.jpg", status="location")
    several = Scan(scan.samples, pd.concat([scan.locations, copy]), scan.votes, scan.metadata)
    assert find_slice(several, Slice(path="web/*")).all()


@pytest.mark.parametrize(
    "part, words",
    [
        (
            Slice(measures={"brigthness": Range(below=0.2)}),
            ["slices.night.measures", "brigthness", "brightness", "width"],
        ),
        (Slice(measures={"path": Range(below=0.2)}), ["slices.night.measures", "'path'"]),
        (Slice(measures={"sharpness": Range(below=2)}), ["slices.night.measures", "no longer", "edge_width"]),
        (Slice(metadata={"lens": "*"}), ["slices.night.metadata", "camera", "'lens'"]),
        (Slice(metadata={"sample_id": "*"}), ["slices.night.metadata", "camera"]),
    ],
)
def test_an_unknown_column_lists_what_there_is(scan: Scan, part: Slice, words: list[str]) -> None:
    with pytest.raises(Problem) as told:
        find_slice(scan, part, "night")
    assert all(word in str(told.value) for word in words)


def test_without_metadata_it_says_so() -> None:
    with pytest.raises(Problem, match="there is none"):
        find_slice(scan_of([{"sample_id": "a"}]), Slice(metadata={"lens": "*"}), "night")


ALL = {"slice": "all", "samples": 3, "labels": {"cat": 1, "dog": 1}, "unlabelled": 1, "rule": ""}


def test_slices_are_counted_by_label(scan: Scan) -> None:
    spec = Spec(
        name="t",
        classes={"cat": "", "dog": ""},
        sources=[Source(path="s")],
        slices={"web": Slice(path="web/*"), "all": Slice()},
        rules={"web": "cat"},
    )
    decided = [Decision(actor="ann", tool="decide", sample_id=ID_C, action="relabel", label="dog")]
    assert tabulate_slices(scan, spec, decided)[1] == {**ALL, "labels": {"cat": 1, "dog": 2}, "unlabelled": 0}
    assert tabulate_slices(scan, spec, []) == [
        {"slice": "web", "samples": 2, "labels": {"cat": 1, "dog": 1}, "unlabelled": 0, "rule": "cat"},
        ALL,
    ]


def test_the_command_says_where_slices_are_named(scanned, tmp_path: Path) -> None:
    dataset, _, _ = scanned
    assert "slices:" in curate("slices", dataset.path).stdout
    with dataset.spec.open("a") as spec:
        spec.write("slices: {discs: {path: 'disc/*'}, odd: {measures: {wide: {below: 3}}}}\n")
    assert "slices.odd.measures" in curate("slices", dataset.path, code=2).stderr
