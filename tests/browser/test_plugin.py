"""The plugin in the running App: a whole sitting by key and button, and one in which everything is killed once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from curate.images.samples import read_scan
from curate.log.decisions import read_decisions
from curate.review.mirror.snapshot import review_name
from curate.review.services.database import database_folder
from curate.review.services.environment import load_fiftyone
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder
from curate.versions.build import build_version
from tests.browser.shoot import DRAWN, dismiss_offer, free_port, open_first, open_grid, running_browser
from tests.browser.test_app import PATIENCE, wait_for_app
from tests.conftest import write_findings, write_groups, write_partly_labelled

pytestmark = pytest.mark.slow

PLUGIN = "@specurate/review"
CALLS = 200


@dataclass
class Sitting:
    """A review in another process: `discs` look like squares, `copies` are one picture twice, `bare` have no label."""

    process: subprocess.Popen[str]
    dataset: DatasetFolder
    spec: Spec
    origin: str
    discs: list[str]
    copies: list[str]
    bare: list[str]

    @property
    def name(self) -> str:
        return review_name(self.dataset)

    @property
    def server(self) -> psutil.Process:
        """The process that serves the App now."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if child.cmdline()[1:2] == ["main.py"])


@pytest.fixture
def sitting(shapes: Path, tmp_path: Path) -> Iterator[Sitting]:
    dataset, spec = write_partly_labelled(shapes, tmp_path)
    samples = read_scan(dataset).samples.sort_values("path")
    discs = list(samples.loc[samples["given_label"] == "disc", "sample_id"])
    copies = list(samples.loc[samples["given_label"] == "square", "sample_id"])[:2]
    bare = list(samples.loc[samples["given_label"] == "", "sample_id"])
    write_groups(dataset, read_scan(dataset), dict.fromkeys(copies, copies[0]))
    found = {"issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
    rows: list[dict[str, object]] = [
        {**found, "sample_id": one, "score": 0.01 + place / 100, "evidence": f"square corners {place}"}
        for place, one in enumerate(discs)
    ]
    rows += [{"sample_id": one, "issue": "near_duplicate", "suggested_action": "merge"} for one in copies]
    rows += [
        {"sample_id": one, "issue": "unlabelled", "score": 0.1 + place / 100, "evidence": f"nobody said {place}"}
        for place, one in enumerate(bare)
    ]
    write_findings(dataset, *rows)
    process, origin = start_review(dataset)
    open_sitting = Sitting(process, dataset, spec, origin, discs, copies, bare)
    try:
        yield open_sitting
    finally:
        kill_review(open_sitting.process)


def start_review(dataset: DatasetFolder) -> tuple[subprocess.Popen[str], str]:
    """Type `curate review` and return its process and the address of its App, which answers."""
    port = free_port()
    command = [sys.executable, "-m", "curate.commands.main", "review", str(dataset.path), "--no-browser", "--json"]
    command += ["--port", str(port), "--reviewer", "carol"]
    # The address of the tests' own database would pass for a server that the user runs and looks after.
    own = {name: value for name, value in os.environ.items() if name != "FIFTYONE_DATABASE_URI"}
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], env=own, stdout=subprocess.PIPE, text=True)
    wait_for_app(process, f"http://127.0.0.1:{port}")
    return process, f"http://127.0.0.1:{port}"


def kill_review(process: subprocess.Popen[str]) -> None:
    """Let nothing of a failed test run on: its server ends with it, its database serves the other tests."""
    if process.poll() is None:
        process.kill()
    process.communicate()


def said(dataset: DatasetFolder) -> list[tuple[str, str, str]]:
    return [(one.sample_id, one.action, one.label) for one in read_decisions(dataset.decisions)]


def wait_for_answer(page: Any, act: Callable[[], None]) -> None:
    """Do ``act`` and wait until the App's server has answered the operator or the panel that it called."""
    with page.expect_response(lambda answer: answer.url.endswith("/operators/execute") and is_answer(answer.request)):
        act()


def is_answer(request: Any) -> bool:
    asked = json.loads(request.post_data or "{}")
    name, method = asked.get("operator_uri", ""), asked.get("params", {}).get("__method__", "")
    return name.startswith(PLUGIN) and (method in ("answer", "undo", "skip") or not name.endswith("/findings"))


def wait_for_sample(page: Any, evidence: str) -> None:
    """Wait until the panel of the open sample tells ``evidence``."""
    page.locator("#modal").get_by_text(evidence, exact=False).first.wait_for()


def run_in_app(page: Any, operator: str, **params: Any) -> None:
    page.evaluate("([name, params]) => window.__foo__.executeOperator(name, params)", [operator, params])


def test_a_sitting_from_first_look_to_version(sitting: Sitting) -> None:
    discs, copies, bare = sitting.discs, sitting.copies, sitting.bare
    with running_browser() as browser:
        page = open_view(browser, sitting, "suspects")
        assert page.locator(DRAWN).count() == len(discs)
        open_first(page)
        wait_for_sample(page, "square corners 0")
        wait_for_answer(page, lambda: page.keyboard.press("a"))
        wait_for_sample(page, "square corners 1")  # the next one opens by itself
        keep = page.locator("#modal").get_by_role("button", name="Keep as it is")
        wait_for_answer(page, keep.click)
        wait_for_sample(page, "square corners 2")
        wait_for_answer(page, lambda: page.keyboard.press("2"))
        wait_for_sample(page, "square corners 3")
        first = [(discs[0], "relabel", "square"), (discs[1], "keep", "disc"), (discs[2], "relabel", "square")]
        assert said(sitting.dataset) == first
        close_sample(page)
        answer_a_batch(page, sitting, discs[2:12])
        batch = [(one, "relabel", "square") for one in discs[3:12]]  # one of the ten was answered already
        assert sorted(said(sitting.dataset)[3:]) == sorted(batch)
        select(page, ids_of(sitting, discs[:1]))
        page.get_by_text("last said by carol").first.wait_for()
        wait_for_answer(page, lambda: page.keyboard.press("d"))
        assert said(sitting.dataset)[-1] == (discs[0], "drop", "")
        wait_for_answer(page, lambda: page.keyboard.press("u"))
        assert sorted(said(sitting.dataset)[3:]) == sorted(batch)
        page.close()
        page = open_view(browser, sitting, "near-duplicate")
        page.get_by_text("Open a sample or select some").wait_for()
        select(page, ids_of(sitting, copies[:1]))
        page.get_by_text("Its group of copies").wait_for()
        wait_for_answer(page, lambda: page.keyboard.press("m"))
        assert said(sitting.dataset)[12:] == [(copies[1], "merge", copies[0])]
        page.close()
        page = open_view(browser, sitting, "unlabelled")
        open_first(page)
        for place in range(5):
            wait_for_sample(page, f"nobody said {place}")
            wait_for_answer(page, lambda: page.keyboard.press("2"))
        page.get_by_text("Nothing else in this view").wait_for()
        end_review(page)
    printed, _ = sitting.process.communicate(timeout=PATIENCE)
    assert sitting.process.returncode == 0
    assert said(sitting.dataset)[13:] == [(one, "relabel", "square") for one in bare]
    decided = [(one["sample_id"], one["action"], one["label"]) for one in json.loads(printed)["decisions"]]
    assert decided == said(sitting.dataset)
    manifest = build_version(sitting.dataset, sitting.spec).manifest.set_index("sample_id")
    assert copies[1] not in manifest.index and len(manifest) == 23
    assert set(manifest.index[manifest["label"] == "disc"]) == {discs[1]}


def close_sample(page: Any) -> None:
    run_in_app(page, "@voxel51/operators/close_sample")
    page.locator("#modal.modalon").wait_for(state="hidden")


def end_review(page: Any) -> None:
    """Press the panel's button, and the one of the question that it asks."""
    page.locator("#modal").get_by_role("button", name="End the review").click()
    page.get_by_text("Every answer is saved already").wait_for()
    page.get_by_role("button", name="End the review").last.click()
    page.get_by_text("The review has ended").wait_for()


def open_view(browser: Any, sitting: Sitting, view: str) -> Any:
    page = open_grid(browser, f"{sitting.origin}/datasets/{sitting.name}?view={view}")
    dismiss_offer(page)
    return page


def answer_a_batch(page: Any, sitting: Sitting, sample_ids: list[str]) -> None:
    """Select the samples in the grid, and accept them all with one key."""
    ids = ids_of(sitting, sample_ids)
    select(page, ids)
    page.get_by_text(f"and {len(ids) - 1} more").first.wait_for()
    wait_for_answer(page, lambda: page.keyboard.press("a"))
    page.get_by_text("Open a sample or select some").first.wait_for()  # the selection goes after the answer


def select(page: Any, ids: list[str]) -> None:
    run_in_app(page, "@voxel51/operators/set_selected_samples", samples=[{"id": one, "type": "default"} for one in ids])


def ids_of(sitting: Sitting, sample_ids: list[str]) -> list[str]:
    view = load_fiftyone().load_dataset(sitting.name)
    by_sample = dict(zip(*view.values(["sample_id", "id"]), strict=True))
    return [by_sample[one] for one in sample_ids]


def test_what_was_acknowledged_survives_each_kill_and_is_there_once(sitting: Sitting) -> None:
    """The App's server, the database and the review itself are killed in the middle of 200 answers."""
    requests = scripted_answers(sitting)
    acknowledged: list[str] = []
    killed: list[str] = []
    for place, request in enumerate(requests):
        if place in KILLS:
            threading.Timer(0.05, lambda kill: killed.append(kill(sitting)), [KILLS[place]]).start()  # meanwhile
        acknowledged += answer_until_acknowledged(sitting, request)
    assert killed == ["python", "mongod", "python"]
    kept = [one.id for one in read_decisions(sitting.dataset.decisions)]
    assert set(acknowledged) <= set(kept) and len(kept) == len(set(kept)) == CALLS
    assert CALLS - len(acknowledged) <= len(KILLS)  # written, and killed before it could be said
    decided = [(one.label, one.sample_id) for one in read_decisions(sitting.dataset.decisions)]
    assert decided == [(one["params"]["label"], one["sample_id"]) for one in requests]
    shown = load_fiftyone().load_dataset(sitting.name).values(["sample_id", "label.label"])
    assert dict(zip(*shown, strict=True)).items() >= {sample: label for label, sample in decided}.items()
    sitting.process.send_signal(signal.SIGINT)
    sitting.process.communicate(timeout=PATIENCE)
    assert sitting.process.returncode == 0 and len(read_decisions(sitting.dataset.decisions)) == CALLS


def kill_server(sitting: Sitting) -> str:
    return kill(sitting.server)


def kill_database(sitting: Sitting) -> str:
    folder = str(database_folder().resolve())
    return kill(next(one for one in psutil.process_iter() if folder in one.cmdline()))


def kill_whole_review(sitting: Sitting) -> str:
    return kill(psutil.Process(sitting.process.pid))


def kill(process: psutil.Process) -> str:
    """Kill ``process`` by SIGKILL and return the program's name, without a version."""
    name = Path(process.exe()).name.rstrip("0123456789.")
    process.kill()
    return name


KILLS: dict[int, Callable[[Sitting], str]] = {50: kill_server, 100: kill_database, 150: kill_whole_review}


def answer_until_acknowledged(sitting: Sitting, request: dict[str, Any]) -> list[str]:
    """Ask again what was not answered, as a reviewer would; type `curate review` again when it is gone."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            answer = post(sitting.origin, request)
            if not answer.get("error") and not answer["result"]["refused"]:
                return [one["id"] for one in answer["result"]["decisions"]]
        except (OSError, HTTPException, ValueError):
            pass
        if sitting.process.poll() is not None:
            sitting.process.communicate()
            sitting.process, sitting.origin = start_review(sitting.dataset)
        time.sleep(0.2)
    raise AssertionError(f"no answer within {PATIENCE} seconds")


def scripted_answers(sitting: Sitting) -> list[dict[str, Any]]:
    """200 requests: each disc becomes a square, then a disc again, and so on."""
    ids = dict(zip(sitting.discs, ids_of(sitting, sitting.discs), strict=True))
    rounds = [(("square", "disc")[turn % 2], one) for turn in range(CALLS) for one in sitting.discs][:CALLS]
    uri = f"{PLUGIN}/relabel"
    return [
        {
            "operator_uri": uri,
            "dataset_name": sitting.name,
            "params": {"label": label},
            "selected": [ids[one]],
            "view": [],
            "sample_id": one,  # for the test
        }
        for label, one in rounds
    ]


def post(origin: str, content: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{origin}/operators/execute", json.dumps(content).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)
