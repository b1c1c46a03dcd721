import json
import threading

import pytest

from curate.log.decision import Decision
from curate.log.decisions import append_decisions, decisions_digest, read_decisions
from curate.log.outcomes import decided_pairs, fold_decisions
from curate.storage.files import Problem

A, B = "a" * 20, "b" * 20


def decision(action: str, sample_id: str = A, **more: str) -> Decision:
    return Decision(actor="ann", tool="test", sample_id=sample_id, action=action, **more)


def test_round_trip_in_order(tmp_path):
    path = tmp_path / "decisions.jsonl"
    assert read_decisions(path) == []
    written = append_decisions(path, [decision("drop"), decision("relabel", B, label="dog", reason='ü\n,"')])
    written += append_decisions(path, [decision("undrop")])
    assert read_decisions(path) == written
    assert len({one.id for one in written}) == 3
    assert [one.time for one in written] == sorted(one.time for one in written)


def test_times_rise_even_if_the_clock_was_set_back(tmp_path):
    path = tmp_path / "decisions.jsonl"
    future = decision("drop").model_copy(update={"id": "f", "time": "2999-01-01T00:00:00.000000+00:00"})
    path.write_text(future.model_dump_json() + "\n")
    (later,) = append_decisions(path, [decision("undrop")])
    assert later.time > future.time
    assert not fold_decisions(read_decisions(path))["dropped"].any()


def test_folding(tmp_path):
    path = tmp_path / "decisions.jsonl"
    steps = [decision("drop"), decision("merge", B, label=A), decision("undrop", B), decision("relabel", label="dog")]
    table = fold_decisions(append_decisions(path, steps)).set_index("sample_id")
    assert table.loc[A, ["label", "dropped"]].tolist() == ["dog", False]
    assert table.loc[B, ["label", "dropped", "merged_into"]].tolist() == ["", False, ""]
    assert fold_decisions([]).empty
    merged = fold_decisions([decision("merge", B, label=A)]).iloc[0]
    assert merged["dropped"] and merged["merged_into"] == A


def test_a_torn_last_line_was_never_said(tmp_path):
    path = tmp_path / "decisions.jsonl"
    append_decisions(path, [decision("drop")])
    with path.open("a") as log:
        log.write('{"actor": "ann", "tool": "te')
    assert len(read_decisions(path)) == 1
    append_decisions(path, [decision("undrop")])
    assert [one.action for one in read_decisions(path)] == ["drop", "undrop"]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "decisions.jsonl"
    append_decisions(path, [decision("drop")])
    path.write_text("not json\n" + path.read_text())
    with pytest.raises(Problem, match=r"decisions.jsonl:1"):
        read_decisions(path)
    path.write_text(decision("drop").model_dump_json().replace("drop", "explode") + "\n")
    with pytest.raises(Problem, match="action"):
        read_decisions(path)
    for score in ("NaN", "1.5", "-1e999", '"low"'):
        path.write_text(decision("drop").model_dump_json().replace('"score":null', f'"score":{score}') + "\n")
        with pytest.raises(Problem, match=r"decisions.jsonl:1: expected a decision, but score: "):
            read_decisions(path)


def test_writers_at_once_lose_nothing(tmp_path):
    path = tmp_path / "decisions.jsonl"

    def write() -> None:
        for _ in range(10):
            append_decisions(path, [decision("drop"), decision("undrop", B)])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = read_decisions(path)
    assert len(read) == 80 and len({one.id for one in read}) == 80


def test_order_of_lines_does_not_matter(tmp_path):
    path = tmp_path / "decisions.jsonl"
    append_decisions(path, [decision("drop", finding="dark"), decision("undrop"), decision("keep", B, label="cat")])
    before = read_decisions(path)
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert decisions_digest(read_decisions(path)) == decisions_digest(before)
    assert fold_decisions(read_decisions(path)).equals(fold_decisions(before))
    assert decided_pairs(before) == {(A, "dark")}


def test_a_whole_last_line_without_its_newline_counts(tmp_path):
    path = tmp_path / "decisions.jsonl"
    append_decisions(path, [decision("drop")])
    path.write_text(path.read_text().rstrip("\n"))
    assert len(read_decisions(path)) == 1
    append_decisions(path, [decision("undrop")])
    assert [one.action for one in read_decisions(path)] == ["drop", "undrop"]


def test_two_lines_without_an_id_are_two_decisions(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.write_text("".join(decision(action).model_dump_json() + "\n" for action in ("drop", "undrop")))
    assert [one.action for one in read_decisions(path)] == ["drop", "undrop"]


def test_a_line_that_was_changed_or_taken_out_is_found(tmp_path):
    path = tmp_path / "decisions.jsonl"
    append_decisions(path, [decision("drop"), decision("undrop"), decision("keep", B)])
    first, second, third = path.read_text().splitlines(keepends=True)
    path.write_text(second + third)
    with pytest.raises(Problem, match=rf"decisions.jsonl:1: the decision on sample {A} follows the decision"):
        read_decisions(path)
    path.write_text(first.replace("drop", "keep") + second + third)
    with pytest.raises(Problem, match=rf"decisions.jsonl:1: the decision on sample {A} does not have the id"):
        append_decisions(path, [decision("drop", B)])
    parents = json.dumps({"after": json.loads(second)["after"]}, separators=(",", ":"))[1:-1]
    path.write_text(second.replace("," + parents, "") + third)  # the way out that the sentence names
    assert [one.action for one in read_decisions(path)] == ["undrop", "keep"]


def test_what_editors_leave_is_read_past_and_git_marks_are_refused_with_the_way_out(tmp_path):
    path = tmp_path / "decisions.jsonl"
    append_decisions(path, [decision("drop"), decision("undrop")])
    before, lines = read_decisions(path), path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"))
    assert read_decisions(path) == before
    append_decisions(path, [decision("keep", B)])
    assert read_decisions(path)[:2] == before
    one, two = lines.splitlines(keepends=True)
    path.write_bytes(b"<<<<<<< HEAD\n" + one + b"=======\n" + two + b">>>>>>> bob\n")
    with pytest.raises(Problem, match=r"decisions.jsonl:1: git left a conflict marker .* take out the lines"):
        read_decisions(path)
    path.write_bytes(one + two)
    assert read_decisions(path) == before


def test_a_log_whose_lines_name_no_parents_is_one_line_of_history(tmp_path):
    path = tmp_path / "decisions.jsonl"
    early = decision("drop", time="2026-01-01T00:00:00.000000+00:00", id="1" * 16)
    counted = early.model_dump_json(exclude_none=True)[:-1] + ',"seen":0}\n'  # as logs once were
    path.write_text(counted + decision("undrop").model_dump_json())
    (added,) = append_decisions(path, [decision("keep", label="cat")])
    assert [one.action for one in read_decisions(path)] == ["undrop", "drop", "keep"]  # no time is before all times
    assert added.after == ("1" * 16,)
