import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.images.samples import given_labels, read_scan
from curate.images.scan import scan_dataset
from curate.log.events import read_events
from curate.log.outcomes import fold_decisions
from curate.log.votes import Vote, append_votes, by_people, read_votes, select_new, withdraw_votes
from curate.storage.files import Problem
from curate.storage.tables import VOTES, empty
from curate.versions.digest import sources_digest
from curate.versions.labels import resolve_labels

A, B = "a" * 20, "b" * 20
EARLY, LATE = "2026-01-01T00:00:00.000000+00:00", "2026-02-01T00:00:00.000000+00:00"


def vote(label: str = "cat", sample_id: str = A, voter: str = "csv:ann", **more) -> Vote:
    return Vote(sample_id=sample_id, label=label, voter=voter, **more)


def labels(path) -> dict[tuple[str, str], str]:
    said = read_votes(path)
    return dict(zip(zip(said["sample_id"], said["voter"], strict=True), said["label"], strict=True))


def test_the_latest_vote_of_each_voter_counts(tmp_path):
    path = tmp_path / "votes.jsonl"
    assert read_votes(path).equals(empty(VOTES))
    append_votes(path, [vote("cat"), vote("dog", voter="csv:bob"), vote("dog", B)])
    (changed,) = append_votes(path, [vote("dog")])
    assert labels(path) == {(A, "csv:ann"): "dog", (A, "csv:bob"): "dog", (B, "csv:ann"): "dog"}
    assert list(read_votes(path)) == list(VOTES)
    times = [json.loads(line)["time"] for line in path.read_text().splitlines()]
    assert times == sorted(set(times)) and times[-1] == changed.time
    assert append_votes(path, [vote("cat")])  # back to what was said first: that is news


def test_spaces_around_a_label_are_no_part_of_it(tmp_path):
    path = tmp_path / "votes.jsonl"
    line = {"sample_id": A, "label": " cat ", "voter": "csv:ann", "time": EARLY}
    path.write_text(json.dumps(line) + "\n")  # by hand, or by a tool of somebody's own
    assert labels(path) == {(A, "csv:ann"): "cat"}


def test_what_was_said_is_not_written_again(tmp_path):
    path = tmp_path / "votes.jsonl"
    given_votes = [vote("cat", time=EARLY), vote("dog", time=LATE), vote("cat", B, share=0.5)]
    assert len(append_votes(path, given_votes)) == 3
    before = path.read_bytes()
    assert append_votes(path, given_votes) == []
    assert append_votes(path, [vote("dog")]) == []
    assert path.read_bytes() == before
    assert append_votes(path, [vote("cat", B, share=0.6)])


def test_an_older_vote_that_comes_later_does_not_win(tmp_path):
    path = tmp_path / "votes.jsonl"
    append_votes(path, [vote("dog", time=LATE)])
    append_votes(path, [vote("cat", time=EARLY)])
    assert labels(path) == {(A, "csv:ann"): "dog"}


def test_withdrawn_votes_are_gone_until_they_are_said_again(tmp_path):
    path = tmp_path / "votes.jsonl"
    old = [vote("cat", time=EARLY), vote("dog", B, time=EARLY), vote("dog", voter="csv:bob")]
    append_votes(path, old)
    assert len(withdraw_votes(path, "csv:ann")) == 2
    assert labels(path) == {(A, "csv:bob"): "dog"}
    assert withdraw_votes(path, "csv:ann") == [] and withdraw_votes(path, "nobody") == []
    append_votes(path, old)  # with their old times: they are said again, now
    assert len(labels(path)) == 3
    assert append_votes(path, old) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"sample_id": "short", "label": "cat", "voter": "ann"}', "sample_id"),
        (f'{{"sample_id": "{A}", "label": "cat", "voter": ""}}', "voter"),
        (f'{{"sample_id": "{A}", "label": "cat", "voter": "a\\nb"}}', "voter"),
        (f'{{"sample_id": "{A}", "label": "cat", "voter": "ann", "share": 2}}', "share"),
        (f'{{"sample_id": "{A}", "label": "cat", "voter": "ann", "share": NaN}}', "share"),
        (f'{{"sample_id": "{A}", "label": "cat", "voter": "ann", "time": "soon"}}', "time"),
        (f'{{"sample_id": "{A}", "label": ["cat"], "voter": "ann"}}', "label"),
        ("[]", "line"),
    ],
)
def test_a_line_that_is_no_vote_is_named(tmp_path, line, said):
    path = tmp_path / "votes.jsonl"
    append_votes(path, [vote()])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(Problem, match=rf"votes.jsonl:2: expected a vote, but {said}"):
        read_votes(path)


def test_bytes_that_are_no_text_are_named_by_their_line(tmp_path):
    path = tmp_path / "votes.jsonl"
    path.write_bytes(b'{"voter": "\xff\xfe"}\n')
    with pytest.raises(Problem, match=r"votes.jsonl:1"):
        read_votes(path)


def test_half_a_last_line_was_never_said(tmp_path):
    path = tmp_path / "votes.jsonl"
    append_votes(path, [vote()])
    with path.open("a") as log:
        log.write('{"sample_id": "aaaa')
    assert len(read_votes(path)) == 1
    append_votes(path, [vote("dog")])
    assert len(path.read_text().splitlines()) == 2


def test_a_time_that_no_other_can_follow(tmp_path):
    path = tmp_path / "votes.jsonl"
    append_votes(path, [vote(time="9999-12-31T23:59:59.999999Z")])
    with pytest.raises(Problem, match="9999"):
        append_votes(path, [vote("dog")])


def test_writers_at_once_lose_nothing(tmp_path):
    path = tmp_path / "votes.jsonl"

    def write(name: int) -> None:
        for label in ("cat", "dog", "cat"):
            append_votes(path, [vote(label, voter=f"csv:{name}")])

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_events(path, Vote)) == 12 and len(read_votes(path)) == 4


TIMES = ["", *(f"2026-01-0{day}T00:00:00.000000+00:00" for day in range(1, 5))]
some_votes = st.builds(
    vote,
    st.sampled_from(["cat", "dog"]),
    st.sampled_from([A, B]),
    st.sampled_from(["csv:ann", "app:bob"]),
    share=st.sampled_from([0.5, 1.0]),
    time=st.sampled_from(TIMES),
)


@given(st.lists(some_votes, unique_by=lambda one: (one.sample_id, one.voter, one.time)), st.randoms())
def test_leaving_out_what_is_no_news_never_changes_who_says_what(votes, random):
    """Beside a plain replay of all votes in order of time, those without one last."""
    replayed = {}
    for one in sorted(votes, key=lambda one: one.time or "9"):
        replayed[one.sample_id, one.voter] = (one.label, one.share)
    random.shuffle(votes)
    dated, undated = ([one for one in votes if bool(one.time) is known] for known in (True, False))
    kept = select_new([], dated)
    kept += select_new(kept, undated)
    said = {}
    for one in sorted(kept, key=lambda one: one.time):
        said[one.sample_id, one.voter] = (one.label, one.share)
    assert said == replayed
    assert select_new(kept, dated) == []


def test_the_scan_holds_the_votes_of_the_log(scanned):
    dataset, spec, scan = scanned
    first, second = scan.samples["sample_id"].iloc[:2]
    before = scan.samples.set_index("sample_id")["given_label"]
    other = {"disc": "square", "square": "disc"}
    append_votes(
        dataset.votes,
        [vote(other[before[first]], first, one) for one in ("app:bob", "csv:bob")]
        + [
            vote(before[second], second, "folder"),
            vote("disc", "f" * 20),
            vote(other[before[second]], second, "model:m1"),
        ],
    )
    now = read_scan(dataset)
    given_now = now.samples.set_index("sample_id")["given_label"]
    assert given_now[first] == other[before[first]]  # bob in two tools is two voters: two against the folder
    assert given_now.drop(first).equals(before.drop(first))
    assert len(now.votes) == len(scan.votes) + 3  # two of bob, one of m1; the folder's own is replaced
    assert "f" * 20 not in set(now.votes["sample_id"])
    again = scan_dataset(dataset, spec)
    assert again.votes.equals(now.votes) and again.samples.equals(now.samples)
    assert sources_digest(now) != sources_digest(scan)
    withdraw_votes(dataset.votes, "folder")
    assert len(read_scan(dataset).votes) == len(now.votes)  # what the source states stands again


def test_what_a_model_says_is_never_given(scanned):
    dataset, spec, _ = scanned
    flat = spec.model_copy(update={"sources": [one.model_copy(update={"kind": "flat"}) for one in spec.sources]})
    sample_id = scan_dataset(dataset, flat).samples["sample_id"].iloc[0]
    append_votes(
        dataset.votes, [vote("disc", sample_id, name) for name in ("model:m1", "rule:yard", "prototype:lite0")]
    )
    scan = read_scan(dataset)
    assert len(scan.votes) == 3 and len(by_people(scan.votes)) == 0
    assert set(scan.samples["given_label"]) == {""} and given_labels(scan.votes).empty
    rows = resolve_labels(scan, fold_decisions([]), flat)
    assert set(rows["excluded"]) == {"unlabelled"}  # and not "votes tie"


def test_a_vote_for_a_class_that_is_gone_is_said(scanned):
    dataset, spec, scan = scanned
    append_votes(dataset.votes, [vote("bird", scan.samples["sample_id"].iloc[0])])
    with pytest.raises(Problem, match=r"votes.jsonl: expected labels among disc, square.*'bird'.*csv:ann.*--withdraw"):
        scan_dataset(dataset, spec)
    withdraw_votes(dataset.votes, "csv:ann")
    assert scan_dataset(dataset, spec).samples.equals(scan.samples)
