"""The offline page in a real Chromium without a network: a reviewer's answers come back as exactly these decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.audit.findings import open_findings
from curate.decide.answers import apply_answers
from curate.images.samples import Scan, read_scan
from curate.log.decisions import read_decisions
from curate.reporting.review_cards import collect_cards
from curate.reporting.review_page import write_review_page
from curate.spec.model import Audit, Spec
from curate.storage.folder import DatasetFolder
from curate.versions.build import build_version
from reports.review_page import render_review_page
from tests.browser.shoot import running_browser
from tests.browser.test_report import CONTRAST, Watched
from tests.conftest import write_findings, write_groups, write_partly_labelled

pytestmark = pytest.mark.slow

HOSTILE = "</script><img src=x onerror=alert(1)><!-- {{ 7 * 7 }} \u202egpj.exe"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as opened:
        yield opened


@pytest.fixture
def asked(scanned: tuple[DatasetFolder, Spec, Scan]) -> tuple[DatasetFolder, Spec, list[str], Path]:
    """Five discs that look like squares (the last is dark too), a group of three copies, one of two; and their page."""
    dataset, spec, scan = scanned
    ids = sorted(scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"])
    groups = {**dict.fromkeys(ids[5:8], ids[5]), **dict.fromkeys(ids[8:10], ids[8])}
    write_groups(dataset, scan, groups)
    errors = [
        {"sample_id": one, "issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
        | {"score": 0.01 * place, "evidence": f"looks like a square {HOSTILE}"}
        for place, one in enumerate(ids[:5])
    ]
    copies = [
        {"sample_id": one, "issue": "near_duplicate", "group_id": group, "evidence": "a copy"}
        | {"suggested_action": "keep" if one == group else "merge", "score": 0.1 if group == ids[5] else 0.2}
        for one, group in groups.items()
    ]
    dark = {"sample_id": ids[4], "issue": "dark", "suggested_action": "drop", "evidence": "as night"}
    write_findings(dataset, *errors, *copies, dark)
    spec = with_vectors(dataset, spec, scan)
    page = write_review_page(dataset, spec)
    assert page.path and (page.cards, page.left) == (8, 0)
    return dataset, spec, ids, page.path


def with_vectors(dataset: DatasetFolder, spec: Spec, scan: Scan) -> Spec:
    """Return ``spec`` with vectors from a file, so that no network has to run."""
    np.save(dataset.path / "vectors.npy", np.random.default_rng(0).normal(size=(24, 8)).astype(np.float32))
    (dataset.path / "vectors.txt").write_text("\n".join(scan.samples["sample_id"]), encoding="utf-8")
    return spec.model_copy(update={"audit": Audit(embedding="vectors.npy")})


@pytest.fixture
def review(browser: Any, asked: tuple[DatasetFolder, Spec, list[str], Path]) -> Iterator[Watched]:
    opened = Watched(browser, asked[3])
    yield opened
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("data:", "blob:"))] in (
        [asked[3].as_uri()],
        [asked[3].as_uri()] * 2,
    )
    opened.page.close()


def introduce(page: Any, name: str = "Ann B") -> None:
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#name-dialog", state="hidden")


def counts(page: Any) -> str:
    return str(page.locator("#counts").text_content())


def download(page: Any, folder: Path) -> Path:
    with page.expect_download() as started:
        page.click("#download")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def test_the_answers_of_a_review_are_exactly_the_decisions(
    review: Watched, asked: tuple[DatasetFolder, Spec, list[str], Path], tmp_path: Path
) -> None:
    dataset, spec, ids, _ = asked
    page = review.page
    introduce(page)
    assert "0 of 8 answered" in counts(page) and "about 5 of the 5 left are real" in counts(page)
    page.keyboard.press("Enter")  # accept: ids[0] is a square
    page.keyboard.press("k")  # ids[1] is a disc
    page.keyboard.press("n")
    page.keyboard.type("a square, k?")  # letters in a note are no shortcuts
    page.keyboard.press("Enter")
    page.keyboard.press("2")  # ids[2] is a square
    page.click("#drop")  # ids[3]
    page.click("#drop")  # ids[4], wrongly
    page.keyboard.press("u")
    assert "4 of 8 answered" in counts(page)
    page.reload()
    assert "4 of 8 answered" in counts(page) and not page.locator("#name-dialog[open]").count()
    page.keyboard.press("Space")  # ids[4] is left
    page.select_option("#issue", "near_duplicate")
    assert page.locator(".members li").count() == 3
    assert page.locator(".keeper .path").inner_text().startswith(path_of(dataset, spec, ids[5]))
    page.locator(".members li").nth(2).get_by_text("Not a copy").click()
    page.locator("main").focus()
    page.keyboard.press("Enter")  # the second merges into the first
    page.keyboard.press("2")  # of the other group the second stays
    assert "Everything that this filter shows is answered" in page.locator("main").inner_text()
    path = download(page, tmp_path)
    assert path.name == "answers-Ann-B.jsonl"

    done = apply_answers(dataset, spec, path)
    members = {card["id"]: [one["id"] for one in card["members"]] for card in collect_cards_before(dataset, spec)}
    three, two = members[f"near_duplicate:{ids[5]}"], members[f"near_duplicate:{ids[8]}"]
    said = [
        (one.sample_id, one.action, one.label, one.finding, one.reason) for one in read_decisions(dataset.decisions)
    ]
    evidence = f"looks like a square {HOSTILE}"
    assert sorted(said) == sorted(
        [  # the copy that stays needs no word of its own
            (ids[0], "relabel", "square", "label_error", evidence),
            (ids[1], "keep", "disc", "label_error", ""),
            (ids[2], "relabel", "square", "label_error", "a square, k?"),
            (ids[3], "drop", "", "label_error", ""),
            (three[1], "merge", three[0], "near_duplicate", "a copy"),
            (three[2], "keep", "", "near_duplicate", ""),
            (two[0], "merge", two[1], "near_duplicate", "a copy" if two[0] != ids[8] else ""),
        ]
    )
    assert {one.actor for one in done.decisions} == {"Ann B"}
    left = open_findings(dataset)
    assert sorted(zip(left["sample_id"], left["issue"], strict=True)) == [(ids[4], "dark"), (ids[4], "label_error")]
    manifest = build_version(dataset, spec).manifest.set_index("sample_id")["label"]
    assert manifest[ids[0]] == manifest[ids[2]] == "square" and manifest[ids[1]] == "disc"
    assert not {ids[3], three[1], two[0]} & set(manifest.index) and len(manifest) == 21


def collect_cards_before(dataset: DatasetFolder, spec: Spec) -> list[dict[str, Any]]:
    """The cards as they were before any decision."""
    log = dataset.decisions.read_bytes()
    dataset.decisions.unlink()
    cards, _ = collect_cards(dataset, spec)
    dataset.decisions.write_bytes(log)
    return cards


def path_of(dataset: DatasetFolder, spec: Spec, sample_id: str) -> str:
    cards, _ = collect_cards(dataset, spec)
    return next(str(one["path"]) for card in cards for one in card["members"] if one["id"] == sample_id)


def test_images_get_their_first_label(browser: Any, shapes: Path, tmp_path: Path) -> None:
    dataset, spec = write_partly_labelled(shapes, tmp_path)
    scan = read_scan(dataset)
    bare = list(scan.samples.loc[scan.samples["given_label"] == "", "sample_id"])
    write_groups(dataset, scan)
    write_findings(
        dataset, *({"sample_id": one, "issue": "unlabelled", "score": 0.1 * place} for place, one in enumerate(bare))
    )
    spec = with_vectors(dataset, spec, scan)
    page_file = write_review_page(dataset, spec, issue="unlabelled").path
    assert page_file
    review = Watched(browser, page_file)
    introduce(review.page)
    for _ in bare:
        review.page.keyboard.press("2")
    assert "5 of 5 answered" in counts(review.page)
    apply_answers(dataset, spec, download(review.page, tmp_path))
    review.page.close()
    decided = [(one.sample_id, one.action, one.label, one.finding) for one in read_decisions(dataset.decisions)]
    assert decided == [(one, "relabel", "square", "unlabelled") for one in bare]
    manifest = build_version(dataset, spec).manifest.set_index("sample_id")["label"]
    assert len(manifest) == 24 and set(manifest[bare]) == {"square"}


def test_an_answer_settles_what_the_same_picture_is_asked_elsewhere(review: Watched, tmp_path: Path) -> None:
    page = review.page
    introduce(page)
    page.select_option("#issue", "dark")
    page.keyboard.press("Enter")  # dropped: its label is no question any more
    page.select_option("#issue", "label_error")
    assert "1 of 5 answered" in counts(page)
    for _ in range(4):
        page.keyboard.press("k")
    page.select_option("#status", "open")
    assert page.locator(".done").count() == 1 and "3 others" not in page.locator(".done").inner_text()
    lines = [json.loads(line) for line in download(page, tmp_path).read_text().splitlines()]
    assert [one["finding"] for one in lines] == ["dark"] + ["label_error"] * 4


def test_a_keeper_dropped_later_has_its_group_asked_again(
    browser: Any, asked: tuple[DatasetFolder, Spec, list[str], Path], tmp_path: Path
) -> None:
    ids = asked[2]
    page = {**facts_of(asked[3]), "reviewer": "Ann"}
    keeper = next(card for card in page["cards"] if card["id"] == f"near_duplicate:{ids[8]}")["keeper"]
    blurry = next(card for card in page["cards"] if card["issue"] == "dark")
    blurry["members"][0]["id"] = keeper
    path = tmp_path / "page.html"
    path.write_text(render_review_page(page, {}, {}), encoding="utf-8")
    opened = Watched(browser, path)
    introduce(opened.page)
    opened.page.select_option("#issue", "near_duplicate")
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Enter")
    opened.page.select_option("#issue", "dark")
    opened.page.keyboard.press("d")
    assert "Its copies are asked about again" in opened.page.locator("#said").inner_text()
    opened.page.keyboard.press("u")
    opened.page.select_option("#issue", "near_duplicate")
    assert "2 of 2 answered" in counts(opened.page)
    assert opened.complaints == []
    opened.page.close()


def facts_of(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8").split('id="facts">', 1)[1].split("</script>", 1)[0]
    return dict(json.loads(text))


def test_hostile_texts_stay_text(review: Watched) -> None:
    introduce(review.page)
    shown = review.page.locator(".evidence").inner_text()
    assert "</script><img src=x onerror=alert(1)><!-- {{ 7 * 7 }} \\u202egpj.exe" in shown
    assert review.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_no_width_scrolls_sideways(
    browser: Any, asked: tuple[DatasetFolder, Spec, list[str], Path], scheme: str
) -> None:
    for width in (320, 360, 800, 1280):
        opened = Watched(browser, asked[3], viewport={"width": width, "height": 740}, color_scheme=scheme)
        introduce(opened.page)
        for issue in ("label_error", "near_duplicate"):
            opened.page.select_option("#issue", issue)
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
            assert opened.page.evaluate(CONTRAST) == []
        opened.page.close()


def test_where_nothing_is_kept_the_page_says_so_and_works(
    browser: Any, asked: tuple[DatasetFolder, Spec, list[str], Path], tmp_path: Path
) -> None:
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }})")
    page = context.new_page()
    page.goto(asked[3].as_uri())
    introduce(page)
    assert "does not keep your answers" in page.locator("#warning").inner_text()
    page.keyboard.press("Enter")
    assert len(download(page, tmp_path).read_text().splitlines()) == 1
    context.close()


def test_a_class_among_many_is_found_by_its_start(
    browser: Any, asked: tuple[DatasetFolder, Spec, list[str], Path], tmp_path: Path
) -> None:
    page = facts_of(asked[3])
    page["classes"] = {f"kind {number}": "" for number in range(300)} | {"disc": "", "square": "", "Zebra": "striped"}
    path = tmp_path / "many.html"
    path.write_text(render_review_page(page, {}, {}), encoding="utf-8")
    opened = Watched(browser, path)
    introduce(opened.page)
    opened.page.keyboard.press("1")  # number keys would reach nine of them only
    opened.page.keyboard.press("r")
    opened.page.keyboard.type("zeb")
    opened.page.keyboard.press("Enter")
    (line,) = download(opened.page, tmp_path).read_text().splitlines()
    assert json.loads(line)["label"] == "Zebra"
    opened.page.close()


def test_a_key_held_down_answers_once(review: Watched) -> None:
    page = review.page
    introduce(page)
    page.keyboard.down("k")
    page.keyboard.down("k")  # Playwright sends this as a repeat
    page.keyboard.up("k")
    assert "1 of 8 answered" in counts(page)
