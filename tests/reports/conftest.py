"""A hand-written story with every part, small enough to know each of its numbers."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

CAT, COPY, DOG, WRONG = ("0" * 19 + digit for digit in "1234")


def draw_thumbnail(colour: str, form: str = "JPEG") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (120, 80), colour).save(written, form)
    return written.getvalue()


@pytest.fixture
def thumbnails() -> dict[str, bytes]:
    return {
        CAT: draw_thumbnail("tan"),
        COPY: draw_thumbnail("wheat"),
        DOG: draw_thumbnail("sienna", "PNG"),
        WRONG: draw_thumbnail("grey"),
    }


def card(sample_id: str, path: str, **more: Any) -> dict[str, Any]:
    plain = {"given_label": "cat", "suggested_label": "", "suggested_action": "", "score": 0.1, "evidence": "seen"}
    return {"sample_id": sample_id, "path": path, **plain, "outcome": "to review", **more}


def issue(name: str, count: int, outcomes: dict[str, int], **more: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"gallery": [], "groups": [], "group_count": 0, "keeps": False, "expected": []}
    return {"issue": name, "count": count, "worst": 0.02, "outcomes": outcomes, **nothing, **more}


@pytest.fixture
def empty_story() -> dict[str, Any]:
    """What there is to tell of a dataset that was only just initialised."""
    return {
        "dataset": {
            "name": "pets",
            "folder": "pets",
            "created": "2026-11-23T04:18:35+00:00",
            "classes": {"cat": "A cat.", "dog": ""},
            "specurate": "0.1.0",
            "drawn": False,
        },
        "files": None,
        "unreadable": [],
        "issues": None,
        "decisions": None,
        "version": None,
        "models": [],
        "comparison": None,
        "leaks": [],
        "planted_truth": None,
        "made": {"seconds": {}, "versions": {"python": "3.11"}, "settings": {}, "commands": []},
    }


@pytest.fixture
def story(empty_story: dict[str, Any]) -> dict[str, Any]:
    return {
        **empty_story,
        "files": {"samples": 1204, "locations": 3, "unreadable": 2, "ignored": 1, "found": 1210},
        "unreadable": [{"path": "cat/torn.jpg", "reason": "the file is empty"}],
        "issues": _issues(),
        "decisions": _decisions(),
        "version": _version(),
        "models": [_model("m1", "v1", 0.85), _model("m2", "v2", 0.9)],
        "comparison": _comparison(),
        "leaks": [{"sentence": "12 of 300 test images of v2 have copies that were given to train: accuracy 0.94"}],
        "patterns": [
            {
                "issue": "shortcut",
                "name": "cat: brightest pixels",
                "label": "cat",
                "samples": 40,
                "score": 0.1,
                "is_issue": True,
                "suggested_action": "find out why they differ",
                "evidence": "1 of 50 (2%) of cat have pixels above 85% of white, 46 of 50 (92%) of dog.",
                "gallery": [{"sample_id": "a" * 20, "path": "cat/1.jpg", "given_label": "cat"}],
            },
            {
                "issue": "imbalance",
                "name": "dog: class size",
                "label": "dog",
                "samples": 50,
                "score": 1.0,
                "is_issue": False,
                "suggested_action": "",
                "evidence": "50 of 100 labelled samples.",
                "gallery": [],
            },
        ],
        "planted_truth": {
            "rows": [{"fault": "near_copy", "issue": "near_duplicate", "planted": 4, "found": 3, "false_alarms": 1}],
            "model_accuracy": {"m1": 0.84, "m2": None},
            "wrong_labels": {"v1": {"train": 31, "test": 8}},
        },
        "made": {
            "seconds": {"scan": 2.0, "train": 63.4},
            "versions": {"python": "3.11"},
            "settings": {"embedding": "lite0"},
            "commands": [{"command": "curate review pets", "purpose": "look at the suspects"}],
        },
    }


def _issues() -> list[dict[str, Any]]:
    evidence = "9 of its 10 nearest neighbours are dog"
    wrong = card(WRONG, "cat/9.jpg", suggested_label="dog", score=0.02, evidence=evidence)
    members = [
        {"sample_id": CAT, "path": "cat/1.jpg", "given_label": "cat", "outcome": "kept", "keeper": True},
        {"sample_id": COPY, "path": "cat/2.jpg", "given_label": "cat", "outcome": "merged", "keeper": False},
    ]
    expected = [{"top": 50, "findings": 1, "expected": 0.8, "low": 0.2, "high": 1.0}]
    group = {"group_id": "g", "size": 3, "evidence": "2 of 64 bits differ", "members": members}
    for member in members:
        member.update(width=320, height=200)
    return [
        issue("label_error", 2, {"relabelled": 1, "to review": 1}, gallery=[wrong], expected=expected),
        issue("near_duplicate", 1, {"merged": 1}, groups=[group], group_count=1, keeps=True),
        issue("unreadable", 2, {"dropped": 2}),
        issue("dark", 1, {"left out": 1}, gallery=[card(WRONG, "cat/9.jpg")]),
    ]


def _decisions() -> dict[str, Any]:
    latest = {
        "time": "2026-11-23T04:20:00.000001+00:00",
        "actor": "policy",
        "tool": "curate decide",
        "sample_id": WRONG,
        "action": "relabel",
        "label": "dog",
        "before": "cat",
        "reason": "score 0.02 is below 0.05",
        "issue": "label_error",
        "path": "cat/9.jpg",
    }
    by = {
        "action": {"drop": 2, "relabel": 1},
        "actor": {"policy": 3},
        "tool": {"curate decide": 3},
        "issue": {"unreadable": 2, "label_error": 1},
    }
    return {"total": 3, "by": by, "latest": [latest]}


def _version() -> dict[str, Any]:
    counts = {"train": {"cat": 500, "dog": 340}, "val": {"cat": 60, "dog": 60}, "test": {"cat": 120, "dog": 120}}
    relabels = [{"before": "cat", "after": "dog", "count": 1}]
    return {
        "id": "v2",
        "digest": "ab" * 32,
        "parent": "v1",
        "created": "2026-11-23T04:20:00+00:00",
        "samples": 1200,
        "counts": counts,
        "excluded": {"unreadable": 2, "merged into a near copy": 4},
        "changes": {"added": 0, "dropped": 4, "relabelled": 1, "moved": 0, "relabels": relabels},
    }


def _model(name: str, version: str, accuracy: float) -> dict[str, Any]:
    test = {"n": 240, "accuracy": accuracy, "low": accuracy - 0.04, "high": accuracy + 0.04}
    return {
        **{"id": name, "version": version, "recipe": "small", "seed": 0, "epochs": 12, "seconds": 31.4},
        **{"device": "cpu", "test": test, "versions": {}},
    }


def _comparison() -> dict[str, Any]:
    scores = {key: {"value": 0.9, "low": 0.8, "high": 1.0} for key in ("recall", "precision", "f1")}
    unknown = {key: {"value": None, "low": None, "high": None} for key in ("recall", "precision", "f1")}
    fixed = {"label": "dog", "before": "cat", "after": "dog", "p_before": 0.6, "p_after": 0.93, "kind": "fixed"}
    return {
        "models": ["m1", "m2"],
        "versions": {"m1": "v1", "m2": "v2"},
        "recipes": {"m1": "small", "m2": "small"},
        "truth": {"version": "v2", "n": 240, "left_out": 5},
        "accuracy": {"m1": {"value": 0.85, "low": 0.81, "high": 0.89}, "m2": {"value": 0.9, "low": 0.86, "high": 0.94}},
        "difference": {"value": 0.05, "low": 0.01, "high": 0.09},
        "per_class": [
            {"class": "cat", "support": 120, "m1": scores, "m2": scores},
            {"class": "dog", "support": 0, "m1": unknown, "m2": unknown},
        ],
        "mcnemar": {"fixed": 14, "broken": 2, "p_value": 0.0042},
        "better": "m2",
        "needed_samples": None,
        "verdict": "m2 is better than m1: accuracy 0.850 -> 0.900 on 240 test samples of v2.",
        "flips": [{"sample_id": WRONG, "path": "cat/9.jpg", **fixed}, {"sample_id": DOG, "path": "dog/1.jpg", **fixed}],
    }
