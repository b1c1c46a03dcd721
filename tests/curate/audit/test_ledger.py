"""What decisions say of the detectors: who was right, how often, and whether to look on."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from curate.audit.findings import open_findings, read_findings
from curate.audit.ledger import expected_errors, judge_decisions, tabulate_detectors, tabulate_ledger
from curate.audit.reliability import fit_reliability, forecast_right, jeffreys_interval, predict_right
from curate.decide.acceptance import accept_findings
from curate.decide.by_hand import decide_sample
from curate.log.decision import Decision
from curate.log.decisions import read_decisions
from curate.review.mirror.pull import Edit, _decide
from curate.storage.tables import FINDINGS, shaped
from tests.conftest import curate, write_findings


def decision(number: int, action: str, finding: str = "label_error", score: float | None = 0.1, **more) -> Decision:
    values = {"actor": "ann", "tool": "fiftyone", "before": "cat", "detector": "d1"}
    values["label"] = "dog" if action == "relabel" else ""
    sample_id = f"{number:020x}"
    return Decision(sample_id=sample_id, action=action, finding=finding, score=score, **{**values, **more})


def findings(scores, issue="label_error", first=1000) -> pd.DataFrame:
    rows = [{"sample_id": f"{first + place:020x}", "score": score} for place, score in enumerate(scores)]
    blank = dict.fromkeys(FINDINGS, "")
    return shaped(
        pd.DataFrame(
            [{**blank, "issue": issue, "is_issue": True, "detector": "d1", **r} for r in rows], columns=list(FINDINGS)
        ),
        FINDINGS,
    )


def test_who_was_right():
    log = [
        decision(1, "relabel"),
        decision(2, "keep"),
        decision(3, "drop"),
        decision(4, "relabel", label="cat"),  # says what it said before
        decision(5, "drop"),
        decision(5, "undrop", finding=""),
        decision(6, "keep"),
        decision(6, "relabel"),  # changed her mind
        decision(7, "relabel", tool="policy"),
        decision(8, "relabel", tool="accept"),
        decision(9, "relabel", tool="label", finding="unlabelled"),
        decision(10, "relabel", finding=""),
        decision(11, "keep", score=None, detector=None),
        decision(12, "drop"),
        decision(12, "relabel"),  # put right instead
        decision(12, "undrop", finding=""),
    ]
    answers = judge_decisions(log).set_index("sample_id")["is_right"]
    by_number = {int(sample_id, 16): bool(right) for sample_id, right in answers.items()}
    assert by_number == {1: True, 2: False, 3: True, 4: False, 5: False, 6: True, 11: False, 12: True}


def test_the_ledger_by_hand():
    log = [decision(n, "relabel", score=0.02) for n in range(3)] + [decision(3, "keep", score=0.3)]
    log += [decision(4, "keep", score=None, detector=None)]
    table = tabulate_ledger(log)
    assert table[["detector", "scores", "answered", "right"]].to_numpy().tolist() == [
        ["", "", 1, 0],
        ["d1", "0 to 0.05", 3, 3],
        ["d1", "0.2 to 0.4", 1, 0],
    ]
    assert table["expected"].tolist()[1:] == [pytest.approx(2.94), pytest.approx(0.7)]
    assert table["low"][1] == pytest.approx(beta.ppf(0.025, 3.5, 0.5)) and table["high"][1] == 1.0
    assert tabulate_ledger([]).empty and jeffreys_interval(0, 0) == (0.0, 1.0)


def test_scores_are_taken_at_their_word_until_answers_come():
    scores = np.linspace(0.02, 0.9, 300)
    assert predict_right(fit_reliability(np.array([]), np.array([])), scores) == pytest.approx(1 - scores)
    rng = np.random.default_rng(0)
    few = fit_reliability(np.full(3, 0.1), np.array([True, True, False]))
    assert 0.6 < predict_right(few, np.array([0.1]))[0] < 0.9
    half = rng.random(300) < (1 - scores) / 2  # right only half as often as it claims
    many = fit_reliability(scores, half)
    assert predict_right(many, np.array([0.1, 0.5])) == pytest.approx([0.45, 0.25], abs=0.08)


def test_the_forecast_holds_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        offset, slope = rng.normal([0, 1], [1.5, 0.7])
        scores = np.sort(rng.uniform(0.02, 0.6, 160))
        claim = np.log((1 - scores) / scores)
        is_right = rng.random(160) < 1 / (1 + np.exp(-(offset + slope * claim)))
        _, low, high = forecast_right(fit_reliability(scores[:60], is_right[:60]), scores[60:110])
        held += low - 0.5 <= is_right[60:110].sum() <= high + 0.5
    assert held >= 180  # 95 % in the long run


def test_expected_errors_of_the_worst():
    table = findings([0.1] * 60 + [0.5] * 30)
    rows = expected_errors(table)
    assert rows["top"].tolist() == [50, 100] and rows["findings"].tolist() == [50, 90]
    assert rows["expected"].tolist() == [pytest.approx(45), pytest.approx(69)]
    assert (rows["low"] < rows["expected"]).all() and (rows["expected"] < rows["high"]).all()
    wrong = [decision(number, "keep") for number in range(40)]
    assert expected_errors(table, wrong)["expected"][0] < 10
    other = [decision(number, "keep", detector="d0") for number in range(40)]  # an older detector's mistakes
    assert expected_errors(table, other)["expected"][0] == pytest.approx(45)
    assert expected_errors(findings([])).empty


def test_when_to_stop():
    table = findings([0.2] * 80)
    on = tabulate_detectors(table, table, [], ["label_error", "dark"])
    assert on["is_worth_it"].tolist() == [True, False] and on["advice"][1] == "dark: nothing is open."
    assert "is worth it: about 40 real errors" in on["advice"][0] and "no answer yet" in on["advice"][0]
    dim = tabulate_detectors(findings([0.2] * 60, "dark"), findings([0.2] * 60, "dark"), []).iloc[0]
    assert dim["is_worth_it"] and np.isnan(dim["next_right"]) and "answer a few of the 50 worst first" in dim["advice"]
    wrong = [decision(number, "keep", score=0.2) for number in range(100)]
    off = tabulate_detectors(table, table, wrong).iloc[0]
    assert not off["is_worth_it"] and "is no longer worth it" in off["advice"] and "by 100 answers" in off["advice"]
    assert off["precision"] == 0 and off["next_right"] < 5
    assert tabulate_detectors(table, table, wrong, worth=0.0).iloc[0]["is_worth_it"]


def test_decisions_keep_the_score_they_answered(grouped):
    dataset, spec, scan = grouped
    rows = scan.samples.head(3).to_dict("records")
    write_findings(
        dataset,
        {"sample_id": rows[0]["sample_id"], "issue": "label_error", "score": 0.07, "detector": "d1"},
        {"sample_id": rows[1]["sample_id"], "issue": "dark", "score": 0.2, "suggested_action": "drop"},
    )
    kept = decide_sample(dataset, spec, rows[0]["path"], "keep")
    assert (kept.finding, kept.score, kept.detector) == ("label_error", 0.07, "d1")
    loose = decide_sample(dataset, spec, rows[2]["path"], "drop")
    assert (loose.finding, loose.score, loose.detector) == ("", None, None)
    (accepted,) = accept_findings(dataset, spec, "dark")
    assert (accepted.tool, accepted.score, accepted.detector) == ("accept", 0.2, "by hand")
    log = read_decisions(dataset.decisions)
    assert judge_decisions(log)["issue"].tolist() == ["label_error"]  # nobody looked at the dark one
    assert tabulate_detectors(read_findings(dataset), open_findings(dataset), log)["open"].tolist() == [0, 0]


def test_edits_in_the_app_keep_the_score_they_answered(grouped):
    dataset, _, scan = grouped
    one = scan.samples.iloc[0]
    write_findings(
        dataset,
        {"sample_id": one["sample_id"], "issue": "label_error", "score": 0.07, "detector": "d1"},
        {"sample_id": one["sample_id"], "issue": "dark", "score": 0.2, "detector": "d2"},
    )
    edit = Edit("f", one["sample_id"], one["given_label"], False, True, one["given_label"], False, False, [])
    kept = {made.finding: (made.action, made.score, made.detector) for made in _decide(dataset, [edit], "ann")}
    assert kept == {"label_error": ("keep", 0.07, "d1"), "dark": ("keep", 0.2, "d2")}


def test_the_command(grouped):
    dataset, spec, scan = grouped
    rows = [
        {"sample_id": one, "issue": "label_error", "score": 0.05 + 0.01 * place, "detector": "d1"}
        for place, one in enumerate(scan.samples["sample_id"])
    ]
    write_findings(dataset, *rows)
    decide_sample(dataset, spec, rows[0]["sample_id"], "keep")
    said = curate("detectors", dataset.path).stdout
    assert "0 of 1" in said and "label_error: reviewing further is worth it" in said
    printed = json.loads(curate("detectors", dataset.path, "--worth", "1", "--json").stdout)
    (mine,) = [row for row in printed["detectors"] if row["issue"] == "label_error"]
    assert mine["open"] == len(rows) - 1 and mine["is_worth_it"] is False and printed["ledger"][0]["right"] == 0
    (dataset.cache / "findings.parquet").unlink()
    assert "curate audit" in curate("detectors", dataset.path, "--no-deps", code=2).stderr
