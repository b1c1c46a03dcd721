"""Faults of the dataset as a whole: planted ones are found and named, and nothing is raised without one."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from PIL import Image, ImageDraw

from curate.audit.audit import audit_dataset
from curate.audit.detectors.coverage import find_coverage, find_imbalance
from curate.audit.detectors.patches import PLACES, compute_patches
from curate.audit.detectors.properties import Property, tabulate_texts
from curate.audit.detectors.shortcuts.rules import Rule, strength_interval
from curate.audit.detectors.shortcuts.shortcut import find_shortcuts
from curate.audit.detectors.weak_slice import Candidate, choose_slices, find_weak_slices
from curate.audit.evidence.evidence import Evidence
from curate.audit.patterns import KINDS, find_patterns, read_members, read_patterns
from curate.images.measure import measure_content
from curate.images.samples import Scan
from curate.spec.model import Images, Source, Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.storage.tables import PATTERN_MEMBERS, PATTERNS, SAMPLES, VOTES, empty, shaped
from tests.conftest import curate

NONE = pd.DataFrame({"sample_id": pd.Series(dtype="str")})


def draw_noise(seed: int, marked: bool = False, factor: float = 1.0) -> Image.Image:
    """A soft random picture, alike for both classes; ``marked`` puts a red disc into its bottom right corner."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((60, 50), Image.Resampling.BICUBIC)
    image = image.point([round(value * factor) for value in range(256)] * 3)
    if marked:
        draw = ImageDraw.Draw(image)
        draw.rectangle((51, 41, 58, 48), fill="white")
        draw.ellipse((52, 42, 57, 47), fill="red")
    return image


def make_evidence(
    images: list[Image.Image],
    labels: list[str],
    classes: tuple[str, ...] = ("cat", "dog"),
    forms: str | list[str] = "JPEG",
    **more: object,
) -> Evidence:
    """Return the evidence of pictures in memory, each a group of its own; ``forms`` is a format for each or for all."""
    rows, thumbnails = [], {}
    each = [forms] * len(images) if isinstance(forms, str) else forms
    for place, (image, label, form) in enumerate(zip(images, labels, each, strict=True)):
        written = io.BytesIO()
        image.save(written, form)
        measures, thumbnail = measure_content(written.getvalue(), Images())
        one = f"{place:020x}"
        thumbnails[one] = thumbnail
        rows.append({**measures, "sample_id": one, "path": f"{place}.jpg", "source": "here", "given_label": label})
    table = pd.DataFrame(rows).assign(given_split="", locations=1) if rows else empty(SAMPLES)
    spec = Spec(name="made", classes=dict.fromkeys(classes, ""), sources=[Source(path=".")], **more)
    evidence = Evidence(
        spec, shaped(table, SAMPLES), empty(VOTES), _embed, lambda ids: {one: thumbnails[one] for one in ids}
    )
    vars(evidence)["groups"] = pd.DataFrame({"sample_id": evidence.ids, "group_id": evidence.ids})
    return evidence


def _embed(sample_ids: Sequence[str]) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(len(sample_ids), 8)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def issues_of(evidence: Evidence, metadata: pd.DataFrame = NONE) -> list[dict[str, object]]:
    return [row for row, _ in find_shortcuts(evidence, metadata) if row["is_issue"]]


def halves(count: int) -> list[str]:
    return ["cat", "dog"] * (count // 2)


def test_nothing_is_raised_where_pictures_are_alike() -> None:
    evidence = make_evidence([draw_noise(seed) for seed in range(120)], halves(120))
    found = find_shortcuts(evidence, NONE)
    assert not [row for row, _ in found if row["is_issue"]]
    assert {row["label"] for row, _ in found} == {"cat", "dog"}  # how far from one each class is, is told


def test_a_darker_class_is_named() -> None:
    labels = halves(120)
    images = [draw_noise(seed, factor=0.7 if label == "cat" else 1.0) for seed, label in enumerate(labels)]
    first, *others = issues_of(make_evidence(images, labels))
    assert "brightest pixels" in str(first["name"]) and "of white" in str(first["evidence"])
    assert not others  # grey levels and contrast fell too, and are the same fault


def test_what_is_a_fault_is_nowhere_called_sound() -> None:
    images = [draw_noise(seed, factor=0.8 if seed % 2 else 1.0) for seed in range(80)]
    rows = [row for row, _ in find_shortcuts(make_evidence(images, halves(80)), NONE)]
    assert rows and all(row["is_issue"] for row in rows)  # of two classes, one rule tells both


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_a_mark_on_a_class_is_found_in_its_place(share: float) -> None:
    labels = halves(300)
    marked = [label == "dog" and place < share * 300 for place, label in enumerate(labels)]
    evidence = make_evidence([draw_noise(seed, one) for seed, one in enumerate(marked)], labels)
    (row, members), *others = [(row, rows) for row, rows in find_shortcuts(evidence, NONE) if row["is_issue"]]
    assert row["name"] == "dog: mark at the bottom right" and not others
    told = np.isin(np.arange(300), members)
    assert (told & np.array(marked)).sum() >= 0.9 * sum(marked)
    assert (told & ~np.array(marked)).sum() <= 0.1 * sum(marked)


def test_another_format_is_named() -> None:
    labels = halves(80)
    forms = ["PNG" if label == "cat" else "JPEG" for label in labels]
    names = {
        row["name"] for row in issues_of(make_evidence([draw_noise(seed) for seed in range(80)], labels, forms=forms))
    }
    assert any("format" in str(name) or "compression" in str(name) for name in names)


def test_a_column_that_tells_the_class_is_named() -> None:
    labels = halves(80)
    evidence = make_evidence([draw_noise(seed) for seed in range(80)], labels)
    camera = ["phone" if label == "cat" else "studio" for label in labels]
    metadata = pd.DataFrame({"sample_id": evidence.ids, "camera": camera, "number": np.arange(80).astype(str)})
    assert [row["name"] for row in issues_of(evidence, metadata)] == ["cat: camera"]


def test_a_column_may_be_called_anything() -> None:
    images = [draw_noise(seed) for seed in range(80)]
    evidence = make_evidence(images, halves(80))
    place = {one: number for number, one in enumerate(evidence.samples["sample_id"])}
    values = ["left" if place[one] % 2 else "right" for one in evidence.ids]
    metadata = pd.DataFrame({"sample_id": evidence.ids, "size": values, "{x}": values, "source": values})
    names = [one.name for one in tabulate_texts(evidence, metadata)]
    assert {"column size", "{x}", "column source"} <= set(names) and len(set(names)) == len(names)
    patterns, _ = find_patterns(evidence, metadata)
    assert patterns["name"].is_unique


def test_copies_are_no_evidence() -> None:
    labels = halves(80)
    camera = ["phone" if label == "cat" else "studio" for label in labels]
    evidence = make_evidence([draw_noise(seed) for seed in range(80)], labels)
    metadata = pd.DataFrame({"sample_id": evidence.ids, "camera": camera})
    vars(evidence)["groups"] = pd.DataFrame({"sample_id": evidence.ids, "group_id": "one"})
    assert not issues_of(evidence, metadata)
    assert "two classes with 20 different pictures" in evidence.notes[-1]


def test_folders_named_like_a_class_are_no_property() -> None:
    evidence = make_evidence([draw_noise(seed) for seed in range(20)], halves(20))
    evidence.readable["path"] = [
        f"{label}s/{'web' if place < 10 else 'own'}/{place}.jpg" for place, label in enumerate(halves(20))
    ]
    folders = next(one for one in tabulate_texts(evidence, NONE) if one.name == "folder")
    assert set(folders.values) == {"web", "own"}


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (900, 3)])
def test_odd_sizes_have_patches(size: tuple[int, int]) -> None:
    evidence = make_evidence([Image.new("RGB", size, (9, 200, 3))], ["cat"], forms="PNG")
    patches = compute_patches(evidence, np.array([0]))
    assert patches.shape == (1, len(PLACES), 16, 16, 3)
    assert (patches == (9, 200, 3)).all()


PETS = ("cat", "dog")


@pytest.mark.parametrize(
    ("labels", "classes"), [([], PETS), (["cat"], PETS), (["", "dog"], PETS), (["cat"] * 50, ("cat",))]
)
def test_too_few_is_said(labels: list[str], classes: tuple[str, ...]) -> None:
    evidence = make_evidence([draw_noise(seed) for seed in range(len(labels))], labels, classes)
    vars(evidence)["pred_probs"] = None
    patterns, members = find_patterns(evidence, NONE)
    assert list(patterns) == list(PATTERNS) and list(members) == list(PATTERN_MEMBERS)
    assert not patterns["issue"].isin(["shortcut", "weak_slice"]).any()
    assert not labels or len(evidence.notes) == 2


def test_intervals_hold_the_share_they_are_of() -> None:
    for hits, wrong in ((40, 0), (20, 20), (0, 0), (3, 30)):
        rule = Rule(0, Property("x", np.zeros(1), "are"), "has", "above", 0.0, hits, 40, wrong, 40)
        low, high = strength_interval(rule)
        assert 0 <= low <= rule.strength <= high <= 1


def judged_evidence(wrong: np.ndarray, count: int = 400) -> Evidence:
    """400 dark and light pictures of which the model contradicts those that are ``wrong``."""
    images = [draw_noise(seed, factor=0.4 if seed < count // 5 else 1.0) for seed in range(count)]
    evidence = make_evidence(images, halves(count))
    given = evidence.given
    said = np.where(wrong, 1 - given, given)
    vars(evidence)["pred_probs"] = np.where(np.arange(2) == said[:, None], 0.9, 0.1)
    return evidence


def test_a_slice_with_wrong_labels_is_named() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(400) < np.where(np.arange(400) < 80, 0.4, 0.03)
    (row, members), *others = find_weak_slices(judged_evidence(wrong), NONE)
    assert ("pixel" in str(row["name"]) or "darker" in str(row["name"])) and not others
    assert (members < 80).mean() > 0.9
    first = int(wrong[members].sum())
    assert wrong[members[:first]].all()  # those to look at come first


def test_errors_anywhere_are_no_weak_slice() -> None:
    for seed in range(3):
        wrong = np.random.default_rng(seed).random(400) < 0.1
        assert not find_weak_slices(judged_evidence(wrong), NONE)


def test_what_a_larger_slice_explains_is_not_told_again() -> None:
    inside = np.arange(400) < 100
    wrong = np.zeros(400, dtype=bool)
    wrong[:50] = True
    half, apart = inside & (np.arange(400) % 2 == 0), np.arange(400) >= 300
    tried = [Candidate("half", half), Candidate("all", inside), Candidate("apart", apart)]
    chosen = choose_slices(tried, np.ones(400, dtype=bool), wrong)
    assert [one.name for one in chosen] == ["all"]


def test_imbalance_counts_by_hand() -> None:
    labels = ["cat"] * 33 + ["dog"] * 3 + [""] * 4
    evidence = make_evidence([draw_noise(seed) for seed in range(40)], labels)
    rows = {row["label"]: row for row, _ in find_imbalance(evidence, NONE)}
    assert rows["dog"]["is_issue"] and not rows["cat"]["is_issue"]
    assert rows["dog"]["score"] == pytest.approx(3 / 33)
    assert rows["dog"]["suggested_action"] == "collect 1 or more dog"


def test_a_class_that_a_slice_lacks_is_told() -> None:
    labels = ["cat"] * 20 + halves(80)
    part = {"night": {"measures": {"width": {"below": 70}}}}
    images = [draw_noise(seed) for seed in range(20)] + [draw_noise(seed).resize((80, 50)) for seed in range(80)]
    rows = [row for row, _ in find_imbalance(make_evidence(images, labels, slices=part), NONE) if row["is_issue"]]
    assert [row["name"] for row in rows] == ["dog: none in slice night"]
    assert scipy.stats.fisher_exact([[0, 20], [40, 40]], alternative="less").pvalue < 0.01  # the oracle


def test_mostly_copies_are_told() -> None:
    evidence = make_evidence([draw_noise(seed) for seed in range(60)], halves(60))
    groups = [f"{place // 20 if place % 2 else place}" for place in range(60)]  # 30 dogs in 3 groups
    vars(evidence)["groups"] = pd.DataFrame({"sample_id": evidence.ids, "group_id": groups})
    rows = {row["label"]: row for row, _ in find_coverage(evidence, NONE) if "different" in str(row["name"])}
    assert rows["dog"]["is_issue"] and rows["dog"]["score"] == pytest.approx(0.03)  # 3 of 10 needed, 3 of 30
    assert not rows["cat"]["is_issue"]


def test_many_classes_are_coped_with() -> None:
    classes = tuple(f"class {place}" for place in range(300))
    evidence = make_evidence(
        [draw_noise(seed) for seed in range(600)], [classes[seed % 300] for seed in range(600)], classes
    )
    vars(evidence)["pred_probs"] = None
    patterns, _ = find_patterns(evidence, NONE)
    assert (patterns["issue"] == "imbalance").sum() == 300 and not (patterns["issue"] == "shortcut").any()


def test_audit_writes_what_patterns_reads(scanned: tuple[DatasetFolder, Spec, Scan]) -> None:
    dataset, spec, _ = scanned
    with pytest.raises(Problem, match="curate audit"):
        read_patterns(dataset)
    audit_dataset(dataset, spec)
    table, members = read_patterns(dataset), read_members(dataset)
    assert list(table) == list(PATTERNS) and set(table["issue"]) <= set(KINDS) and table["name"].is_unique
    assert set(members["name"]) <= set(table["name"])
    told = json.loads(curate("patterns", dataset.path, "--json").stdout)
    assert [row["name"] for row in told] == list(table["name"])
    assert "shortcut, weak_slice" in curate("patterns", dataset.path, "--issue", "dark", code=2).stderr
