"""Open reviews are known to each other, killed ones are forgotten, and what they left is found and removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from curate.images.samples import Scan
from curate.review.mirror.push import push_review
from curate.review.services import database, mongod
from curate.review.services.database import is_left_running, revive_database, running_database
from curate.review.services.environment import load_fiftyone
from curate.review.services.leftovers import clean_leftovers, find_leftovers, note_review
from curate.review.services.mongod import check_database
from curate.review.services.running import Running, ask_to_end, registered, running_reviews, wait_for_end
from curate.spec.model import Spec
from curate.storage.files import Problem, write_json
from curate.storage.folder import DatasetFolder
from tests.conftest import curate

ANN = Running("specurate-pets", "/data/pets", "ann", 5151, "http://127.0.0.1:5151/datasets/specurate-pets", os.getpid())
USER = """
import sys, time
from pathlib import Path
from curate.review.services.database import running_database
with running_database(Path(sys.argv[1])) as uri:
    print(uri, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path / "database"))
    return tmp_path / "database"


@pytest.fixture
def program() -> Path:
    found = mongod.find_mongod()
    assert found is not None
    return found


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The folder and address of a mongod whose only user was killed."""
    folder = tmp_path / "database"
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    uri = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    yield folder, uri
    with running_database(folder):
        pass


def mongod_of(folder: Path) -> psutil.Process:
    mine = [one for one in psutil.process_iter(["cmdline"]) if str(folder.resolve()) in (one.info["cmdline"] or ())]
    assert len(mine) == 1
    return mine[0]


def test_an_open_review_is_seen_until_it_ends(own_folder: Path) -> None:
    bob = replace(ANN, reviewer="bob", port=5152)
    with registered(ANN):
        with registered(bob):
            assert running_reviews() == [ANN, bob]
        assert running_reviews() == [ANN]
        ask_to_end(ANN)
        assert ANN.end.exists()
    assert running_reviews() == [] and not ANN.end.exists()


def test_a_killed_review_is_forgotten(own_folder: Path) -> None:
    with registered(ANN):
        content = ANN.file.read_text()
    ANN.file.write_text(content)  # nobody holds it
    ask_to_end(ANN)
    assert running_reviews() == [] and not ANN.file.exists() and not ANN.end.exists()


def test_waiting_for_the_end_of_a_review(own_folder: Path) -> None:
    with registered(ANN), pytest.raises(Problem, match=str(ANN.pid)):
        wait_for_end([ANN], seconds=0.2)
    ended = threading.Event()
    with registered(ANN):
        threading.Timer(0.2, ANN.file.unlink).start()
        wait_for_end([ANN], seconds=30)
        ended.set()
    assert ended.is_set()


def test_a_database_that_died_is_started_again_where_it_was(tmp_path: Path) -> None:
    with running_database(tmp_path) as uri:
        assert not revive_database(tmp_path, uri)
        with database._client(uri) as client:
            client.pets.cats.insert_one({"name": "minka"})  # acknowledged: it must be there afterwards
        process = mongod_of(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert revive_database(tmp_path, uri) and check_database(uri)
        with database._client(uri) as client:
            assert client.pets.cats.count_documents({"name": "minka"}) == 1


def test_a_database_whose_user_was_killed_is_found_and_stopped(
    killed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, uri = killed
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(folder))
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    assert is_left_running(folder) and find_leftovers() == ["a mongod whose review was killed"]
    done = curate("doctor", "--clean")
    assert "Removed a mongod" in done.stderr and "nothing is left behind" in done.stdout
    with pytest.raises(Problem):
        check_database(uri, seconds=0.2)


@pytest.fixture
def no_mongod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A FiftyOne that came without a mongod: where it would lie."""
    package = tmp_path / "site" / "fiftyone"
    (package / "db" / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "fiftyone", raising=False)
    monkeypatch.syspath_prepend(package.parent)
    return package / "db" / "bin" / "mongod"


def test_a_review_without_a_mongod_fetches_one(
    program: Path, no_mongod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install = "import os, sys; os.path.exists(sys.argv[2]) or os.symlink(*sys.argv[1:3])"
    monkeypatch.setattr(mongod, "PIP_INSTALL", (sys.executable, "-c", install, str(program), str(no_mongod)))
    with running_database(tmp_path / "database") as uri:
        assert check_database(uri)
    said = capsys.readouterr().err.splitlines()
    assert mongod.DOWNLOAD in said[0] and "starts" in said[1] and len(said) == 2


def test_a_mongod_that_cannot_be_fetched_leaves_a_way_out(
    no_mongod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongod, "PIP_INSTALL", (sys.executable, "-c", "import sys; sys.exit('no network')"))
    with (
        pytest.raises(Problem, match=r"services\.mongod.*FIFTYONE_DATABASE_URI.*(no network|Linux on x86_64)"),
        running_database(tmp_path / "database"),
    ):
        pass


def test_a_link_that_leads_nowhere_goes_and_one_that_works_stays(own_folder: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "environment", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target)
    note_review("specurate-pets", tmp_path, link)
    assert find_leftovers() == [] == clean_leftovers() and link.exists()
    target.rmdir()
    assert [str(link) in one for one in clean_leftovers()] == [True]
    assert not link.is_symlink() and find_leftovers() == []


def test_the_copy_of_a_folder_that_is_gone_is_removed_and_no_other(grouped: tuple[DatasetFolder, Spec, Scan]) -> None:
    dataset, spec, _ = grouped
    name = push_review(dataset, spec)
    gone = load_fiftyone().Dataset("specurate-gone", persistent=True)
    note_review(name, dataset.path, None)
    note_review(gone.name, dataset.path / "gone", None)
    left = [one for one in find_leftovers() if "gone" in one.split()[2]]  # other tests' folders may be gone, too
    assert len(left) == 1 and left[0] in clean_leftovers()
    assert not load_fiftyone().dataset_exists("specurate-gone") and load_fiftyone().dataset_exists(name)
    assert not [one for one in find_leftovers() if one.startswith("FiftyOne's copy")]


def test_notes_of_an_unwritable_kind_are_said(own_folder: Path) -> None:
    own_folder.mkdir(parents=True)
    (own_folder / "specurate-notes.json").write_text("{")
    with pytest.raises(Problem, match="specurate-notes"):
        find_leftovers()


def test_notes_are_kept_of_each_dataset(own_folder: Path, tmp_path: Path) -> None:
    note_review("a", tmp_path / "a", tmp_path / "link")
    note_review("b", tmp_path / "b", None)
    assert len(find_leftovers()) == 2
    write_json(own_folder / "specurate-notes.json", {"link": "", "copies": {}})
    assert find_leftovers() == []
