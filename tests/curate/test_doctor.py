"""The checks of the machine and the database: real programs are started, and broken ones are named with a fix."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from curate import doctor
from curate.review.services import mongod
from curate.storage.files import Problem


@pytest.fixture
def no_database_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)


@pytest.fixture
def program(no_database_address: None) -> Path:
    found = mongod.find_mongod()
    assert found is not None, "run `python -m curate.review.services.mongod`"
    return found


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_every_check_passes_where_the_tests_run(program: Path, tmp_path: Path) -> None:
    checks = doctor.diagnose(tmp_path)
    names = ["Python", "packages", "torch", "FiftyOne", "mongod", "browser", "reviews", "free disk"]
    assert [check.name for check in checks] == names
    assert [check for check in checks if not check.ok] == []
    assert all(check.found and not check.fix for check in checks)


def test_mongod_starts_and_leaves_nothing_behind(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    major, minor, *_ = map(int, mongod.check_mongod(program).split("."))
    assert (major, minor) >= mongod.OLDEST
    assert list(tmp_path.iterdir()) == []


def test_working_mongod_is_kept_as_it_is(program: Path) -> None:
    before = program.stat()
    assert mongod.ensure_mongod() == f"mongod {mongod.check_mongod(program)} starts"
    assert program.stat().st_ino == before.st_ino


def test_mongod_that_stops_is_quoted(tmp_path: Path) -> None:
    broken = script(tmp_path / "mongod", "echo 'libcrypto.so.1.1: cannot open shared object file' >&2; exit 127")
    with pytest.raises(Problem, match=r"exit code 127: libcrypto\.so\.1\.1.*FIFTYONE_DATABASE_URI="):
        mongod.check_mongod(broken)


def test_mongod_that_is_silent_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="did not answer within 1 seconds: It wrote nothing"):
        mongod.check_mongod(script(tmp_path / "mongod", "exec sleep 60"), seconds=1)


def test_mongod_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "mongod").write_bytes(b"not a program")
    with pytest.raises(Problem, match="does not start: Permission denied"):
        mongod.check_mongod(tmp_path / "mongod")


def test_database_of_ones_own_is_used(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mongod._started(program, tmp_path) as (process, port, log):
        mongod._wait_for_answer(program, process, port, log, 60)
        monkeypatch.setenv("FIFTYONE_DATABASE_URI", f"mongodb://127.0.0.1:{port}")
        assert mongod.ensure_mongod().endswith("answers at FIFTYONE_DATABASE_URI")
        assert doctor.check_mongod().ok


def test_database_that_does_not_answer_is_a_problem() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # held, but not listening
        address = f"mongodb://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(Problem, match=r"nothing answered within 0\.5 seconds"):
            mongod.check_database(address, seconds=0.5)


def test_database_address_that_is_none_is_a_problem() -> None:
    with pytest.raises(Problem, match="nothing answered"):
        mongod.check_database("nonsense://", seconds=0.5)


def test_missing_mongod_has_a_fix(no_database_address: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = tmp_path / "fiftyone" / "__init__.py"
    stub.parent.mkdir()
    stub.touch()
    monkeypatch.delitem(sys.modules, "fiftyone", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    check = doctor.check_mongod()
    assert not check.ok
    assert "without one" in check.found
    assert "python -m curate.review.services.mongod" in check.fix


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")])
def test_fallback_is_not_tried_where_it_cannot_run(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(Problem, match=f"it broke, and the fallback is for Linux.*{system} on {machine}"):
        mongod._install_fallback("it broke")


def test_browser_by_name_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = script(tmp_path / "my-browser", "true")
    monkeypatch.setenv("CURATE_BROWSER", str(own))
    assert doctor.find_browser() == own
    monkeypatch.setenv("CURATE_BROWSER", str(tmp_path / "none"))
    check = doctor.check_browser()
    assert (check.ok, check.found) == (False, "none")
    assert "CURATE_BROWSER" in check.fix


def test_no_browser_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CURATE_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "APPLICATIONS", ())
    assert doctor.find_browser() is None


def test_python_too_new_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PYTHONS", ((3, 1), (3, 9)))
    check = doctor.check_python()
    assert not check.ok
    assert check.fix.endswith("Python 3.1 to 3.8.")


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_disk(tmp_path / "not" / "yet").found.endswith(f"GB at {tmp_path}")
    monkeypatch.setattr(doctor, "DISK_GB", 1e9)
    assert "Free at least 1e+09 GB" in doctor.check_disk(tmp_path).fix


@pytest.mark.parametrize(
    ("requirement", "fault"),
    [
        ("pytest>=1", None),
        ("no-such-package-here>=1", "no-such-package-here is missing"),
        ("no-such-package-here; extra == 'test'", None),
        ("pytest>=9999", f"pytest {pytest.__version__} is installed, >=9999 is needed"),
    ],
)
def test_requirements_against_what_is_installed(requirement: str, fault: str | None) -> None:
    assert doctor._requirement_fault(requirement) == fault
