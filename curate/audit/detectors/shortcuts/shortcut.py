"""Finds shortcuts: what a network could learn instead of the class, such as a brightness, a folder or a mark.

For each class and property, a rule such as ``brightest pixels at most 86 % of white`` is found on four fifths of the
pictures and counted on the last. It is a shortcut when it tells the class almost without error, be it only in a part of
its pictures (a mark on some), or tells it well in nearly all. What differs naturally (dogs are outdoors more often) is
neither: it shifts a distribution, it does not part it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.detectors.patches import PLACES, compute_patches, describe_patch, mean_edges, score_patch
from curate.audit.detectors.properties import Property, tabulate_frames, tabulate_numbers, tabulate_texts
from curate.audit.detectors.shortcuts.rules import Rule, find_rules, is_shortcut, strength_interval
from curate.audit.evidence.evidence import Evidence

DETECTOR = "shortcut-v2"
FEWEST = 20  # groups of a class; with fewer a rule cannot be counted on pictures it was not made of
MOST_CLASSES = 50  # looked at, the largest first
MOST_ROWS = 20_000  # groups looked at
SAME = 0.5  # overlap of two sets of pictures that makes their rules one pattern
# What changes together: a class saved darker also has fewer grey levels, and that is one fault, not two.
KIN = (
    {"brightest pixels", "darkest pixels", "brightness", "contrast", "grey levels", "frame brightness"},
    {"colours", "frame red-green", "frame yellow-blue", "colour mode"},
    {"size", "shape", "exact size"},
    {"compression", "sharpness", "format"},
)


def find_shortcuts(evidence: Evidence, metadata: pd.DataFrame) -> list[tuple[dict[str, object], np.ndarray]]:
    """Return each shortcut as a row of ``tables.PATTERNS`` and its samples ``(N,)``; first the strongest.

    For each class without one, the rule that tells it best is a row that is no issue: it says how far from one it is.
    """
    rows, labels = _independent(evidence)
    classes = _judged(labels)
    if len(classes) < 2:
        evidence.notes.append(f"shortcut: two classes with {FEWEST} different pictures each are needed.")
        return []
    properties = gather_properties(evidence, metadata, rows, labels)
    rules = [
        rule for label, one in properties for place in classes if label in (-1, place)
        for rule in find_rules(one, labels, int(place))
    ]  # fmt: skip
    # Over all rules that were tried, so that many properties and classes raise no more false alarms.
    tried = max(len(rules), 1)
    passed = [one for one in rules if is_shortcut(one, len(classes), tried)]
    chosen = _without_repeats(passed)
    # Of two classes one rule tells both: the other's is no fault of its own, and must not be called sound either.
    told = {one.label for one in passed}
    best = _strongest([one for one in rules if one.label not in told])[:MOST_CLASSES]
    return [
        _row(evidence, rows, labels, one, is_issue)
        for some, is_issue in ((chosen, True), (best, False))
        for one in some
    ]


def _independent(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return one labelled row of each near-duplicate group and class, and their labels; copies are no evidence."""
    group = evidence.groups["group_id"].to_numpy()
    table = pd.DataFrame({"group": group, "label": evidence.given})
    table = table[table["label"] >= 0].drop_duplicates()
    rows = table.index.to_numpy()[:MOST_ROWS]  # sorted by sample id, a hash: the first ones are a fair draw
    return rows, evidence.given[rows]


def _judged(labels: np.ndarray) -> np.ndarray:
    present, counts = np.unique(labels, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    return np.sort(present[largest][counts[largest] >= FEWEST])


def gather_properties(
    evidence: Evidence, metadata: pd.DataFrame, rows: np.ndarray, labels: np.ndarray
) -> list[tuple[int, Property]]:
    """Return the properties of ``rows``, each with the one class that it is about; -1 for all."""
    shared = [*tabulate_numbers(evidence), *tabulate_texts(evidence, metadata)]
    listed = [(-1, Property(one.name, one.values[rows], one.above, one.below, one.shown)) for one in shared]
    patches = compute_patches(evidence, rows)
    listed += [(-1, one) for one in tabulate_frames(patches)]
    return listed + _marks(patches, labels, len(evidence.spec.class_names))


def _marks(patches: np.ndarray, labels: np.ndarray, classes: int) -> list[tuple[int, Property]]:
    """Return how much each place looks as it does in a class: a mark in it, or one that all others have."""
    listed, judged = [], _judged(labels)
    for place, name in enumerate(PLACES):
        features = describe_patch(patches[:, place])
        scores = score_patch(features, labels, classes)
        for label in judged:
            own, others = (mean_edges(features[side]) for side in (labels == label, labels != label))
            if own < others and len(judged) == 2:
                continue  # the other class has the mark, and it is told there
            words = f"have something at the {name} that recurs there"
            values = scores[:, label] if own >= others else -scores[:, label]
            listed.append((int(label), Property(f"mark at the {name}", values, words)))
    return listed


def _without_repeats(rules: list[Rule]) -> list[Rule]:
    """Return the strongest rules that are about different pictures; what else tells the same ones goes to ``also``."""
    kept: list[tuple[Rule, np.ndarray]] = []
    for rule in sorted(rules, key=_rank):
        holds = rule.holds(rule.of.values)
        same = next((one for one, other in kept if _is_same(rule, holds, one, other)), None)
        if same is None:
            kept.append((rule, holds))
        elif rule.of.name != same.of.name and rule.of.name not in same.also:
            same.also.append(rule.of.name)
    return [rule for rule, _ in kept]


def _rank(rule: Rule) -> tuple[object, ...]:
    """Return the sort key of strong rules: of almost equal ones, a stated property (PNG) before its consequence."""
    return (
        -round(10 * rule.strength),
        not rule.of.is_text,
        -round(rule.strength, 6),
        rule.label,
        rule.of.name,
        rule.side,
    )


def _is_same(rule: Rule, holds: np.ndarray, other: Rule, held: np.ndarray) -> bool:
    """Return whether two rules tell much the same pictures, or one fault of one class."""
    is_kin = rule.of.name == other.of.name or any({rule.of.name, other.of.name} <= names for names in KIN)
    is_pair = rule.label == other.label or rule.others == other.size  # of two classes, one's rule is the other's
    return max(_overlap(holds, held), _overlap(~holds, held)) >= SAME or (is_kin and is_pair)


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def _strongest(rules: list[Rule]) -> list[Rule]:
    """Return for each class the rule that tells it best."""
    best: dict[int, Rule] = {}
    for rule in sorted(rules, key=lambda one: (-round(one.strength, 6), one.of.name, one.side, one.sense)):
        best.setdefault(rule.label, rule)
    return [best[label] for label in sorted(best)]


def _row(
    evidence: Evidence, rows: np.ndarray, labels: np.ndarray, rule: Rule, is_issue: bool
) -> tuple[dict[str, object], np.ndarray]:
    """Return the row of a rule, and the pictures of its class that it tells."""
    names = evidence.spec.class_names
    holds = rule.holds(rule.of.values)
    members = rows[(labels == rule.label) & (holds if rule.sense == "has" else ~holds)]
    name = names[rule.label]
    row = {
        "issue": "shortcut",
        "name": f"{name}: {rule.of.name}",
        "label": name,
        "samples": len(members),
        "score": 1 - rule.strength,
        "is_issue": is_issue,
        "suggested_action": _advice(rule) if is_issue else "",
        "evidence": describe_rule(rule, names, set(labels)),
    }
    return row, members


def describe_rule(rule: Rule, names: list[str], present: set[int]) -> str:
    """Return what a rule says of its class, in a sentence with counts of pictures it was not made of."""
    others = [names[place] for place in sorted(present) if place != rule.label]
    beside = others[0] if len(others) == 1 else "the others"
    words = _phrase(rule)
    first = f"{_part(rule.hits, rule.size)} of {names[rule.label]} {words}"
    second = f"{_part(rule.wrong, rule.others)} of {beside}"
    low, high = strength_interval(rule)
    accuracy = f"{(1 + rule.strength) / 2:.2f} (95 % interval {(1 + low) / 2:.2f} to {(1 + high) / 2:.2f})"
    also = f"; also told by {', '.join(rule.also[:4])}" if rule.also else ""
    return f"{first}, {second}; this alone tells {names[rule.label]} with a balanced accuracy of {accuracy}{also}."


def _phrase(rule: Rule) -> str:
    if isinstance(rule.bound, tuple):
        shown = " or ".join(rule.bound[:3]) + (f" or {len(rule.bound) - 3} more" if len(rule.bound) > 3 else "")
        return rule.of.above.format(shown)
    words = rule.of.above if rule.side == "above" else rule.of.below
    return words.format(rule.of.shown.format(rule.bound))


def _part(count: int, whole: int) -> str:
    return f"{count:,} of {whole:,} ({count / whole:.0%})"


def _advice(rule: Rule) -> str:
    if rule.of.name.startswith("mark at"):
        return "look at that place: crop or cover it, or collect pictures of every class with and without it"
    if rule.of.is_text:
        return (
            "find out why they differ; collect or save every class in the same way, or test on pictures that mix them"
        )
    return "find out why they differ; prepare every class in the same way, or vary this property in training"
