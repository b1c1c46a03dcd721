"""The library's face: twins of the commands, and stages that first do what they need."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

import curate
from curate.api.dataset import Dataset
from curate.commands.main import app
from curate.storage.folder import working_on
from tests.conftest import DemoRun, copy_of, write_shapes

# The methods that a command calls, where these are not the one of its name.
CALLED: dict[str, list[Any]] = {
    "demo": [curate.demo_dataset],
    "init": [curate.init_dataset],
    "audit": [Dataset.audit, Dataset.audit_against],
    "decide": [Dataset.decide, Dataset.apply_answers],
    "detectors": [Dataset.detectors],
    "label": [Dataset.label, Dataset.accept_proposals, Dataset.pick_next],
    "review": [Dataset.review, Dataset.write_review_page, Dataset.close_review],
    "votes": [Dataset.import_votes, Dataset.export_votes, Dataset.withdraw_votes],
}
NO_DATASET = {"schema", "doctor"}  # they tell of specurate and of the machine
ON_THE_SCREEN = {"json", "no_deps", "explain", "all", "format", "html", "close", "unlabelled"}  # not asked of a method
COMMANDS = {one.callback.__name__: one.callback for one in app.registered_commands if one.callback}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NO_DATASET))
def test_a_command_and_its_methods_are_twins(name: str) -> None:
    called: list[Any] = CALLED.get(name) or [getattr(Dataset, name)]
    taken: dict[str, Any] = {}
    for one in called:
        taken |= {} if isinstance(one, property) else dict(parameters(one))
    asked = dict(options(COMMANDS[name]))
    assert set(taken) - {"tell"} <= set(asked), "a parameter without an option"
    if not isinstance(called[0], property):
        assert set(asked) - set(taken) <= ON_THE_SCREEN, "an option without a parameter"
    both = {one for one in taken if one in asked and inspect.Parameter.empty not in (taken[one], asked[one])}
    # Nothing is spelled '' in a shell and () or None in Python.
    assert {one: taken[one] or None for one in both} == {one: plain(asked[one]) or None for one in both}


def parameters(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield the parameters of a method and their defaults."""
    for name, one in inspect.signature(function).parameters.items():
        if name != "self":
            yield name, one.default


def options(command: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield the options and words of a command and their defaults; a word in brackets is ''."""
    for name, one in inspect.signature(command, eval_str=True).parameters.items():
        if name == "words":
            usage = next(
                part.metavar or "" for part in get_args(one.annotation) if isinstance(part, typer.models.ArgumentInfo)
            )
            for word in re.findall(r"[A-Z]+", usage.replace("[DATASET]", "")):
                yield word.lower(), "" if "[" in usage.replace("[DATASET]", "") else inspect.Parameter.empty
        elif name != "dataset":
            yield name, one.default


def plain(default: Any) -> Any:
    return default.default if isinstance(default, typer.models.ParameterInfo) else default


@pytest.fixture
def fresh(tmp_path: Path) -> Dataset:
    """Twelve drawings of two classes of which nothing is known yet."""
    return curate.init_dataset(tmp_path / "set", write_shapes(tmp_path / "images", 6))


def test_build_scans_and_audits_first(fresh: Dataset) -> None:
    assert len(fresh.build().manifest) == 12 and list(fresh.versions) == ["v1"]
    assert {"sample_id", "issue", "score", "open"} <= set(fresh.findings)


def test_a_stage_sees_new_files_and_a_view_what_is_there(fresh: Dataset) -> None:
    fresh.build()
    write_shapes(fresh.path.parent / "images", 7)
    assert len(fresh.samples) == 12  # shows what the last scan saw
    assert len(fresh.build().manifest) == 14


def test_an_audit_that_has_seen_all_is_not_made_again(fresh: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.build()
    fresh.decide("disc/000.jpg", "relabel", "square")
    monkeypatch.setattr(Dataset, "audit", None)
    assert fresh.build().manifest.set_index("path").loc["disc/000.jpg", "label"] == "square"


def test_without_deps_what_is_missing_is_said(fresh: Dataset) -> None:
    bare = curate.open_dataset(fresh.path, deps=False)
    for missing in (bare.audit, bare.build, bare.label, lambda: bare.samples, lambda: bare.voters):
        with pytest.raises(curate.Problem, match="curate scan"):
            missing()
    bare.scan()
    for missing in (bare.build, bare.decide, lambda: bare.findings, lambda: bare.patterns):
        with pytest.raises(curate.Problem, match="curate audit"):
            missing()


def test_a_stage_waits_for_nobody(fresh: Dataset) -> None:
    with working_on(fresh.folder), pytest.raises(curate.Problem, match="Another curate is working"):
        fresh.build()
    fresh.build()


@pytest.mark.slow
def test_the_cell_of_the_readme_runs(demo_run: DemoRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_of(demo_run, tmp_path / "pets")
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    (cell,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    told: dict[str, Any] = {}
    exec(cell, told)
    pets = told["pets"]
    assert isinstance(pets, Dataset) and len(pets.models) >= 2 and told["verdict"]
    assert (tmp_path / "out").is_dir()
