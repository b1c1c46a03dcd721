"""What a file of answers may do to the log: only what its reviewer said, once, and never over somebody else's word."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.audit.findings import open_findings
from curate.audit.ledger import judge_decisions
from curate.decide.answers import apply_answers
from curate.decide.answers_file import LARGEST, Answer, read_answers
from curate.decide.by_hand import decide_sample
from curate.log.decision import Decision
from curate.log.decisions import append_decisions, read_decisions
from curate.log.outcomes import fold_decisions
from curate.storage.files import Problem
from curate.versions.build import build_version
from tests.conftest import curate, write_findings, write_groups

NOON = "2026-05-01T12:00:00.000Z"
LATER = "2026-05-01T12:00:09.000Z"


def line(sample_id, action, finding="label_error", **more):
    label = {"before": "disc"} if finding in ("label_error", "label_conflict") else {}
    return {
        "sample_id": sample_id,
        "finding": finding,
        "action": action,
        "reviewer": "ann",
        "time": NOON,
        **label,
        **more,
    }


def write(folder, *lines, name="answers-ann.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return path


@pytest.fixture
def asked(grouped):
    """Six discs: a label error on the first three, one of them dark too; a group of three copies."""
    dataset, spec, scan = grouped
    ids = scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"].tolist()
    errors = [
        {"sample_id": one, "issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
        for one in ids[:3]
    ]
    copies = [
        {"sample_id": one, "issue": "near_duplicate", "suggested_action": "keep" if one == ids[3] else "merge"}
        for one in ids[3:6]
    ]
    dark = {"sample_id": ids[0], "issue": "dark", "suggested_action": "drop", "score": 0.2}
    write_groups(dataset, scan, dict.fromkeys(ids[3:6], ids[3]))
    write_findings(dataset, *errors, *copies, dark)
    return dataset, spec, ids


def test_each_answer_is_a_decision_with_who_when_and_why(asked, tmp_path):
    dataset, spec, ids = asked
    path = write(
        tmp_path,
        line(ids[0], "relabel", label="square", note="no corners? it has four"),
        line(ids[1], "keep", time=LATER),
        line(ids[4], "merge", "near_duplicate", label=ids[3]),
        line(ids[2], "relabel", label="square"),
    )
    made = apply_answers(dataset, spec, path).decisions
    assert read_decisions(dataset.decisions) == made
    assert [(one.sample_id, one.action, one.label) for one in made] == [
        (ids[0], "relabel", "square"),
        (ids[4], "merge", ids[3]),
        (ids[2], "relabel", "square"),
        (ids[1], "keep", "disc"),
    ]
    assert {(one.actor, one.tool, one.detector, one.score, one.before) for one in made} == {
        ("ann", "review_page", "by hand", 0.01, "disc")
    }
    # A reason of the reviewer's own; else the evidence, if the suggestion was followed.
    assert [one.reason for one in made] == ["no corners? it has four", "because", "because", ""]
    assert made[-1].answered == "2026-05-01T12:00:09.000000+00:00" < made[-1].time
    assert [one.time for one in made] == sorted(one.time for one in made)
    assert judge_decisions(made).set_index("sample_id")["is_right"].to_dict() == {
        ids[0]: True,
        ids[1]: False,
        ids[2]: True,
        ids[4]: True,
    }
    manifest = build_version(dataset, spec).manifest.set_index("sample_id")
    assert manifest.loc[[ids[0], ids[1], ids[2]], "label"].tolist() == ["square", "disc", "square"]
    assert ids[4] not in manifest.index and ids[3] in manifest.index


def test_the_same_file_twice_adds_nothing(asked, tmp_path):
    dataset, spec, ids = asked
    path = write(tmp_path, line(ids[0], "relabel", label="square"), line(ids[1], "drop"))
    apply_answers(dataset, spec, path)
    before = dataset.decisions.read_bytes()
    again = apply_answers(dataset, spec, path)
    assert (again.decisions, again.known) == ([], 2) and dataset.decisions.read_bytes() == before
    # What was taken back since does not come back with the file.
    first = read_decisions(dataset.decisions)[0]
    undo = Decision(actor="ann", tool="fiftyone", sample_id=first.sample_id, action="undo", label=first.id)
    append_decisions(dataset.decisions, [undo])
    assert apply_answers(dataset, spec, path).known == 2 and len(read_decisions(dataset.decisions)) == 1


def test_a_changed_answer_of_the_same_reviewer_wins_and_an_older_file_does_not(asked, tmp_path):
    dataset, spec, ids = asked
    first = write(tmp_path, line(ids[0], "drop"), line(ids[1], "keep"), name="first.jsonl")
    second = write(
        tmp_path, line(ids[0], "relabel", label="square", time=LATER), line(ids[1], "keep"), name="second.jsonl"
    )
    apply_answers(dataset, spec, first)
    changed = apply_answers(dataset, spec, second)
    assert [one.action for one in changed.decisions] == ["relabel"] and changed.known == 1
    assert apply_answers(dataset, spec, first).decisions == []
    folded = fold_decisions(read_decisions(dataset.decisions)).set_index("sample_id")
    assert folded.at[ids[0], "label"] == "square" and not folded.at[ids[0], "dropped"]
    # In one file it is the same, in any order of the lines.
    dataset.decisions.unlink()
    both = write(tmp_path, line(ids[0], "relabel", label="square", time=LATER), line(ids[0], "drop"))
    assert [one.action for one in apply_answers(dataset, spec, both).decisions] == ["drop", "relabel"]


def test_somebody_elses_answer_stays_and_is_told(asked, tmp_path):
    dataset, spec, ids = asked
    decide_sample(dataset, spec, ids[0], "keep", actor="bob")
    decide_sample(dataset, spec, ids[1], "drop", actor="bob")
    before = read_decisions(dataset.decisions)
    path = write(
        tmp_path,
        line(ids[0], "relabel", label="square"),  # bob kept it
        line(ids[1], "relabel", label="square"),  # bob left it out
        line(ids[2], "relabel", label="square"),
    )
    done = apply_answers(dataset, spec, path)
    assert [(one.sample_id, one.after) for one in done.decisions] == [(one, ()) for one in ids[:3]]
    assert (done.contested, done.faults) == (2, [])
    assert read_decisions(dataset.decisions) == [*before, done.decisions[2]]
    conflicts = open_findings(dataset).query("issue == 'decision_conflict'")
    assert set(conflicts["sample_id"]) == set(ids[:2])
    again = apply_answers(dataset, spec, path)
    assert (again.decisions, again.known, again.contested) == ([], 3, 0)
    # An older answer of ann's does not come after her newer one, though that does not count.
    older = write(tmp_path, line(ids[0], "drop", time="2026-05-01T11:00:00Z"), name="older.jsonl")
    assert apply_answers(dataset, spec, older).known == 1


def test_the_same_answer_of_two_people_is_no_conflict(asked, tmp_path):
    dataset, spec, ids = asked
    decide_sample(dataset, spec, ids[1], "relabel", "square", actor="bob")
    done = apply_answers(dataset, spec, write(tmp_path, line(ids[1], "relabel", label="square")))
    assert (done.decisions, done.agreed) == ([], 1)


def test_a_person_stands_over_a_policy_and_after_an_undrop(asked, tmp_path):
    dataset, spec, ids = asked
    made = decide_sample(dataset, spec, ids[0], "relabel", "square", actor="policy").model_copy(
        update={"tool": "policy"}
    )
    dataset.decisions.unlink()
    append_decisions(dataset.decisions, [made])
    done = apply_answers(dataset, spec, write(tmp_path, line(ids[0], "keep")))
    assert [(one.label, one.before) for one in done.decisions] == [("disc", "square")]
    decide_sample(dataset, spec, ids[1], "drop", actor="bob")
    decide_sample(dataset, spec, ids[1], "undrop", actor="bob")
    assert apply_answers(dataset, spec, write(tmp_path, line(ids[1], "drop"))).decisions


def test_what_is_no_longer_asked_or_not_as_shown_is_told(asked, tmp_path):
    dataset, spec, ids = asked
    path = write(tmp_path, line(ids[1], "drop", "dark"), line(ids[0], "relabel", label="square", before="square"))
    with pytest.raises(
        Problem, match=r"(?s)1 no longer open.*dark is no longer found.*1 conflict.*'square' on the page"
    ):
        apply_answers(dataset, spec, path)


def test_copies_cannot_be_merged_into_each_other_or_into_what_is_dropped(asked, tmp_path):
    dataset, spec, ids = asked
    merge = [line(one, "merge", "near_duplicate", label=other) for one, other in ((ids[4], ids[3]), (ids[3], ids[4]))]
    with pytest.raises(Problem, match="is to stay, but was dropped or merged itself"):
        apply_answers(dataset, spec, write(tmp_path, *merge))
    dropped = line(ids[3], "drop", "near_duplicate")
    done = apply_answers(dataset, spec, write(tmp_path, merge[0], dropped), skip_bad=True)
    assert [one.action for one in done.decisions] == ["drop"] and len(done.faults) == 1


def test_to_keep_a_dark_picture_says_nothing_of_its_label(asked, tmp_path):
    dataset, spec, ids = asked
    path = write(tmp_path, line(ids[0], "keep", "dark", time=LATER), line(ids[0], "relabel", label="square"))
    apply_answers(dataset, spec, path)
    folded = fold_decisions(read_decisions(dataset.decisions)).set_index("sample_id")
    assert folded.at[ids[0], "label"] == "square"
    dataset.decisions.unlink()
    apply_answers(dataset, spec, write(tmp_path, line(ids[0], "keep", "dark")))
    left = open_findings(dataset)
    assert set(left.loc[left["sample_id"] == ids[0], "issue"]) == {"label_error"}


BAD = {
    "no JSON": "{",
    "no object": "[1]",
    "NaN": '{"sample_id": NaN}',
    "deep": "[" * 3_000 + "]" * 3_000,
    "long": '{"note": "' + "x" * 20_000 + '"}',
    "twice": '{"action": "drop", "action": "keep"}',
}


def test_bad_lines_are_told_with_their_place_and_nothing_is_written(asked, tmp_path):
    dataset, spec, ids = asked
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join([json.dumps(line(ids[0], "drop")), *BAD.values()]), encoding="utf-8")
    with pytest.raises(Problem) as told:
        apply_answers(dataset, spec, path)
    first, *rest = str(told.value).splitlines()
    assert first.endswith("6 answers cannot be applied, so nothing was (1 other could be: `--skip-bad`).")
    assert rest[0] == "6 malformed:" and rest[1].startswith(f"  {path}:2: expected JSON") and rest[-1] == "  ..."
    assert not read_decisions(dataset.decisions)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"sample_id": "0" * 20}, "unknown sample"),
        ({"sample_id": "../etc"}, "malformed"),
        ({"label": "circle"}, "unknown class"),
        ({"action": "undrop"}, "malformed"),
        ({"action": "merge", "label": "f" * 20}, "unknown sample"),
        ({"action": "drop"}, "bad value"),  # with a label
        ({"reviewer": ""}, "malformed"),
        ({"reviewer": "ann\x1b[31m"}, "malformed"),
        ({"reviewer": "a" * 101}, "malformed"),
        ({"reviewer": "\ud800"}, "malformed"),
        ({"note": "one\ntwo"}, "malformed"),
        ({"note": "x" * 2_001}, "malformed"),
        ({"time": "yesterday"}, "malformed"),
        ({"time": "9999-01-01T00:00:00Z"}, "malformed"),
        ({"finding": "Label Error"}, "malformed"),
        ({"score": 0.5}, "malformed"),
        ({"action": None}, "malformed"),
    ],
)
def test_what_a_line_may_not_say(asked, tmp_path, change, kind):
    dataset, spec, ids = asked
    path = write(tmp_path, {**line(ids[0], "relabel", label="square"), **change})
    done = apply_answers(dataset, spec, path, skip_bad=True)
    assert [fault.kind for fault in done.faults] == [kind] and done.decisions == []


def test_a_file_that_is_none(tmp_path, asked):
    for path in (tmp_path / "missing.jsonl", tmp_path, write(tmp_path)):
        with pytest.raises(Problem, match=r"Expected a file|expected lines"):
            read_answers(path)
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(Problem, match="at most 50,000,000 bytes"):
        read_answers(huge)


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from([*Answer.model_fields, "x"]), st.none() | st.text() | st.floats() | st.integers())
)
def test_no_line_passes_that_the_log_cannot_hold(value):
    try:
        answer = Answer.model_validate(value)
    except ValidationError:
        return
    json.loads(answer.model_dump_json())


def test_the_command_tells_what_became_of_the_file(asked, tmp_path):
    dataset, _, ids = asked
    path = write(tmp_path, line(ids[0], "drop"), line(ids[1], "relabel", label="circle"))
    assert "1 unknown class" in curate("decide", dataset.path, "--from", path, code=2).stderr
    done = json.loads(curate("decide", dataset.path, "--from", path, "--skip-bad", "--json").stdout)
    assert [one["action"] for one in done["decisions"]] == ["drop"] and done["faults"][0]["kind"] == "unknown class"
    again = curate("decide", dataset.path, "--from", path, "--skip-bad")
    assert again.stdout == "0 new decisions; 1 are in the log already.\n" and "1 line passed over" in again.stderr
    assert "--from FILE" in curate("decide", dataset.path, "--from", path, "--accept", "dark", code=2).stderr
