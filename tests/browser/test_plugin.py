"""The plugin in the running App: a whole sitting by key and button, and an App killed in the middle of one."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from curate.build import build_version
from curate.dataset import DatasetFolder
from curate.decisions import read_decisions
from curate.review.environment import load_fiftyone
from curate.review.snapshot import review_name
from curate.scan import Scan
from curate.spec import Spec
from tests.browser.shoot import DRAWN, LOOKER, free_port, open_grid, running_browser
from tests.browser.test_app import PATIENCE, REVIEW, wait_for_app
from tests.conftest import write_findings, write_groups

PLUGIN = "@specurate/review"
CALLS = 40
BEFORE_THE_KILL = 12


@dataclass(frozen=True)
class Sitting:
    """A review in another process: `discs` look like squares, `copies` are one picture twice."""

    process: subprocess.Popen[str]
    dataset: DatasetFolder
    spec: Spec
    origin: str
    discs: list[str]
    copies: list[str]

    @property
    def name(self) -> str:
        return review_name(self.dataset)


@pytest.fixture
def sitting(grouped: tuple[DatasetFolder, Spec, Scan]) -> Iterator[Sitting]:
    dataset, spec, scan = grouped
    discs, squares = (
        list(scan.samples.loc[scan.samples["given_label"] == label, "sample_id"]) for label in ("disc", "square")
    )
    copies = squares[:2]
    write_groups(dataset, scan, dict.fromkeys(copies, copies[0]))
    found = {"issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
    rows: list[dict[str, object]] = [
        {**found, "sample_id": one, "score": 0.01 + place / 100, "evidence": f"square corners {place}"}
        for place, one in enumerate(discs)
    ]
    rows += [{"sample_id": one, "issue": "near_duplicate", "suggested_action": "merge"} for one in copies]
    write_findings(dataset, *rows)
    port = free_port()
    command = [sys.executable, "-c", REVIEW, str(dataset.path), str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        wait_for_app(process, f"http://127.0.0.1:{port}")
        yield Sitting(process, dataset, spec, f"http://127.0.0.1:{port}", discs, copies)
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                if "mongod" not in child.name():
                    child.kill()
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
    discs, copies = sitting.discs, sitting.copies
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
        assert said(sitting.dataset) == [
            (discs[0], "relabel", "square"),
            (discs[1], "keep", "disc"),
            (discs[2], "relabel", "square"),
        ]
        run_in_app(page, "@voxel51/operators/close_sample")
        page.locator("#modal.modalon").wait_for(state="hidden")
        answer_a_batch(page, sitting, discs[2:12])
        assert len(said(sitting.dataset)) == 3 + 9  # one of the ten was answered already
        wait_for_answer(page, lambda: page.keyboard.press("u"))
        assert len(said(sitting.dataset)) == 3
        page.close()
        page = open_view(browser, sitting, "near-duplicate")
        page.get_by_text("Open a sample or select some").wait_for()
        select(page, ids_of(sitting, copies[:1]))
        page.get_by_text("Its group of copies").wait_for()
        wait_for_answer(page, page.get_by_role("button", name="Keep this copy").click)
    sitting.process.send_signal(signal.SIGINT)
    printed, _ = sitting.process.communicate(timeout=PATIENCE)
    assert (sitting.process.returncode, printed.strip()) == (0, "4")
    stays, goes = copies if said(sitting.dataset)[-1][2] == copies[0] else copies[::-1]
    assert said(sitting.dataset)[3:] == [(goes, "merge", stays)]
    manifest = build_version(sitting.dataset, sitting.spec).manifest.set_index("sample_id")
    assert goes not in manifest.index and len(manifest) == 23
    assert manifest.loc[discs[:4], "label"].tolist() == ["square", "disc", "square", "disc"]


def open_view(browser: Any, sitting: Sitting, view: str) -> Any:
    page = open_grid(browser, f"{sitting.origin}/datasets/{sitting.name}?view={view}")
    dismiss = page.get_by_text("Dismiss")  # an advertisement, which hides all else from whoever asks by role
    dismiss.click()
    dismiss.wait_for(state="hidden")
    return page


def open_first(page: Any) -> None:
    """Open the first sample of the grid, once the panel beside it is there; the upper half of one is for selecting."""
    page.get_by_text("Open a sample or select some").wait_for()
    page.wait_for_timeout(1_000)  # milliseconds: the grid is laid out anew
    box = page.locator(LOOKER).first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6)


def answer_a_batch(page: Any, sitting: Sitting, sample_ids: list[str]) -> None:
    """Select the samples in the grid, and accept them all with one key."""
    ids = ids_of(sitting, sample_ids)
    select(page, ids)
    page.get_by_text(f"and {len(ids) - 1} more").first.wait_for()
    wait_for_answer(page, lambda: page.keyboard.press("a"))


def select(page: Any, ids: list[str]) -> None:
    run_in_app(page, "@voxel51/operators/set_selected_samples", samples=[{"id": one, "type": "default"} for one in ids])


def ids_of(sitting: Sitting, sample_ids: list[str]) -> list[str]:
    view = load_fiftyone().load_dataset(sitting.name)
    by_sample = dict(zip(*view.values(["sample_id", "id"]), strict=True))
    return [by_sample[one] for one in sample_ids]


def test_what_was_acknowledged_survives_a_kill_and_is_there_once(sitting: Sitting) -> None:
    requests = scripted_answers(sitting)
    acknowledged: list[str] = []
    server = next(
        child
        for child in psutil.Process(sitting.process.pid).children(recursive=True)
        if child.cmdline()[1:2] == ["main.py"]
    )
    for request in requests:
        if len(acknowledged) == BEFORE_THE_KILL:
            threading.Timer(0.05, server.kill).start()  # while requests go on
        try:
            acknowledged += [one["id"] for one in post(sitting.origin, request)["result"]["decisions"]]
        except (OSError, HTTPException, ValueError):
            break
    kept = {one.id for one in read_decisions(sitting.dataset.decisions)}
    assert BEFORE_THE_KILL <= len(acknowledged) < CALLS and set(acknowledged) <= kept
    assert len(kept) - len(acknowledged) in (0, 1)  # the one that was under way
    for request in requests[len(acknowledged) :]:
        run_here(request)
    expected = [(one["params"]["label"], one["sample_id"]) for one in requests]
    decided = read_decisions(sitting.dataset.decisions)
    assert [(one.label, one.sample_id) for one in decided] == expected


def scripted_answers(sitting: Sitting) -> list[dict[str, Any]]:
    """40 requests: each disc becomes a square, then a disc again, and so on."""
    ids = dict(zip(sitting.discs, ids_of(sitting, sitting.discs), strict=True))
    rounds = [(label, one) for label in ("square", "disc", "square", "disc") for one in sitting.discs][:CALLS]
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


def run_here(request: dict[str, Any]) -> None:
    """Run the operator in this process, on the same database: what a new App would do."""
    load_fiftyone()
    from fiftyone.operators.executor import execute_or_delegate_operator

    done = asyncio.run(execute_or_delegate_operator(request["operator_uri"], request)).to_json()
    assert not done["error"], done["error"]
