"""What `curate review` opens on: an issue, the worst so many, images without a label, or where two models differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from curate.images.samples import Scan
from curate.review.mirror.push import push_review
from curate.review.opening import Opening, find_address
from curate.review.services.environment import load_fiftyone
from curate.review.services.server import PORT, choose_port
from curate.spec.model import Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from tests.conftest import curate, write_findings

Pushed = tuple[Any, list[str]]


@pytest.fixture
def pushed(grouped: tuple[DatasetFolder, Spec, Scan]) -> Pushed:
    """12 discs in FiftyOne: the first four look like squares, the fifth and sixth have no label."""
    dataset, spec, scan = grouped
    discs = list(scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"])
    rows: list[dict[str, object]] = [
        {"sample_id": one, "issue": "label_error", "score": 0.1 - place / 100} for place, one in enumerate(discs[:4])
    ]
    rows += [{"sample_id": one, "issue": "unlabelled", "score": 0.5} for one in discs[4:6]]
    write_findings(dataset, *rows)
    return load_fiftyone().load_dataset(push_review(dataset, spec)), discs


def view_at(view: Any, address: str) -> Any:
    """Return the samples that the App shows at ``address``."""
    slug = parse_qs(urlsplit(address).query)["view"][0]
    from fiftyone.core.utils import to_slug

    name = next(one for one in view.list_saved_views() if to_slug(one) == slug)
    return view.load_saved_view(name).values("sample_id")


def test_without_a_wish_it_is_the_suspects_or_the_worst_of_them(pushed: Pushed) -> None:
    view, discs = pushed
    assert view_at(view, find_address("http://here", view, Opening())) == discs[3::-1]
    assert view_at(view, find_address("http://here", view, Opening(limit=2))) == discs[3:1:-1]


def test_images_without_a_label_are_an_issue_like_others(pushed: Pushed) -> None:
    view, discs = pushed
    assert set(view_at(view, find_address("http://here", view, Opening("unlabelled")))) == set(discs[4:6])
    with pytest.raises(Problem, match=r"label_error \(4\), unlabelled \(2\)"):
        find_address("http://here", view, Opening("dark"))


def test_flips_are_shown_the_broken_first(pushed: Pushed) -> None:
    view, discs = pushed
    shown = {"before": "disc", "after": "square", "p_before": 0.75, "p_after": 0.875}
    flips = [{**shown, "sample_id": one, "kind": kind} for one, kind in zip(discs, ("fixed", "broken"), strict=False)]
    flips += [{**shown, "sample_id": "f" * 20, "kind": "fixed"}]  # gone since
    address = find_address("http://here", view, Opening(models=("m1", "m2"), flips=flips))
    assert view_at(view, address) == [discs[1], discs[0]]
    fields = view.match(load_fiftyone().ViewField("sample_id") == discs[1])
    told = fields.values(["flip.label", "m1.label", "m2.label", "m2.confidence"])
    assert [one for (one,) in told] == ["broken", "disc", "square", 0.875]
    assert view.app_config.active_fields.paths == ["label", "m1", "m2", "flip", "tags"]
    find_address("http://here", view, Opening(models=("m1", "m2"), flips=flips[:1]))
    assert view.count("flip.label") == 1  # of this comparison only
    find_address("http://here", view, Opening())
    assert "flip" not in view.app_config.active_fields.paths


def test_a_free_port_is_found_and_a_taken_one_is_refused() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match="--port"):
            choose_port("127.0.0.1", port)
    assert PORT <= choose_port("127.0.0.1") < PORT + 50


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--issue", "dark", "--unlabelled"], "found --issue and --unlabelled"),
        (["--pull", "--close"], "found --pull and --close"),
        (["--compare", "m1", "m2", "--html"], "found --html and --compare"),
        (["--to", "page.html"], "--html"),
        (["--compare", "m1", "m9"], "m1"),
    ],
)
def test_what_cannot_be_asked_together_is_said(
    grouped: tuple[DatasetFolder, Spec, Scan], words: list[str], told: str
) -> None:
    dataset, _, _ = grouped
    assert told in curate("review", dataset.path, *words, cwd=Path(dataset.path), code=2).stderr
