"""Learns from people's decisions how often each detector is right, and estimates its open findings.

Each decision that answers a finding judges its detector: relabel, drop or merge says it was right, keep that it was
not. Only decisions that a person made one by one are evidence; policies and bulk acceptances repeat the
detector's verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from curate.audit.reliability import Reliability, fit_reliability, forecast_right, jeffreys_interval
from curate.log.decision import CONFLICT, UNTAUGHT, Decision
from curate.storage.tables import empty, shaped

TOPS = (50, 100, 200)
NEXT = 50  # findings that a person looks at in a sitting
WORTH = 0.1  # least share of real errors among the next ones that is worth a look
BINS = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)  # of the score
CALIBRATED = ("label_error",)  # issues whose score is a probability before anybody answered
NO_FAULTS = ("unlabelled", CONFLICT)  # findings that no detector claims: their answers judge none
ANSWERS = {
    "sample_id": "str",
    "issue": "str",
    "detector": "str",
    "score": "float64",
    "is_right": "bool",
    "label": "str",
    "time": "str",
}


def judge_decisions(decisions: Iterable[Decision]) -> pd.DataFrame:
    """Return a row a finding that a person answered, with its last answer: columns of ``ANSWERS``.

    `is_right` is whether the detector was; `label` the class it was relabelled to ('' when not), `score` NaN and
    `detector` '' for decisions from before these were written down. `undrop` takes an earlier drop or merge back.
    """
    answers: dict[tuple[str, str], dict[str, object]] = {}
    left_out: dict[str, set[tuple[str, str]]] = {}
    for one in decisions:
        key = (one.sample_id, one.finding)
        if one.action == "undrop":
            for earlier in left_out.pop(one.sample_id, set()):
                answers[earlier]["is_right"] = False
            continue
        if not one.finding or one.finding in NO_FAULTS or one.tool in UNTAUGHT:
            continue
        is_right = one.action != "keep" and not (one.action == "relabel" and one.label == one.before)
        if one.action in ("drop", "merge"):
            left_out.setdefault(one.sample_id, set()).add(key)
        else:  # answered anew: what brings the sample back later does not judge this
            left_out.get(one.sample_id, set()).discard(key)
        answers[key] = {
            "sample_id": one.sample_id,
            "issue": one.finding,
            "detector": one.detector or "",
            "score": float("nan") if one.score is None else one.score,
            "is_right": is_right,
            "label": one.label if one.action == "relabel" else "",
            "time": one.time,
        }
    return shaped(pd.DataFrame(list(answers.values())), ANSWERS) if answers else empty(ANSWERS)


def tabulate_ledger(decisions: Iterable[Decision]) -> pd.DataFrame:
    """Return a row for each issue, detector and score bin that people answered findings of; empty without any.

    Returns
    -------
    Columns ``issue, detector, scores`` (the bin, '' where no score was written down), ``answered, right, precision,
    low, high`` (95 % Jeffreys interval) and ``expected``: how many would be right if 1 - score were the probability.

    References
    ----------
    Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion, Statistical Science 2001, section 3.
    """
    answers = judge_decisions(decisions)
    bins = pd.cut(answers["score"], BINS, include_lowest=True, labels=range(len(BINS) - 1))
    answers = answers.assign(bin=bins.astype(float).fillna(-1))
    rows = []
    for (issue, detector, place), part in answers.groupby(["issue", "detector", "bin"], sort=True):
        right, count, at = int(part["is_right"].sum()), len(part), int(place)
        low, high = jeffreys_interval(right, count)
        rows.append(
            {
                "issue": issue,
                "detector": detector,
                "scores": f"{BINS[at]:g} to {BINS[at + 1]:g}" if at >= 0 else "",
                "answered": count,
                "right": right,
                "precision": right / count,
                "low": low,
                "high": high,
                "expected": float((1 - part["score"]).sum()) if at >= 0 else float("nan"),
            }
        )
    names = ["issue", "detector", "scores", "answered", "right", "precision", "low", "high", "expected"]
    return pd.DataFrame(rows, columns=names)


def expected_errors(
    findings: pd.DataFrame,
    decisions: Iterable[Decision] = (),
    tops: Sequence[int] = TOPS,
    issue: str = "label_error",
) -> pd.DataFrame:
    """Return how many of the worst findings of ``issue`` are expected to be real, as far as the decisions can tell.

    Parameters
    ----------
    findings
        Open ones: rows of ``tables.FINDINGS``.

    Returns
    -------
    Columns ``top, findings, expected, low, high``, a row for each of ``tops`` up to the first that holds them all;
    `findings` is how many the top really holds. Empty without findings.
    """
    mine = findings[(findings["issue"] == issue) & findings["is_issue"]].sort_values(["score", "sample_id"])
    reliability = _reliability(mine, judge_decisions(decisions), issue)
    rows: list[dict[str, float]] = []
    scores = mine["score"].to_numpy(dtype=float)
    for top in tops:
        part = scores[:top]
        if not len(part) or (rows and len(part) == rows[-1]["findings"]):
            break
        expected, low, high = forecast_right(reliability, part)
        rows.append({"top": top, "findings": len(part), "expected": expected, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["top", "findings", "expected", "low", "high"])


def tabulate_detectors(
    findings: pd.DataFrame,
    still_open: pd.DataFrame,
    decisions: Iterable[Decision],
    issues: Iterable[str] = (),
    worth: float = WORTH,
) -> pd.DataFrame:
    """Return a row an issue: what its detector found, how often people agreed, and whether looking on is worth it.

    Parameters
    ----------
    findings, still_open
        All rows of the audit, and those that wait for a decision.
    issues
        Issues to list also when they found nothing.
    worth
        Least share of real errors among the next 50 that is worth a look.

    Returns
    -------
    Columns ``issue, detector, found, open, answered, right, precision, low, high`` (95 % Jeffreys interval),
    ``expected_left`` (real errors among all open ones), ``next, next_right, next_low, next_high`` (of the worst 50 that
    are open), ``is_worth_it`` and ``advice``, a sentence. Expected values are NaN until somebody has answered,
    except for label errors, whose score is a probability.
    """
    answers = judge_decisions(decisions)
    names = list(dict.fromkeys([*issues, *findings["issue"], *answers["issue"]]))
    return pd.DataFrame([_row(name, findings, still_open, answers, worth) for name in names])


def _row(
    issue: str, findings: pd.DataFrame, still_open: pd.DataFrame, answers: pd.DataFrame, worth: float
) -> dict[str, object]:
    found = findings[(findings["issue"] == issue) & findings["is_issue"]]
    waiting = still_open[still_open["issue"] == issue].sort_values(["score", "sample_id"])
    mine = answers[answers["issue"] == issue]
    right, count = int(mine["is_right"].sum()), len(mine)
    low, high = jeffreys_interval(right, count)
    reliability = _reliability(waiting, answers, issue)
    scores = waiting["score"].to_numpy(dtype=float)
    expected, next_low, next_high = forecast_right(reliability, scores[:NEXT])
    if not reliability.answers and issue not in CALIBRATED:
        expected = next_low = next_high = float("nan")
    is_unknown = issue in NO_FAULTS or expected != expected
    is_worth_it = bool(len(waiting)) and (is_unknown or expected >= worth * len(scores[:NEXT]))
    detectors = findings.loc[findings["issue"] == issue, "detector"]
    return {
        "issue": issue,
        "detector": str(detectors.iloc[0]) if len(detectors) else "",
        "found": len(found),
        "open": len(waiting),
        "answered": count,
        "right": right,
        "precision": right / count if count else float("nan"),
        "low": low if count else float("nan"),
        "high": high if count else float("nan"),
        "expected_left": forecast_right(reliability, scores)[0] if expected == expected else float("nan"),
        "next": len(scores[:NEXT]),
        "next_right": expected,
        "next_low": next_low,
        "next_high": next_high,
        "is_worth_it": is_worth_it,
        "advice": _advice(issue, len(scores[:NEXT]), (expected, next_low, next_high), reliability.answers, is_worth_it),
    }


def _advice(issue: str, count: int, forecast: tuple[float, float, float], answers: int, is_worth_it: bool) -> str:
    """Return the sentence that says whether to look on.

    >>> _advice("dark", 50, (1.2, 0.3, 4.0), 120, False)
    'dark: reviewing further is no longer worth it: about 1 real error (0 to 4) in the next 50, by 120 answers.'
    """
    if not count:
        return f"{issue}: nothing is open."
    if issue == CONFLICT:
        return f"{issue}: where two people differ, the first stands until somebody who has seen both decides."
    if issue in NO_FAULTS:
        return f"{issue}: what is open has no label yet; `curate label` proposes some."
    expected, low, high = forecast
    if expected != expected:
        return f"{issue}: answer a few of the {count} worst first: its score is no probability before that."
    number = round(expected)
    errors = f"about {number} real error{'' if number == 1 else 's'} ({math.floor(low)} to {math.ceil(high)})"
    grounds = f"by {answers:,} answer{'' if answers == 1 else 's'}" if answers else "by the scores alone: no answer yet"
    verdict = "is worth it" if is_worth_it else "is no longer worth it" if answers else "is not worth it"
    where = f"in the next {count}" if count == NEXT else f"among the {count} that {'is' if count == 1 else 'are'} open"
    return f"{issue}: reviewing further {verdict}: {errors} {where}, {grounds}."


def _reliability(findings: pd.DataFrame, answers: pd.DataFrame, issue: str) -> Reliability:
    """Learn from the answers to ``issue``; only from those to the detector as it is now, where it is known."""
    mine = answers[answers["issue"] == issue]
    if len(findings):
        mine = mine[mine["detector"].isin(["", str(findings["detector"].iloc[0])])]
    return fit_reliability(mine["score"].to_numpy(dtype=float), mine["is_right"].to_numpy(dtype=bool))


def yield_sentence(rows: list[dict]) -> str:  # type: ignore[type-arg]
    """Return how many of the worst open label errors are expected to be real, for a person.

    >>> yield_sentence([{"findings": 50, "expected": 46.7}, {"findings": 72, "expected": 61.2}])
    'Label errors to review: 47 of the worst 50, 61 of the worst 72 are expected to be real.'
    """
    parts = ", ".join(f"{round(row['expected']):,} of the worst {row['findings']:,}" for row in rows)
    return f"Label errors to review: {parts} {'is' if parts.startswith('1 ') else 'are'} expected to be real."
