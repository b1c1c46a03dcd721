"""Answers given in the App: each is a decision at once, says no more than was meant, and overrules nobody unseen."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from curate.audit.findings import open_findings, read_findings
from curate.audit.ledger import judge_decisions
from curate.images.samples import Scan
from curate.log.decision import Decision
from curate.log.decisions import append_decisions, read_decisions
from curate.log.outcomes import fold_decisions
from curate.review.answers.answering import Answered, Answering, answer_samples, last_answer, tell_refused
from curate.review.mirror.rows import waiting_findings
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.versions.labels import resolve_labels
from tests.conftest import write_findings, write_groups

Case = tuple[Answering, DatasetFolder, list[str], list[str]]


@pytest.fixture
def case(grouped: tuple[DatasetFolder, Spec, Scan]) -> Case:
    """Disc 0 and 1 look like squares, disc 1 is dark too, disc 2 is an outlier; squares 0 to 2 are copies."""
    dataset, _, scan = grouped
    discs, squares = (ids_of(scan, label) for label in ("disc", "square"))
    write_groups(dataset, scan, dict.fromkeys(squares[:3], squares[0]))
    rows: list[dict[str, object]] = [
        {"sample_id": one, "issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
        for one in discs[:2]
    ]
    rows += [{"sample_id": discs[1], "issue": "dark", "score": 0.1}]
    rows += [{"sample_id": discs[2], "issue": "outlier", "suggested_action": "drop", "score": 0.2}]
    rows += [
        {"sample_id": one, "issue": "near_duplicate", "suggested_action": "merge" if place else "keep"}
        for place, one in enumerate(squares[:3])
    ]
    write_findings(dataset, *rows)
    return Answering(dataset), dataset, discs, squares


def ids_of(scan: Scan, label: str) -> list[str]:
    return list(scan.samples.loc[scan.samples["given_label"] == label, "sample_id"])


def said(answered: Answered | list[Decision]) -> list[tuple[str, str, str, str, str]]:
    decisions = answered.decisions if isinstance(answered, Answered) else answered
    return [(one.sample_id, one.action, one.label, one.finding, one.before) for one in decisions]


def outcome(dataset: DatasetFolder) -> dict[str, tuple[object, ...]]:
    folded = fold_decisions(read_decisions(dataset.decisions))
    return {row[0]: row[1:4] for row in folded.itertuples(index=False, name=None)}


def test_accept_takes_the_suggestion(case: Case) -> None:
    answering, dataset, discs, squares = case
    assert said(answering.answer([discs[0], discs[2]], "accept", reviewer="ann")) == [
        (discs[0], "relabel", "square", "label_error", "disc"),
        (discs[2], "drop", "", "outlier", "disc"),
    ]
    assert said(answering.answer(squares[:3], "accept", reviewer="ann")) == [
        (squares[0], "keep", "", "near_duplicate", "square"),
        (squares[1], "merge", squares[0], "near_duplicate", "square"),
        (squares[2], "merge", squares[0], "near_duplicate", "square"),
    ]
    first = read_decisions(dataset.decisions)[0]
    assert (first.actor, first.tool, first.score, first.detector, first.reason) == (
        "ann",
        "fiftyone",
        0.01,
        "by hand",
        "because",
    )
    answered = answering.answer([discs[3]], "accept", reviewer="ann")
    assert not answered.decisions and "nothing" not in answered.refused and "suggests" in answered.refused[discs[3]]


def test_of_copies_the_one_in_test_stays_and_that_is_what_is_suggested(case: Case) -> None:
    answering, dataset, _, squares = case
    path = answering.evidence.path[squares[1]]
    dataset.spec.write_text(dataset.spec.read_text().replace("seed: 0}", f"seed: 0, pinned: {{test: ['{path}']}}}}", 1))
    rows = {one: answering.evidence.findings[one][0].suggested_action for one in squares[:3]}
    assert rows == {squares[0]: "merge", squares[1]: "keep", squares[2]: "merge"}
    assert said(answering.answer(squares[:3], "accept", reviewer="ann")) == [
        (squares[0], "merge", squares[1], "near_duplicate", "square"),
        (squares[1], "keep", "", "near_duplicate", "square"),
        (squares[2], "merge", squares[1], "near_duplicate", "square"),
    ]


def test_a_group_never_vanishes(case: Case) -> None:
    answering, dataset, _, squares = case
    answering.answer([squares[0]], "drop", reviewer="ann")
    answering.answer(squares[1:3], "accept", reviewer="ann")
    gone = [one for one, state in outcome(dataset).items() if state[1]]
    assert len(gone) == 2 and squares[0] in gone


def test_keep_says_of_each_finding_that_it_is_none(case: Case) -> None:
    answering, dataset, discs, _ = case
    assert said(answering.answer([discs[1]], "keep", reviewer="ann")) == [
        (discs[1], "keep", "disc", "label_error", "disc"),
        (discs[1], "keep", "", "dark", "disc"),
    ]
    assert not judge_decisions(read_decisions(dataset.decisions))["is_right"].any()


def test_an_answer_to_one_issue_leaves_the_others_open(case: Case) -> None:
    answering, dataset, discs, _ = case
    answered = answering.answer([discs[1]], "keep", issue="dark", reviewer="ann")
    assert said(answered) == [(discs[1], "keep", "", "dark", "disc")]
    assert answered.states[discs[1]].open_issues == ["label_error"]
    still = open_findings(dataset)
    assert list(still.loc[still["sample_id"] == discs[1], "issue"]) == ["label_error"]


def test_relabel_names_the_class_and_knows_who_was_right(case: Case) -> None:
    answering, dataset, discs, _ = case
    answering.answer([discs[0]], "relabel", label="square", reviewer="ann")
    assert judge_decisions(read_decisions(dataset.decisions))["is_right"].tolist() == [True]
    # A change of mind: the class that was given is right after all, and so the detector was wrong.
    assert said(answering.answer([discs[0]], "relabel", label="disc", reviewer="ann")) == [
        (discs[0], "keep", "disc", "label_error", "square")
    ]
    assert judge_decisions(read_decisions(dataset.decisions))["is_right"].tolist() == [False]
    assert outcome(dataset)[discs[0]][0] == "disc"


def test_what_cannot_be_said_is_refused_with_what_there_is(case: Case) -> None:
    answering, dataset, discs, _ = case
    with pytest.raises(Problem, match="disc, square"):
        answering.answer(discs[:1], "relabel", label="squaer")
    with pytest.raises(Problem, match="last scan"):
        answering.answer(["0" * 20], "drop")
    with pytest.raises(Problem, match="accept, keep"):
        answering.answer(discs[:1], "maybe")  # type: ignore[arg-type]
    assert "no group" in answering.answer(discs[:1], "not_copies").refused[discs[0]]
    assert not read_decisions(dataset.decisions)


def test_drop_and_back(case: Case) -> None:
    answering, _, discs, _ = case
    dropped = answering.answer([discs[1]], "drop", reviewer="ann")
    assert said(dropped) == [(discs[1], "drop", "", "label_error", "disc")]
    assert dropped.states[discs[1]] == ("disc", True, False, [])
    assert said(answering.answer([discs[1]], "undrop", reviewer="ann")) == [(discs[1], "undrop", "", "", "disc")]
    assert not answering.answer([discs[1]], "undrop", reviewer="ann").decisions


def test_copies_are_merged_into_the_chosen_one_or_told_apart(case: Case) -> None:
    answering, dataset, _, squares = case
    chosen = answering.answer([squares[1]], "keep_this_copy", reviewer="ann")
    assert said(chosen) == [(one, "merge", squares[1], "near_duplicate", "square") for one in (squares[0], squares[2])]
    assert set(chosen.states) == set(squares[:3])
    assert not answering.answer([squares[1]], "keep_this_copy", reviewer="ann").decisions
    # Another one after all: the first choice is merged into it, and it comes back itself.
    answering.answer([squares[2]], "keep_this_copy", reviewer="ann")
    state = outcome(dataset)
    assert [state[one][2] for one in squares[:3]] == [squares[2], squares[2], ""]
    answering.undo("ann")
    answering.undo("ann")
    apart = answering.answer([squares[1]], "not_copies", reviewer="ann")
    assert said(apart) == [(one, "keep", "", "near_duplicate", "square") for one in squares[:3]]
    assert not open_findings(dataset)["issue"].eq("near_duplicate").any()


def test_undo_takes_a_whole_batch_back_as_never_said(case: Case) -> None:
    answering, dataset, discs, squares = case
    before = open_findings(dataset)
    answering.answer(discs[:1], "accept", reviewer="ann")
    after_one = read_decisions(dataset.decisions)
    answering.answer([discs[1], *squares[:2]], "keep", reviewer="ann")
    answering.answer(discs[5:6], "drop", reviewer="bob")
    undone = answering.undo("ann")
    assert len(undone.decisions) == 4 and {one.action for one in undone.decisions} == {"undo"}
    assert undone.states[discs[1]].open_issues == ["label_error", "dark"]
    answering.undo("bob")
    assert read_decisions(dataset.decisions) == after_one
    answering.undo("ann")
    assert read_decisions(dataset.decisions) == [] and not answering.undo("ann").decisions
    pd.testing.assert_frame_equal(open_findings(dataset), before)
    assert judge_decisions(read_decisions(dataset.decisions)).empty
    # What was undone can be said again.
    assert len(answering.answer(discs[:1], "accept", reviewer="ann").decisions) == 1
    assert len(dataset.decisions.read_text().splitlines()) == 13


def test_the_same_request_twice_adds_one_decision(case: Case) -> None:
    answering, dataset, discs, squares = case
    shown = {discs[1]: ["label_error", "dark"]}
    for _ in range(2):
        answering.answer([discs[1]], "accept", reviewer="ann", shown=shown)
        answering.answer([discs[2], discs[2]], "drop", reviewer="ann")
        answering.answer(squares[:1], "not_copies", reviewer="ann")
        answering.answer(discs[4:5], "keep", reviewer="ann")
    assert len(read_decisions(dataset.decisions)) == 1 + 1 + 3 + 1


@pytest.mark.parametrize("mine", ["keep", "drop"])
def test_another_reviewers_answer_is_not_overruled_unseen(case: Case, mine: str) -> None:
    answering, dataset, discs, _ = case
    other = Answering(dataset)
    shown = {discs[0]: ["label_error"], discs[3]: []}
    other.answer(discs[:1], "accept", reviewer="bob", shown=shown)
    answered = answering.answer([discs[0], discs[3]], mine, reviewer="ann", shown=shown)  # type: ignore[arg-type]
    path = answering.evidence.path[discs[0]]
    assert not answered.refused and answered.contested == {
        discs[
            0
        ]: f"{path}: bob said relabel square meanwhile. Your answer is noted and does not count until one of you "
        "decides: the sample is now in decision_conflict."
    }
    assert [(one.sample_id, one.after, one.before) for one in answered.decisions] == [
        (discs[0], (), "disc"),
        (discs[3], (), "disc"),
    ]
    assert answered.states[discs[0]].label == "square"  # for the App to show
    assert answered.states[discs[0]].open_issues == ["decision_conflict"]
    assert [one.actor for one in read_decisions(dataset.decisions)] == ["bob", "ann"]
    # The same request once more adds nothing, but is told again.
    again = answering.answer(discs[:1], mine, reviewer="ann", shown=shown)  # type: ignore[arg-type]
    assert not again.decisions and again.contested == answered.contested
    # The same answer is no conflict and adds nothing; and who has seen it may say otherwise.
    agreed = answering.answer(discs[:1], "accept", reviewer="ann", shown=shown)
    assert not agreed.decisions and not agreed.refused
    assert answering.answer(discs[:1], "relabel", label="disc", reviewer="ann", shown={discs[0]: []}).decisions


def test_a_policy_gives_way_and_a_changed_log_is_seen(case: Case) -> None:
    answering, dataset, discs, _ = case
    policy = Decision(
        actor="policy", tool="policy", sample_id=discs[0], action="relabel", label="square", finding="label_error"
    )
    append_decisions(dataset.decisions, [policy])
    answered = answering.answer(discs[:1], "relabel", label="disc", reviewer="ann", shown={discs[0]: ["label_error"]})
    assert said(answered) == [(discs[0], "keep", "disc", "label_error", "square")]


def test_a_note_is_the_reason_of_ones_own_decision(case: Case) -> None:
    answering, dataset, discs, _ = case
    answering.answer(discs[:1], "accept", reviewer="ann")
    before = outcome(dataset)
    noted = answering.note(discs[:2], "square ears", "ann")
    assert [one.reason for one in noted.decisions] == ["square ears"] and "Answer first" in noted.refused[discs[1]]
    assert outcome(dataset) == before
    assert not answering.note(discs[:1], "square ears", "ann").decisions
    answering.undo("ann")
    assert outcome(dataset) == before


def test_states_are_what_the_tables_say(case: Case) -> None:
    answering, dataset, discs, squares = case
    scan, spec = answering.evidence.samples, answering.evidence.spec
    states = answering.answer([discs[1], squares[0]], "drop", reviewer="ann").states
    states |= answering.answer([squares[1]], "keep_this_copy", reviewer="ann").states
    waiting = waiting_findings(dataset).groupby("sample_id")["issue"].agg(list).to_dict()
    assert {one: state.open_issues for one, state in states.items()} == {one: waiting.get(one, []) for one in states}
    assert len(scan) == 24 and spec.class_names == ["disc", "square"]
    assert {one for one, state in states.items() if state.dropped} == {discs[1], squares[0], squares[2]}


def test_evidence_is_read_again_only_when_it_changed(case: Case) -> None:
    answering, dataset, discs, _ = case
    before = answering.evidence
    answering.answer(discs[:1], "accept", reviewer="ann")
    assert answering.evidence is before
    write_findings(dataset, *read_findings(dataset).head(1).to_dict("records"))
    assert answering.evidence is not before and len(answering.evidence.findings) == 1


def test_twin_raises_what_was_passed_over(case: Case) -> None:
    _, dataset, discs, _ = case
    assert said(answer_samples(dataset, discs[:1], "accept", reviewer="ann")) == [
        (discs[0], "relabel", "square", "label_error", "disc")
    ]
    with pytest.raises(Problem, match="suggests"):
        answer_samples(dataset, discs[5:6], "accept", reviewer="ann")


def test_refusals_are_counted() -> None:
    assert tell_refused({str(place): f"{place} is gone." for place in range(5)}).endswith("2 is gone. And 2 more.")


def test_an_answer_is_one_batch_even_if_the_clock_stands(tmp_path: Path) -> None:
    future = "2999-01-01T00:00:00.000000+00:00"
    first = Decision(id="f", time=future, actor="ann", tool="fiftyone", sample_id="0" * 20, action="drop")
    path = tmp_path / "decisions.jsonl"
    path.write_text(first.model_dump_json() + "\n")
    more = [first.model_copy(update={"id": "", "sample_id": str(place) * 20}) for place in (1, 2)]
    written = append_decisions(path, more)
    assert last_answer(read_decisions(path), "ann") == written
    assert last_answer([first], "ann") == [first] and last_answer([], "ann") == []


def test_resolved_labels_follow(case: Case) -> None:
    from curate.images.samples import read_scan

    answering, dataset, discs, _ = case
    answering.answer(discs[:1], "accept", reviewer="ann")
    rows = resolve_labels(
        read_scan(dataset), fold_decisions(read_decisions(dataset.decisions)), answering.evidence.spec
    )
    assert rows.set_index("sample_id").loc[discs[0], "label"] == "square"
