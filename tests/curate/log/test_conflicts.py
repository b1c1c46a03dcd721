"""Two people who answered one question differently, the later without having seen the earlier: nobody is lost."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit.audit import audit_dataset
from curate.audit.findings import open_findings, read_findings, read_scored
from curate.audit.ledger import judge_decisions, tabulate_detectors
from curate.check.rules import check_dataset
from curate.decide.answers import apply_answers
from curate.decide.by_hand import decide_sample
from curate.decide.policy import apply_policy
from curate.images.init import init_dataset
from curate.images.samples import Scan, read_scan
from curate.log.ancestry import events_seen, events_without
from curate.log.conflict_findings import find_conflicts
from curate.log.conflicts import contradict, weigh_log, weigh_sample
from curate.log.decision import CONFLICT, Decision, stated_label, takes_out
from curate.log.decisions import append_decisions, decisions_digest, read_decisions, read_log
from curate.log.outcomes import fold_decisions, fold_sample
from curate.reporting.issues import collect_issues
from curate.reporting.review_cards import collect_cards
from curate.review.answers.answering import Answering, answer_samples
from curate.review.answers.draft import ANSWERS, Draft
from curate.spec.model import Spec
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.versions.build import build_version
from tests.conftest import curate, write_findings, write_groups
from tests.curate.decide.test_answers import line, write

A, B = "a" * 20, "b" * 20


def said(actor: str, action: str, label: str = "", finding: str = "label_error", **more: object) -> Decision:
    values = {"tool": "fiftyone", "sample_id": A, **more}
    return Decision(actor=actor, action=action, label=label, finding=finding, **values)  # type: ignore[arg-type]


class Branches:
    """Copies of one log, written to in turns as on branches, and what a merge by union makes of them."""

    def __init__(self, folder: Path, *base: Decision) -> None:
        self.folder = folder
        append_decisions(folder / "base", base)

    def on(self, name: str, *decisions: Decision) -> list[Decision]:
        if not (self.folder / name).exists():
            shutil.copy(self.folder / "base", self.folder / name)
        return append_decisions(self.folder / name, decisions)

    def merge(self, *names: str) -> Path:
        lines = [line for name in names for line in (self.folder / name).read_text().splitlines(keepends=True)]
        (self.folder / "base").write_text("".join(dict.fromkeys(lines)))
        for name in names:
            (self.folder / name).unlink()
        return self.folder / "base"


@pytest.fixture
def branches(tmp_path: Path) -> Branches:
    return Branches(tmp_path)


def words(decisions: list[Decision]) -> list[tuple[str, str, str]]:
    return [(one.actor, one.action, one.label) for one in decisions]


def standing(path: Path) -> list[tuple[str, str, str]]:
    return words(read_decisions(path))


def conflicts(path: Path) -> list[tuple[str, str]]:
    """Return who stands and who contests, for each open pair on A."""
    own = [one for one in read_log(path) if one.sample_id == A]
    return [(first.actor, second.actor) for first, second in weigh_sample(own).conflicts]


def label(path: Path) -> str:
    return fold_sample(read_decisions(path)).label


def test_each_decision_names_the_latest_on_its_sample_that_its_author_had_seen(tmp_path: Path) -> None:
    path = tmp_path / "log"
    one, two, three = append_decisions(
        path, [said("ann", "drop"), said("ann", "drop", sample_id=B), said("ann", "undrop")]
    )
    assert (one.after, two.after, three.after) == ((), (), (one.id,))
    (contesting,) = append_decisions(path, [said("bob", "drop", after=(one.id,))])
    assert contesting.after == (one.id,)
    (last,) = append_decisions(path, [said("carol", "keep")])
    assert set(last.after or ()) == {three.id, contesting.id}


def test_old_lines_keep_ids_and_digest_and_contest_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    first = said("ann", "relabel", "dog", id="1" * 16, time="2026-01-01T00:00:00.000000+00:00")
    second = said("bob", "keep", "cat", id="2" * 16, time="2026-01-02T00:00:00.000000+00:00")
    path.write_text("".join(one.model_dump_json(exclude_none=True) + "\n" for one in (first, second)))
    assert "after" not in path.read_text() and read_decisions(path) == [first, second]
    lines = path.read_text().rstrip("\n")
    assert decisions_digest(read_decisions(path)) == hashlib.sha256(lines.encode()).hexdigest()
    assert not conflicts(path) and label(path) == "cat"


def test_two_branches_with_the_same_base(branches: Branches) -> None:
    branches.on("base", said("carol", "keep", "cat"))
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "relabel", "bird"))
    path = branches.merge("bob", "ann")
    assert standing(path) == [("carol", "keep", "cat"), ("ann", "relabel", "dog")]
    assert conflicts(path) == [("ann", "bob")] and label(path) == "dog"


def test_what_was_seen_is_no_conflict(branches: Branches) -> None:
    branches.on("base", said("ann", "relabel", "dog"), said("bob", "keep", "cat"))
    assert not conflicts(branches.folder / "base") and label(branches.folder / "base") == "cat"


def test_a_change_of_mind_on_ones_own_branch_is_still_a_conflict(branches: Branches) -> None:
    branches.on("bob", said("bob", "keep", "cat"))
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "relabel", "bird"))
    path = branches.merge("ann", "bob")
    assert conflicts(path) == [("bob", "ann")]
    assert standing(path) == [("bob", "relabel", "bird")]


def test_a_change_of_mind_of_the_second_is_still_a_conflict(branches: Branches) -> None:
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "keep", "cat"), said("bob", "relabel", "bird"))
    path = branches.merge("ann", "bob")
    assert conflicts(path) == [("ann", "bob")] and standing(path) == [("ann", "relabel", "dog")]
    row = find_conflicts(read_log(path), {A: "cat/3.jpg"}).iloc[0]
    assert "bob, who had not seen that, said relabel bird" in row["evidence"] and "keep cat" not in row["evidence"]


def test_one_who_agreed_and_then_changed_their_mind_overrules_nobody(branches: Branches) -> None:
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "relabel", "dog"), said("bob", "relabel", "bird"))
    path = branches.merge("ann", "bob")
    assert conflicts(path) == [("ann", "bob")] and label(path) == "dog"


@pytest.mark.parametrize("last", ["dog", "cat"])
def test_settled_after_the_pull(branches: Branches, last: str) -> None:
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "keep", "cat"))
    path = branches.merge("ann", "bob")
    append_decisions(path, [said("bob", "relabel", last, "")])
    assert not conflicts(path) and label(path) == last
    # Who was of the opinion that won counts, for the ledger too; who was not is superseded.
    earlier = ("bob", "keep", "cat") if last == "cat" else ("ann", "relabel", "dog")
    assert standing(path) == [earlier, ("bob", "relabel", last)]
    assert judge_decisions(read_decisions(path))["is_right"].tolist() == [last == "dog"]
    append_decisions(path, [said("bob", "undo", read_log(path)[-1].id, "")])
    assert conflicts(path) == [("ann", "bob")]  # settled no more


def test_two_people_who_settle_it_differently_are_in_conflict_themselves(branches: Branches) -> None:
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "keep", "cat"))
    branches.merge("ann", "bob")
    branches.on("carol", said("carol", "relabel", "bird", CONFLICT))
    branches.on("dave", said("dave", "drop", "", CONFLICT))
    path = branches.merge("carol", "dave")
    assert conflicts(path) == [("carol", "dave")] and label(path) == "bird"


def test_one_who_agrees_with_the_other_branch_ends_it(branches: Branches) -> None:
    branches.on("bob", said("bob", "keep", "cat"))
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "relabel", "dog"))
    path = branches.merge("ann", "bob")
    assert not conflicts(path) and label(path) == "dog" and len(standing(path)) == 2


def test_three_people(branches: Branches) -> None:
    for name, word in (("ann", "cat"), ("bob", "dog"), ("carol", "bird")):
        branches.on(name, said(name, "relabel", word))
    path = branches.merge("ann", "bob", "carol")
    assert conflicts(path) == [("ann", "bob"), ("ann", "carol")] and label(path) == "cat"
    table = find_conflicts(read_log(path), {A: "cat/3.jpg"})
    assert len(table) == 1 and table["evidence"][0].count("who had not seen that") == 2
    append_decisions(path, [said("ann", "keep", "cat", CONFLICT)])
    assert not conflicts(path)


def test_agreement(branches: Branches) -> None:
    branches.on("ann", said("ann", "relabel", "dog"), said("ann", "drop", finding="dark"))
    branches.on("bob", said("bob", "keep", "dog", "label_conflict"), said("bob", "drop", finding="outlier"))
    path = branches.merge("ann", "bob")
    assert not conflicts(path)  # bob's keep met ann's drop, but then he took it out, too
    assert fold_sample(read_decisions(path))[:2] == ("dog", True)


def test_different_questions(branches: Branches) -> None:
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "keep", "", "dark"), said("bob", "drop", "", "outlier"))
    path = branches.merge("ann", "bob")
    assert conflicts(path) == [("ann", "bob")]  # ann's word says that it stays
    assert fold_sample(read_decisions(path))[:2] == ("dog", False)
    append_decisions(path, [said("carol", "drop", "", CONFLICT)])
    assert not conflicts(path) and fold_sample(read_decisions(path)).dropped


@pytest.mark.parametrize("back", [("keep", "", "outlier"), ("relabel", "dog", "label_error"), ("undrop", "", "")])
def test_bringing_back_what_somebody_left_out_unseen(branches: Branches, back: tuple[str, str, str]) -> None:
    branches.on("base", said("carol", "drop", "", "blurry"))
    branches.on("ann", said("ann", "merge", B, "near_duplicate"))
    branches.on("bob", said("bob", *back))
    path = branches.merge("ann", "bob")
    assert conflicts(path) == [("ann", "bob")] and fold_sample(read_decisions(path)).dropped
    append_decisions(path, [said("carol", "undrop", "", "")])
    assert not conflicts(path) and not fold_sample(read_decisions(path)).dropped
    assert ("bob", *back[:2]) in standing(path)  # and what bob said counts


def test_while_a_sample_is_left_out_nobody_asks_for_its_label(branches: Branches) -> None:
    branches.on("ann", said("ann", "relabel", "dog"))
    branches.on("bob", said("bob", "keep", "cat"))
    path = branches.merge("ann", "bob")
    append_decisions(path, [said("carol", "drop", "", "dark")])
    assert not conflicts(path)
    append_decisions(path, [said("carol", "undrop", "", "")])
    assert conflicts(path) == [("ann", "bob")]


def test_two_who_contest_a_drop_that_was_taken_back_meanwhile(branches: Branches) -> None:
    branches.on("dave", said("dave", "drop", "", "dark"))
    branches.on("ann", said("ann", "keep", "cat"))
    branches.on("carol", said("carol", "relabel", "dog"))
    branches.on("dave", said("dave", "undrop", "", ""))
    path = branches.merge("dave", "ann", "carol")
    assert conflicts(path) == [("ann", "carol")] and fold_sample(read_decisions(path))[:2] == ("cat", False)


def test_a_policy_contests_nobody_and_gives_way_to_every_person(branches: Branches) -> None:
    branches.on("ann", said("policy", "drop", "", "dark", tool="policy"), said("ann", "relabel", "dog", ""))
    branches.on("bob", said("bob", "keep", "", "dark"), said("policy", "relabel", "bird", tool="policy"))
    path = branches.merge("ann", "bob")
    assert not conflicts(path) and standing(path) == [("ann", "relabel", "dog"), ("bob", "keep", "")]


@pytest.mark.parametrize("who", ["ann", "bob"])
def test_undo_of_either_side_dissolves_it(branches: Branches, who: str) -> None:
    made = {name: branches.on(name, said(name, "relabel", word))[0] for name, word in (("ann", "dog"), ("bob", "cat"))}
    path = branches.merge("ann", "bob")
    append_decisions(path, [said(who, "undo", made[who].id)])
    left = {"ann": ("bob", "relabel", "cat"), "bob": ("ann", "relabel", "dog")}[who]
    assert not conflicts(path) and standing(path) == [left]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("keep", "cat"), ("keep", "cat"), True),
        (("keep", "cat"), ("keep", "dog"), False),
        (("keep", ""), ("keep", "dog"), True),
        (("keep", "dog"), ("relabel", "dog"), True),
        (("relabel", "cat"), ("relabel", "dog"), False),
        (("drop", ""), ("drop", ""), True),
        (("drop", ""), ("merge", B), False),
        (("merge", B), ("merge", "c" * 20), False),
        (("keep", "cat"), ("drop", ""), False),
        (("undrop", ""), ("keep", "cat"), True),
        (("undrop", ""), ("drop", ""), False),
    ],
)
def test_same_outcome(one: tuple[str, str], other: tuple[str, str], same: bool) -> None:
    assert contradict(said("ann", *one), said("bob", *other)) != same
    assert contradict(said("bob", *other), said("ann", *one)) != same


def test_ones_own_words_are_known(tmp_path: Path) -> None:
    log = append_decisions(tmp_path / "log", [said(name, "keep", "cat") for name in ("carol", "bob", "ann", "bob")])
    assert events_without(log, log[1], "ann") == [log[0], log[2]]  # carol's and ann's own


PEOPLE = ("ann", "bob", "carol", "dave")
STEP = st.tuples(
    st.sampled_from(PEOPLE),
    st.sampled_from(["keep", "relabel", "drop", "undrop", "merge", "undo", "policy"]),
    st.sampled_from(["cat", "dog", "bird"]),
    st.sampled_from(["label_error", "dark", CONFLICT, ""]),
    st.sampled_from([A, A, A, B]),
)
PULL = st.tuples(st.sampled_from(PEOPLE), st.just("pull"), st.sampled_from(PEOPLE))


def union(*logs: Path) -> list[str]:
    return list(dict.fromkeys(line for log in logs for line in log.read_text().splitlines(keepends=True)))


def play(folder: Path, steps: list[tuple[str, ...]]) -> list[Path]:
    """Let each person write to a log of their own, and pull others' logs into it, as the steps say."""
    logs = {name: folder / name for name in PEOPLE}
    append_decisions(folder / "base", [said("zoe", "keep", "cat")])
    for log in logs.values():
        shutil.copy(folder / "base", log)
    for who, action, *rest in steps:
        if action == "pull":
            logs[who].write_text("".join(union(logs[who], logs[rest[0]])))
            continue
        word, finding, sample_id = rest
        own = [one for one in read_log(logs[who]) if one.actor == who and one.action != "undo"]
        if action == "undo":
            append_decisions(logs[who], [said(who, "undo", one.id, sample_id=one.sample_id) for one in own[-1:]])
        elif action == "policy":
            append_decisions(logs[who], [said("policy", "relabel", word, tool="policy", sample_id=sample_id)])
        else:
            other = B if sample_id == A else A
            label = {"keep": word, "relabel": word, "merge": other}.get(action, "")
            append_decisions(logs[who], [said(who, action, label, finding, sample_id=sample_id)])
    return list(logs.values())


@settings(max_examples=150)
@given(steps=st.lists(st.one_of(STEP, PULL), max_size=12), order=st.randoms(use_true_random=False))
def test_any_people_branches_and_orders_of_merging_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]], order: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("log")
    logs = play(folder, steps)
    path = folder / "merged"
    path.write_text("".join(union(*logs)))
    merged, (standing, open_conflicts) = read_log(path), weigh_log(read_log(path))
    for _ in range(2):  # whoever merges whom first, and however git orders the lines
        order.shuffle(logs)
        lines = union(*logs)
        order.shuffle(lines)
        path.write_text("".join(lines))
        assert weigh_log(read_log(path)) == (standing, open_conflicts)
    assert_nobody_is_overruled_unseen(merged, standing, open_conflicts)
    # Whoever has seen all ends it.
    append_decisions(path, [said("zoe", "relabel", "bird", CONFLICT, sample_id=one) for one in (A, B)])
    standing, open_conflicts = weigh_log(read_log(path))
    folded = fold_decisions(standing).set_index("sample_id")
    assert not open_conflicts and set(folded["label"]) == {"bird"} and not folded["dropped"].any()


def assert_nobody_is_overruled_unseen(
    events: list[Decision], standing: list[Decision], open_conflicts: dict[str, list[tuple[Decision, Decision]]]
) -> None:
    """Each person's last word on a sample holds, was seen by somebody who then decided, or is in an open conflict."""
    undone = {one.label for one in events if one.action == "undo"}
    for sample_id in (A, B):
        own = [one for one in events if one.sample_id == sample_id]
        said_last = [one for one in own if one.action != "undo" and one.id not in undone]
        known = {one.id: {earlier.id for earlier in events_seen(own, one)} for one in own}
        folded = fold_sample(one for one in standing if one.sample_id == sample_id)
        told = {one.id for pair in open_conflicts.get(sample_id, []) for one in pair}
        for word in said_last:
            if any(word.id in known[later.id] for later in said_last) or word.id in told or word.tool == "policy":
                continue
            assert folded.dropped == takes_out(word), (word, own)
            assert folded.dropped or folded.label in (stated_label(word), "") or not stated_label(word), (word, own)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_merges_two_logs_by_itself(shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    init_dataset(folder, shapes)

    def git(*words: str) -> None:
        own = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
        subprocess.run([*own, *words], check=True, capture_output=True)

    path = DatasetFolder(folder).decisions
    git("init", "-b", "main")
    append_decisions(path, [said("carol", "keep", "cat")])
    git("add", ".")
    git("commit", "-m", "base")
    for name, word in (("ann", "dog"), ("bob", "bird")):
        git("checkout", "-b", name, "main")
        append_decisions(path, [said(name, "relabel", word), said(name, "drop", "", "dark", sample_id=B)])
        git("commit", "-am", name)
    git("merge", "ann", "-m", "both")
    assert len(path.read_text().splitlines()) == 5 and conflicts(path) == [("ann", "bob")]
    assert label(path) == "dog" and len(read_decisions(path)) == 4  # both dropped B: no conflict
    append_decisions(path, [said("bob", "keep", "dog", CONFLICT)])
    assert not conflicts(path)


Case = tuple[DatasetFolder, Spec, list[str], Answering, Answering]


@pytest.fixture
def case(grouped: tuple[DatasetFolder, Spec, Scan]) -> Case:
    """Six discs: 0 to 2 look like squares, 0 is dark too, 3 is dark, 4 and 5 are copies; and two who answer."""
    dataset, spec, scan = grouped
    ids = scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"].tolist()
    errors: list[dict[str, object]] = [
        {"sample_id": one, "issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
        for one in ids[:3]
    ]
    dark: list[dict[str, object]] = [{"sample_id": ids[one], "issue": "dark", "score": 0.2} for one in (0, 3)]
    copies: list[dict[str, object]] = [
        {"sample_id": one, "issue": "near_duplicate", "suggested_action": "merge"} for one in ids[4:6]
    ]
    write_groups(dataset, scan, dict.fromkeys(ids[4:6], ids[4]))
    write_findings(dataset, *errors, *dark, *copies)
    return dataset, spec, ids, Answering(dataset), Answering(dataset)


def disagree(case: Case) -> dict[str, list[str]]:
    """Let ann and bob answer at once: of disc 0 the label, of disc 3 whether it is dark; return what both saw."""
    _, _, ids, ann, bob = case
    shown = {ids[0]: ["label_error", "dark"], ids[3]: ["dark"]}
    assert ann.answer([ids[0]], "accept", reviewer="ann", shown=shown).decisions
    assert ann.answer([ids[3]], "drop", reviewer="ann", shown=shown).decisions
    told = bob.answer([ids[0], ids[3]], "keep", reviewer="bob", shown=shown)
    assert set(told.contested) == {ids[0], ids[3]} and not told.refused
    assert told.states[ids[0]].open_issues == [CONFLICT] and told.states[ids[3]].open_issues == [CONFLICT]
    return shown


def assert_app_and_tables_agree(dataset: DatasetFolder) -> None:
    app = Answering(dataset)
    draft = Draft(app.evidence, read_log(dataset.decisions), "")
    table = open_findings(dataset).groupby("sample_id")["issue"].agg(set).to_dict()
    assert {one: issues for one in app.evidence.path if (issues := {row.issue for row in draft.open(one)})} == table
    everywhere = {(row.sample_id, row.issue) for row in draft.open_everywhere()}
    assert everywhere == {(one, issue) for one, issues in table.items() for issue in issues}


def test_two_reviewers_at_once(case: Case) -> None:
    dataset, spec, ids, _, _ = case
    before = {(one, issue) for one, issue in open_findings(dataset)[["sample_id", "issue"]].itertuples(index=False)}
    disagree(case)
    assert_app_and_tables_agree(dataset)
    folded = fold_decisions(read_decisions(dataset.decisions)).set_index("sample_id")
    assert folded.at[ids[0], "label"] == "square" and folded.at[ids[3], "dropped"]
    rows = read_findings(dataset).set_index(["issue", "sample_id"]).loc[CONFLICT]
    assert set(rows.index) == {ids[0], ids[3]} and set(rows["detector"]) == {"decisions.jsonl"}
    assert set(rows["score"]) == {0.0} and set(rows["suggested_action"]) == {""} and (rows["path"] != "").all()
    log = [one for one in read_log(dataset.decisions) if one.sample_id == ids[0]]
    times = [one.time[:16].replace("T", " ") for one in log[:2]]
    assert rows.at[ids[0], "evidence"] == (
        f"ann said relabel square (fiftyone, {times[0]}); bob, who had not seen that, said keep disc (fiftyone, "
        f"{times[1]}). The first stands until somebody decides."
    )
    # bob's word on what ann had not answered counts at once.
    assert ("bob", "keep", "") in words(read_decisions(dataset.decisions))
    assert CONFLICT not in set(read_scored(dataset)["issue"]) and (ids[0], CONFLICT) not in before
    # Not in the audit's own table, for policies or for the ledger of the detectors.
    assert not [one for one in apply_policy(dataset, spec) if one.sample_id in (ids[0], ids[3])]
    judged = judge_decisions(read_decisions(dataset.decisions)).set_index(["sample_id", "issue"])
    assert judged.at[(ids[0], "label_error"), "is_right"] and judged.at[(ids[3], "dark"), "is_right"]


@pytest.mark.parametrize(
    ("answer", "word", "outcome"),
    [("keep", "", ("square", False)), ("relabel", "disc", ("disc", False)), ("drop", "", ("square", True))],
)
def test_a_conflict_on_a_label_is_settled_by_any_answer(case: Case, answer: str, word: str, outcome: object) -> None:
    dataset, _, ids, ann, _ = case
    disagree(case)
    told = ann.answer([ids[0]], answer, label=word, reviewer="ann", shown={ids[0]: [CONFLICT]})  # type: ignore[arg-type]
    assert told.states[ids[0]].open_issues == [] and not told.contested
    folded = fold_decisions(read_decisions(dataset.decisions)).set_index("sample_id")
    assert (folded.at[ids[0], "label"], folded.at[ids[0], "dropped"]) == outcome
    assert_app_and_tables_agree(dataset)
    if answer == "relabel":  # bob was right, and the detector was not
        judged = judge_decisions(read_decisions(dataset.decisions)).set_index(["sample_id", "issue"])
        assert not judged.at[(ids[0], "label_error"), "is_right"]
    ann.undo("ann")
    assert CONFLICT in set(open_findings(dataset).query(f"sample_id == '{ids[0]}'")["issue"])


@pytest.mark.parametrize("answer", ["keep", "undrop", "drop", "relabel"])
def test_a_conflict_on_whether_a_sample_stays_is_settled_by_any_answer(case: Case, answer: str) -> None:
    dataset, _, ids, ann, _ = case
    disagree(case)
    label = "square" if answer == "relabel" else ""
    told = ann.answer([ids[3]], answer, label=label, reviewer="ann", shown={ids[3]: [CONFLICT]})  # type: ignore[arg-type]
    assert told.decisions and told.states[ids[3]].open_issues == []
    assert told.states[ids[3]].dropped == (answer == "drop")
    assert_app_and_tables_agree(dataset)


def test_two_who_choose_different_copies_leave_one(case: Case) -> None:
    dataset, _, ids, ann, bob = case
    shown = {one: ["near_duplicate"] for one in ids[4:6]}
    ann.answer([ids[4]], "keep_this_copy", reviewer="ann", shown=shown)
    for made in (1, 0):
        told = bob.answer([ids[5]], "keep_this_copy", reviewer="bob", shown=shown)
        assert len(told.decisions) == made and "ann said merge disc/" in told.contested[ids[5]]
        assert [told.states[one].dropped for one in ids[4:6]] == [False, True]
    assert_app_and_tables_agree(dataset)
    told = ann.answer([ids[5]], "keep_this_copy", reviewer="ann", shown={ids[5]: [CONFLICT]})
    assert [told.states[one][1::2] for one in ids[4:6]] == [(True, []), (False, [])]
    assert_app_and_tables_agree(dataset)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_three_people_answer_app_and_tables_agree(case: Case, seed: int) -> None:
    dataset, _, ids, app, _ = case
    rng = random.Random(seed)
    views: dict[str, dict[str, list[str]]] = {}
    for _ in range(14):
        who, answer = rng.choice(["ann", "bob", "carol"]), rng.choice([*ANSWERS, "undo"])
        if who not in views or rng.random() < 0.4:  # else they still see what was open some answers ago
            draft = Draft(app.evidence, read_log(dataset.decisions), who)
            views[who] = {one: [row.issue for row in draft.open(one)] for one in ids[:6]}
        label, chosen = rng.choice(["disc", "square"]), rng.sample(ids[:6], rng.choice([1, 1, 2]))
        if answer == "undo":
            told = app.undo(who)
        else:
            told = app.answer(chosen, answer, label=label, reviewer=who, shown=views[who])  # type: ignore[arg-type]
        assert_app_and_tables_agree(dataset)
        assert all(CONFLICT in told.states[one].open_issues for one in told.contested)
        now = Draft(app.evidence, read_log(dataset.decisions), "").states(told.states)
        assert told.states == {one: now[one] for one in told.states}


def test_the_conflict_itself_may_be_answered_at_once_by_two(case: Case) -> None:
    _, _, ids, ann, bob = case
    disagree(case)
    shown = {ids[0]: [CONFLICT]}
    assert ann.answer([ids[0]], "relabel", label="disc", reviewer="ann", shown=shown).decisions
    told = bob.answer([ids[0]], "keep", reviewer="bob", shown=shown)  # what bob saw is `square`
    assert told.decisions[0].label == "square" and "ann said keep disc meanwhile" in told.contested[ids[0]]
    assert told.states[ids[0]] == ("disc", False, True, [CONFLICT])
    assert not bob.answer([ids[0]], "relabel", label="disc", reviewer="carol", shown=shown).contested


def test_undo_takes_a_contesting_answer_back(case: Case) -> None:
    dataset, _, ids, _, bob = case
    disagree(case)
    undone = bob.undo("bob")
    assert {one.sample_id for one in undone.decisions} == {ids[0], ids[3]}
    assert undone.states[ids[0]] == ("square", False, False, ["dark"]) and undone.states[ids[3]].dropped
    assert CONFLICT not in set(open_findings(dataset)["issue"])
    assert_app_and_tables_agree(dataset)


def test_undo_of_the_first_lets_the_other_count(case: Case) -> None:
    dataset, _, ids, ann, _ = case
    disagree(case)
    undone = ann.undo("ann")
    assert undone.states[ids[3]] == ("disc", False, True, [])
    assert_app_and_tables_agree(dataset)


def test_a_note_shows_nobody_what_others_said(case: Case) -> None:
    dataset, _, ids, _, bob = case
    disagree(case)
    bob.note([ids[3]], "dusk is not dark", "bob")
    rows = read_findings(dataset).query(f"issue == '{CONFLICT}' and sample_id == '{ids[3]}'")
    assert (
        len(rows) == 1 and fold_sample(one for one in read_decisions(dataset.decisions) if one.sample_id == ids[3])[1]
    )


def test_by_the_command_line(case: Case) -> None:
    dataset, spec, ids, _, _ = case
    assert curate("findings", dataset.path, "--issue", CONFLICT).stdout.startswith("0 findings")
    disagree(case)
    listed = curate("findings", dataset.path, "--issue", CONFLICT)
    assert "2 findings, 2 open" in listed.stdout and "who had not seen that" in " ".join(listed.stdout.split())
    decide_sample(dataset, spec, ids[0], "relabel", "disc", actor="carol")
    assert open_findings(dataset).query("issue == @CONFLICT")["sample_id"].tolist() == [ids[3]]
    assert read_decisions(dataset.decisions)[-1].finding == CONFLICT
    decide_sample(dataset, spec, ids[3], "undrop", actor="carol")
    assert CONFLICT not in set(read_findings(dataset)["issue"])
    assert fold_decisions(read_decisions(dataset.decisions)).set_index("sample_id").at[ids[0], "label"] == "disc"


def test_a_page_answers_a_conflict(case: Case, tmp_path: Path) -> None:
    dataset, spec, ids, _, _ = case
    disagree(case)
    cards, _ = collect_cards(dataset, spec, CONFLICT)
    assert {card["members"][0]["id"]: card["members"][0]["label"] for card in cards} == {
        ids[0]: "square",
        ids[3]: "disc",
    }
    shown = {card["members"][0]["id"]: card["members"][0]["after"] for card in cards}
    assert all(len(heads) == 2 for heads in shown.values())
    path = write(
        tmp_path,
        line(ids[0], "relabel", CONFLICT, label="disc", before="square", reviewer="carol", after=shown[ids[0]]),
        line(ids[3], "keep", CONFLICT, before="disc", reviewer="carol", after=shown[ids[3]]),
    )
    done = apply_answers(dataset, spec, path)
    assert [(one.action, one.label) for one in done.decisions] == [("relabel", "disc"), ("keep", "disc")]
    assert (done.contested, apply_answers(dataset, spec, path).known) == (0, 2)
    assert CONFLICT not in set(read_findings(dataset)["issue"])
    late = line(ids[0], "drop", CONFLICT, before="square", reviewer="dave", after=shown[ids[0]])
    assert apply_answers(dataset, spec, write(tmp_path, late, name="late.jsonl")).contested == 1
    foreign = write(tmp_path, {**late, "after": ["0" * 16]}, name="foreign.jsonl")
    with pytest.raises(Problem, match="pull the log it was made from"):
        apply_answers(dataset, spec, foreign)
    assert_app_and_tables_agree(dataset)


def test_the_command_tells_of_contesting_answers(case: Case, tmp_path: Path) -> None:
    dataset, spec, ids, _, _ = case
    decide_sample(dataset, spec, ids[1], "keep", actor="bob")
    path = write(tmp_path, line(ids[1], "relabel", label="square"), line(ids[2], "relabel", label="square"))
    told = curate("decide", dataset.path, "--from", path).stdout
    assert "2 new decisions." in told and "1 of them contradicts what somebody else said meanwhile" in told
    assert f"--issue {CONFLICT}" in told
    again = json.loads(curate("decide", dataset.path, "--from", path, "--json").stdout)
    assert (again["contested"], again["known"], again["decisions"]) == (0, 2, [])


def test_wherever_issues_are_listed(case: Case) -> None:
    dataset, spec, ids, _, _ = case
    disagree(case)
    told = {
        row["issue"]: row
        for row in collect_issues(dataset, read_scan(dataset), read_decisions(dataset.decisions)) or []
    }
    assert next(iter(told)) == CONFLICT and told[CONFLICT]["outcomes"] == {"to review": 2}
    build_version(dataset, spec)
    dataset.spec.write_text(dataset.spec.read_text().replace("no_leakage: true", f"max_undecided: {{{CONFLICT}: 0}}"))
    rules = {rule.rule: rule for rule in check_dataset(dataset, read_spec(dataset))}
    assert not rules[f"max_undecided.{CONFLICT}"].ok and rules[f"max_undecided.{CONFLICT}"].found == "2"
    findings = read_findings(dataset)
    table = tabulate_detectors(findings, open_findings(dataset, findings), read_decisions(dataset.decisions))
    row = table.set_index("issue").loc[CONFLICT]
    assert (row["open"], row["answered"]) == (2, 0) and "somebody who has seen both" in row["advice"]
    curate("detectors", dataset.path)
    with pytest.raises(Problem, match="ann said relabel square meanwhile"):
        answer_samples(dataset, [ids[0]], "relabel", label="disc", issue="label_error", reviewer="carol")


def test_an_audit_keeps_them(scanned: tuple[DatasetFolder, Spec, Scan], tmp_path: Path) -> None:
    dataset, spec, scan = scanned
    one = scan.samples["sample_id"][0]
    append_decisions(dataset.decisions, [said("ann", "relabel", "disc", sample_id=one)])
    append_decisions(dataset.decisions, [said("bob", "relabel", "square", sample_id=one, after=())])
    first, second = audit_dataset(dataset, spec), audit_dataset(dataset, spec)
    assert first.equals(second) and (first["issue"] == CONFLICT).sum() == 1
    assert weigh_log([]) == ([], {}) and find_conflicts([], {}).empty


def test_two_branches_that_keep_different_copies_keep_one(branches: Branches) -> None:
    one = said("ann", "merge", B, "near_duplicate")
    branches.on("ann", one)
    branches.on("bob", said("bob", "merge", A, "near_duplicate", sample_id=B))
    log = branches.merge("ann", "bob")
    assert standing(log) == [("ann", "merge", B)]
    found = find_conflicts(read_log(log), {A: "a.jpg", B: "b.jpg"})
    assert list(found["sample_id"]) == [B]
    assert "ann said merge a.jpg into b.jpg" in found.loc[0, "evidence"]
    assert "bob said merge b.jpg into a.jpg" in found.loc[0, "evidence"]
    append_decisions(log, [said("carol", "undrop", sample_id=A, finding="")])  # carol keeps the other one
    assert not len(find_conflicts(read_log(log), {A: "a.jpg", B: "b.jpg"}))
    folded = fold_decisions(read_decisions(log)).set_index("sample_id")["dropped"]
    assert folded.to_dict() == {A: False, B: True}


def test_a_ring_of_three_copies_is_broken_at_the_latest(branches: Branches) -> None:
    other = "c" * 20
    branches.on("ann", said("ann", "merge", B, "near_duplicate"))
    branches.on("bob", said("bob", "merge", other, "near_duplicate", sample_id=B))
    branches.on("carol", said("carol", "merge", A, "near_duplicate", sample_id=other))
    log = branches.merge("ann", "bob", "carol")
    assert [one[0] for one in standing(log)] == ["ann", "bob"]
    assert list(find_conflicts(read_log(log), {A: "", B: "", other: ""})["sample_id"]) == [other]


def test_app_and_tables_agree_on_copies_kept_by_two_branches(case: Case) -> None:
    dataset, _, ids, _, _ = case
    first, second = ids[4:6]
    ann = said("ann", "merge", first, "near_duplicate", sample_id=second, after=())
    bob = said("bob", "merge", second, "near_duplicate", sample_id=first, after=())
    append_decisions(dataset.decisions, [ann, bob])
    assert_app_and_tables_agree(dataset)
    draft = Draft(Answering(dataset).evidence, read_log(dataset.decisions), "carol")
    assert [draft.fold(one).dropped for one in (first, second)] == [False, True]
    found = open_findings(dataset)
    assert list(found.loc[found["issue"] == CONFLICT, "sample_id"]) == [first]
