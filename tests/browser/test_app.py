"""The running App: a browser sees the suspects, edits are logged as they are made, and it is ended from elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from curate.images.samples import Scan
from curate.log.decisions import read_decisions
from curate.review.mirror.snapshot import review_name
from curate.review.services.environment import load_fiftyone
from curate.review.services.running import running_reviews
from curate.spec.model import Spec
from curate.storage.folder import DatasetFolder
from curate.storage.tables import FINDINGS, shaped, write_table
from tests.browser.shoot import DRAWN, free_port, open_grid, running_browser
from tests.conftest import curate

pytestmark = pytest.mark.slow

REVIEW = """
import sys
from curate.storage.folder import open_folder
from curate.review.session import review
from curate.spec.reading import read_spec
dataset = open_folder(sys.argv[1])
decisions = review(dataset, read_spec(dataset), port=int(sys.argv[2]), browser=False, reviewer="carol")
print(len(decisions))
"""
PATIENCE = 90  # seconds for the App to come up on a busy machine


@dataclass(frozen=True)
class Reviewed:
    """A review in another process, as a person would run it: `suspects` were pushed with a suggested label."""

    process: subprocess.Popen[str]
    dataset: DatasetFolder
    origin: str
    suspects: list[str]
    others: list[str]

    @property
    def name(self) -> str:
        return review_name(self.dataset)


@pytest.fixture
def reviewed(scanned: tuple[DatasetFolder, Spec, Scan]) -> Iterator[Reviewed]:
    dataset, _, scan = scanned
    discs = list(scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"])
    rows = [{**dict.fromkeys(FINDINGS, ""), "sample_id": sample, "issue": "label_error"} for sample in discs]
    table = pd.DataFrame(rows).assign(score=0.02, is_issue=True, suggested_label="square")
    table["is_issue"] = [place < 5 for place in range(len(table))]
    write_table(dataset.cache / "findings.parquet", shaped(table, FINDINGS))
    port = free_port()
    command = [sys.executable, "-c", REVIEW, str(dataset.path), str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        wait_for_app(process, f"http://127.0.0.1:{port}")
        yield Reviewed(process, dataset, f"http://127.0.0.1:{port}", discs[:5], discs[5:])
    finally:
        process.kill()
        process.communicate()


def wait_for_app(process: subprocess.Popen[str], origin: str) -> None:
    """Return when the review has told its address: its server answers before all is pushed."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, "the review ended before the App was up"
        if any(one.url.startswith(origin) for one in running_reviews()):
            return
        time.sleep(0.2)
    raise AssertionError(f"the App was not open within {PATIENCE} seconds")


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, f"it was not so within {PATIENCE} seconds"
        time.sleep(0.1)


def ask(method: str, url: str, content: Any, **headers: str) -> Any:
    request = urllib.request.Request(url, json.dumps(content).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def edit_in_app(view: Any, origin: str, sample_id: str, label: str) -> None:
    """Change a label with the request that the App's editor sends."""
    sample = view.one(load_fiftyone().ViewField("sample_id") == sample_id)
    url = f"{origin}/dataset/{view._doc.id}/sample/{sample.id}"
    headers = {"Content-Type": "application/json-patch+json", "If-Match": f'"{sample.last_modified_at.isoformat()}"'}
    ask("PATCH", url, [{"op": "replace", "path": "/label/label", "value": label}], **headers)


def tag_in_app(view: Any, origin: str, sample_id: str, tag: str) -> None:
    """Tag a sample with the request that the App's tag menu sends."""
    sample = view.one(load_fiftyone().ViewField("sample_id") == sample_id)
    content = {"dataset": view.name, "view": [], "sample_ids": [sample.id], "changes": {tag: True}}
    ask("POST", f"{origin}/tag", content, **{"Content-Type": "application/json"})


def test_review_from_grid_to_log(reviewed: Reviewed) -> None:
    with running_browser() as browser:
        page = open_grid(browser, f"{reviewed.origin}/datasets/{reviewed.name}?view=suspects")
        assert page.locator(DRAWN).count() == 5
        assert page.locator('[data-cy="tag-given_label"]').all_inner_texts() == ["disc"] * 5
        assert page.locator('[data-cy="tag-suggested_label"]').all_inner_texts() == ["square"] * 5
    view = load_fiftyone().load_dataset(reviewed.name)
    edit_in_app(view, reviewed.origin, reviewed.suspects[0], "square")
    tag_in_app(view, reviewed.origin, reviewed.suspects[1], "keep")
    tag_in_app(view, reviewed.origin, reviewed.others[0], "drop")
    wait_for(lambda: len(read_decisions(reviewed.dataset.decisions)) == 3)  # while the App is open
    again = curate("review", reviewed.dataset.path, "--no-browser", "--reviewer", "carol")
    assert f"is open already, at {reviewed.origin}/datasets/" in again.stderr
    closed = curate("review", reviewed.dataset.path, "--close")
    assert "carol" in closed.stderr and "has ended" in closed.stderr
    printed, _ = reviewed.process.communicate(timeout=PATIENCE)
    assert (reviewed.process.returncode, printed.strip()) == (0, "3")
    decisions = read_decisions(reviewed.dataset.decisions)
    assert {(one.sample_id, one.action, one.label, one.finding, one.actor) for one in decisions} == {
        (reviewed.suspects[0], "relabel", "square", "label_error", "carol"),
        (reviewed.suspects[1], "keep", "disc", "label_error", "carol"),
        (reviewed.others[0], "drop", "", "", "carol"),
    }
