import pytest

from curate.audit.findings import open_findings
from curate.decide.acceptance import accept_findings
from curate.decide.by_hand import decide_sample
from curate.decide.policy import apply_policy
from curate.log.decisions import read_decisions
from curate.log.outcomes import fold_decisions
from curate.spec.model import AcceptBelow, Policy
from curate.storage.files import Problem
from curate.versions.build import build_version
from tests.conftest import write_findings, write_groups


def label_errors(scan, count):
    other = {"disc": "square", "square": "disc"}
    rows = scan.samples.head(count)
    return [
        {"sample_id": row.sample_id, "issue": "label_error", "suggested_action": "relabel", "score": 0.02 * place}
        | {"suggested_label": other[row.given_label]}
        for place, row in enumerate(rows.itertuples())
    ]


def test_the_policy_relabels_below_its_score_but_never_in_test(grouped):
    dataset, spec, scan = grouped
    write_findings(dataset, *label_errors(scan, 24))
    splits = build_version(dataset, spec).manifest.set_index("sample_id")["split"]
    made = apply_policy(dataset, spec)
    expected = {row.sample_id for row in scan.samples.head(3).itertuples() if splits[row.sample_id] != "test"}
    assert {one.sample_id for one in made} == expected  # scores 0, 0.02, 0.04
    assert all(one.action == "relabel" and one.actor == "policy" and one.finding == "label_error" for one in made)
    assert apply_policy(dataset, spec) == []
    everything = spec.model_copy(update={"policy": Policy(label_error=AcceptBelow(accept_below=1))})
    apply_policy(dataset, everything)
    assert len(read_decisions(dataset.decisions)) == int((splits != "test").sum())


def test_copies_are_merged_into_the_keeper_unless_their_labels_disagree(grouped):
    dataset, spec, scan = grouped
    ids = scan.samples["sample_id"].tolist()
    group = {ids[0]: ids[0], ids[1]: ids[0], ids[2]: ids[2], ids[3]: ids[2]}
    copies = [{"sample_id": one, "issue": "near_duplicate", "group_id": group[one]} for one in ids[:4]]
    write_groups(dataset, scan, group)
    conflict = [{"sample_id": one, "issue": "label_conflict"} for one in ids[2:4]]
    write_findings(dataset, *copies, *conflict)
    (made,) = apply_policy(dataset, spec)
    assert (made.sample_id, made.action, made.label) == (ids[1], "merge", ids[0])
    assert fold_decisions([made]).iloc[0]["merged_into"] == ids[0]
    left = open_findings(dataset)
    assert set(zip(left["sample_id"], left["issue"], strict=True)) == {
        (ids[2], "near_duplicate"),
        (ids[3], "near_duplicate"),
        (ids[2], "label_conflict"),
        (ids[3], "label_conflict"),
    }


def test_drop_policies_and_review(grouped):
    dataset, spec, scan = grouped
    one, two = scan.samples["sample_id"][:2]
    write_findings(dataset, {"sample_id": one, "issue": "low_information"}, {"sample_id": two, "issue": "outlier"})
    assert [(made.sample_id, made.action) for made in apply_policy(dataset, spec)] == [(one, "drop")]
    stricter = spec.model_copy(update={"policy": Policy(outlier="drop")})
    assert [made.sample_id for made in apply_policy(dataset, stricter)] == [two]


def test_the_policy_leaves_a_suspect_without_a_suggestion_to_a_person(grouped):
    dataset, spec, scan = grouped
    rows = [{**row, "suggested_label": "", "kind": "several classes in view"} for row in label_errors(scan, 24)]
    write_findings(dataset, *rows)
    assert apply_policy(dataset, spec) == [] and len(open_findings(dataset)) == 24


def test_a_policy_never_overrides_a_person(grouped):
    dataset, spec, scan = grouped
    build_version(dataset, spec)
    rows = label_errors(scan, 24)
    write_findings(dataset, *rows)
    for row in rows:
        decide_sample(dataset, spec, str(row["sample_id"]), "keep", actor="ann")
    everything = spec.model_copy(update={"policy": Policy(label_error=AcceptBelow(accept_below=1))})
    assert apply_policy(dataset, everything) == []
    assert len(open_findings(dataset)) == 0
    assert {one.finding for one in read_decisions(dataset.decisions)} == {"label_error"}


def test_accepting_up_to_a_score_is_a_persons_decision(grouped):
    dataset, spec, scan = grouped
    write_findings(dataset, *label_errors(scan, 5), {"sample_id": scan.samples["sample_id"][9], "issue": "outlier"})
    made = accept_findings(dataset, spec, "label_error", max_score=0.05, actor="ann")
    assert len(made) == 3 and {one.actor for one in made} == {"ann"}
    assert len(accept_findings(dataset, spec, "label_error")) == 2
    assert accept_findings(dataset, spec, "label_error") == []
    with pytest.raises(Problem, match=r"label_error, outlier.*'labels'"):
        accept_findings(dataset, spec, "labels")
    with pytest.raises(Problem, match="nothing to accept"):
        accept_findings(dataset, spec, "outlier")


def test_one_sample_by_id_prefix_or_path(grouped):
    dataset, spec, scan = grouped
    row = scan.samples.iloc[0]
    assert decide_sample(dataset, spec, row["sample_id"], "drop").sample_id == row["sample_id"]
    assert decide_sample(dataset, spec, row["sample_id"][:8], "undrop").sample_id == row["sample_id"]
    made = decide_sample(dataset, spec, row["path"], "keep", reason="I looked")
    assert (made.label, made.before, made.reason) == (row["given_label"], row["given_label"], "I looked")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.jpg", "drop"), "none has it"),
        (("000.jpg", "drop"), r"did you mean disc/000.jpg or square/000.jpg\?"),
        (("disc/000.jpg", "delete"), "keep, relabel, drop, merge, undrop"),
        (("disc/000.jpg", "relabel", "bird"), "disc, square.*'bird'"),
        (("disc/000.jpg", "relabel"), "disc, square.*none"),
        (("disc/000.jpg", "merge", "nothing"), "none has it"),
        (("disc/000.jpg", "merge"), "the sample that stays"),
        (("disc/000.jpg", "drop", "square"), "--reason"),
        (("disc/000.jpg", "keep", "bird"), "disc, square.*'bird'"),
    ],
)
def test_wrong_words_are_a_sentence_and_nothing_is_written(grouped, words, said):
    dataset, spec, _ = grouped
    with pytest.raises(Problem, match=said):
        decide_sample(dataset, spec, *words)
    assert read_decisions(dataset.decisions) == []


def copies_of(scan, sizes):
    """One near-duplicate group of the first samples of one class, and its findings."""
    ids = scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"].tolist()[:sizes]
    return ids, [{"sample_id": one, "issue": "near_duplicate", "group_id": ids[0]} for one in ids]


def test_copies_are_not_merged_into_one_that_is_gone(grouped):
    dataset, spec, scan = grouped
    ids, copies = copies_of(scan, 3)
    write_groups(dataset, scan, dict.fromkeys(ids, ids[0]))
    write_findings(dataset, *copies)
    decide_sample(dataset, spec, ids[0], "drop", actor="ann")
    (made,) = apply_policy(dataset, spec)
    assert {made.sample_id, made.label} == set(ids[1:]) and made.action == "merge"
    assert set(build_version(dataset, spec).manifest["sample_id"]) & set(ids) == {made.label}


@pytest.mark.parametrize("issue", ["low_information", "outlier"])  # before and after near_duplicate by name
def test_a_policy_does_not_merge_into_what_it_drops_at_the_same_time(grouped, issue):
    dataset, spec, scan = grouped
    ids, copies = copies_of(scan, 2)
    write_groups(dataset, scan, dict.fromkeys(ids, ids[0]))
    write_findings(dataset, *copies, {"sample_id": ids[0], "issue": issue})
    (made,) = apply_policy(dataset, spec.model_copy(update={"policy": Policy(outlier="drop")}))
    assert (made.sample_id, made.action) == (ids[0], "drop")


def test_what_a_person_took_back_is_not_taken_out_for_another_reason(grouped):
    dataset, spec, scan = grouped
    one = scan.samples["sample_id"][0]
    write_findings(dataset, {"sample_id": one, "issue": "low_information"}, {"sample_id": one, "issue": "outlier"})
    dropping = spec.model_copy(update={"policy": Policy(outlier="drop")})
    assert len(apply_policy(dataset, dropping)) == 1
    decide_sample(dataset, spec, one, "undrop", actor="ann")
    assert apply_policy(dataset, dropping) == []


def test_copies_whose_labels_differ_by_now_are_left_to_a_person(grouped):
    dataset, spec, scan = grouped
    ids, copies = copies_of(scan, 2)
    write_groups(dataset, scan, dict.fromkeys(ids, ids[0]))
    write_findings(dataset, *copies)
    decide_sample(dataset, spec, ids[1], "relabel", "square ", actor="ann")  # a space is no part of a name
    assert apply_policy(dataset, spec) == []


def test_nothing_is_merged_into_itself_or_into_what_is_gone(grouped):
    dataset, spec, scan = grouped
    one, two = scan.samples["sample_id"][:2]
    with pytest.raises(Problem, match="is the sample itself"):
        decide_sample(dataset, spec, one, "merge", one)
    decide_sample(dataset, spec, one, "merge", two)
    with pytest.raises(Problem, match="dropped or merged before"):
        decide_sample(dataset, spec, two, "merge", one)


def test_a_copy_that_the_policy_relabels_is_merged_in_the_same_go(grouped):
    """Else the next run would find something to decide, and build another version, though nothing changed."""
    dataset, spec, scan = grouped
    splits = build_version(dataset, spec).manifest.set_index("sample_id")["split"]
    train = scan.samples[scan.samples["sample_id"].map(splits) == "train"].set_index("sample_id")["given_label"]
    keeper, copy = train[train == "disc"].index[0], train[train == "square"].index[0]
    write_groups(dataset, scan, {keeper: keeper, copy: keeper})
    pair = [
        {"sample_id": one, "issue": issue} for one in (keeper, copy) for issue in ("near_duplicate", "label_conflict")
    ]
    error = {"sample_id": copy, "issue": "label_error", "suggested_action": "relabel", "suggested_label": "disc"}
    write_findings(dataset, *pair, error)
    made = apply_policy(dataset, spec)
    assert [(one.action, one.label) for one in made] == [("relabel", "disc"), ("merge", keeper)]
    assert apply_policy(dataset, spec) == []


def test_of_copies_the_exam_stays_and_what_was_trained_on_goes(grouped):
    """One was in test, its better copy in train: the audit would keep the better one, and the exam would change."""
    dataset, spec, scan = grouped
    manifest = build_version(dataset, spec).manifest.query("label == 'disc'")
    tested, trained = (manifest.loc[manifest["split"] == split, "sample_id"].iloc[0] for split in ("test", "train"))
    write_groups(dataset, scan, dict.fromkeys((tested, trained), trained))
    asked = {tested: "merge", trained: "keep"}
    write_findings(
        dataset, *({"sample_id": one, "issue": "near_duplicate", "suggested_action": asked[one]} for one in asked)
    )
    (made,) = apply_policy(dataset, spec)
    assert (made.sample_id, made.action, made.label) == (trained, "merge", tested)
    dataset.decisions.unlink()
    accepted = {one.sample_id: (one.action, one.label) for one in accept_findings(dataset, spec, "near_duplicate")}
    assert accepted == {tested: ("keep", "disc"), trained: ("merge", tested)}


def test_a_policy_on_leaks_drops_the_copy_that_was_given_to_train(grouped):
    dataset, spec, scan = grouped
    held, seen, alone = scan.samples["sample_id"][:3]
    write_groups(dataset, scan, dict.fromkeys((held, seen), held))
    leaks = {held: "keep", seen: "drop", alone: "keep"}
    write_findings(dataset, *({"sample_id": one, "issue": "leakage", "suggested_action": leaks[one]} for one in leaks))
    assert apply_policy(dataset, spec) == []
    dropping = spec.model_copy(update={"policy": Policy(leakage="drop")})
    assert [(one.sample_id, one.action) for one in apply_policy(dataset, dropping)] == [(seen, "drop")]
    assert open_findings(dataset)["sample_id"].tolist() == [alone]  # a file in both splits has no copy that could go
