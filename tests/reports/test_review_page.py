"""What the offline page asks, in which order, and that it holds nothing but itself."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from curate.audit.audit import audit_dataset
from curate.decide.by_hand import decide_sample
from curate.images.init import Start, init_dataset
from curate.images.samples import read_scan
from curate.images.scan import scan_dataset
from curate.reporting import review_cards, review_page
from curate.reporting.review_cards import collect_cards
from curate.reporting.review_page import write_review_page
from curate.spec.model import Audit
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.folder import open_folder
from curate.storage.tables import write_table
from reports.review_page import render_review_page
from tests.conftest import curate, write_findings, write_groups


def facts_of(html):
    """The page's questions, as its script reads them."""
    found = re.search(r'id="facts">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def text_of(page):
    assert page.path
    return page.path.read_text(encoding="utf-8")


@pytest.fixture
def asked(grouped):
    """A dark disc, two label errors the second worse, three copies; vectors in place of a network."""
    dataset, spec, scan = grouped
    ids = sorted(scan.samples.loc[scan.samples["given_label"] == "disc", "sample_id"])
    write_groups(dataset, scan, dict.fromkeys(ids[3:6], ids[4]))
    rows = [
        {"sample_id": ids[0], "issue": "dark", "suggested_action": "drop", "score": 0.0},
        {"sample_id": ids[1], "issue": "label_error", "suggested_action": "relabel", "suggested_label": "square"}
        | {"score": 0.3},
        {"sample_id": ids[2], "issue": "label_error", "score": 0.1},
        *({"sample_id": one, "issue": "near_duplicate", "group_id": ids[4], "score": 0.2} for one in ids[3:6]),
    ]
    write_findings(dataset, *rows)
    np.save(dataset.path / "vectors.npy", np.eye(24, 8, dtype=np.float32) + 0.1)
    (dataset.path / "vectors.txt").write_text("\n".join(scan.samples["sample_id"]), encoding="utf-8")
    return dataset, spec.model_copy(update={"audit": Audit(embedding="vectors.npy")}), ids


def test_issues_come_in_the_reports_order_and_the_worst_of_each_first(asked):
    dataset, spec, ids = asked
    cards, left = collect_cards(dataset, spec)
    expected = [f"label_error:{ids[2]}", f"label_error:{ids[1]}", f"near_duplicate:{ids[4]}", f"dark:{ids[0]}"]
    assert [card["id"] for card in cards] == expected and left == 0
    first, left = collect_cards(dataset, spec, limit=1)
    assert [card["id"] for card in first] == expected[:1] and left == 3
    assert [card["issue"] for card in collect_cards(dataset, spec, "dark")[0]] == ["dark"]
    with pytest.raises(Problem, match="Expected an issue"):
        collect_cards(dataset, spec, "darkness")


def test_files_that_no_page_can_show_are_told(asked):
    dataset, _, ids = asked
    samples = read_scan(dataset).samples
    samples.loc[samples["sample_id"] == ids[0], "reason"] = "no image"
    write_table(dataset.cache / "samples.parquet", samples)
    write_findings(dataset, {"sample_id": ids[0], "issue": "unreadable"})
    said = " ".join(curate("review", dataset.path, "--html").stdout.split())
    assert "no page was written" in said and "1 file cannot be read as an image" in said


def test_a_group_is_one_card_with_its_keeper_first(asked):
    dataset, spec, ids = asked
    (card,), _ = collect_cards(dataset, spec, "near_duplicate")
    assert card["keeper"] == card["members"][0]["id"] == ids[4]
    assert {one["id"] for one in card["members"]} == set(ids[3:6]) and all(one["open"] for one in card["members"])
    decide_sample(dataset, spec, ids[4], "drop", actor="bob")  # what is gone cannot stay
    decide_sample(dataset, spec, ids[3], "keep", actor="bob")
    (card,), _ = collect_cards(dataset, spec, "near_duplicate")
    assert {one["id"]: one["open"] for one in card["members"]} == {ids[3]: False, ids[5]: True}
    assert card["keeper"] in ids[3:6:2]


def test_a_large_group_is_asked_in_parts(asked, monkeypatch):
    dataset, spec, _ = asked
    monkeypatch.setattr(review_cards, "MEMBERS", 2)
    (card,), _ = collect_cards(dataset, spec, "near_duplicate")
    assert len(card["members"]) == 2 and card["hidden"] == 1


def test_neighbours_are_the_nearest_and_no_copies_of_it(asked):
    dataset, spec, ids = asked
    (card, _), _ = collect_cards(dataset, spec, "label_error")
    places = (dataset.path / "vectors.txt").read_text(encoding="utf-8").split()
    vectors = np.load(dataset.path / "vectors.npy")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = dict(zip(places, (vectors @ vectors[places.index(ids[2])]).round(5), strict=True))
    found = [one["id"] for one in card["context"]]
    others = sorted((one for one in likeness if one != ids[2]), key=lambda one: -likeness[one])
    assert [likeness[one] for one in found] == [likeness[one] for one in others[:5]] and ids[2] not in found


def test_chances_are_told_only_where_the_score_is_one_or_people_have_answered(asked):
    dataset, spec, ids = asked
    chances = {card["id"]: card["chance"] for card in collect_cards(dataset, spec)[0]}
    assert chances[f"label_error:{ids[2]}"] == pytest.approx(0.9, abs=0.01)
    assert chances[f"dark:{ids[0]}"] is None


def test_a_page_holds_all_it_needs_and_asks_for_nothing(asked, tmp_path):
    dataset, spec, _ = asked
    page = write_review_page(dataset, spec, tmp_path / "page.html", reviewer='Ann "<b>')
    html = text_of(page)
    assert "default-src 'none'" in html and "unsafe-inline" not in html and "://" not in html.replace("data:", "")
    assert 'value="Ann &#34;&lt;b&gt;"' in html and str(dataset.path) not in html
    facts = facts_of(html)
    pictures = {one["picture"] for card in facts["cards"] for one in card["members"] + card["context"]}
    assert "" not in pictures and all(f'id="{one}">data:image/jpeg;base64,' in html for one in pictures)
    assert facts_of(text_of(write_review_page(dataset, spec, tmp_path / "again.html")))["key"] == facts["key"]
    write_review_page(dataset, spec, tmp_path / "dark.html", "dark")
    assert facts_of((tmp_path / "dark.html").read_text())["key"] != facts["key"]


def test_a_page_without_pictures_is_still_a_page():
    card = {"id": "dark:x", "issue": "dark", "score": 0.5, "chance": None, "evidence": "\u202e", "action": "drop"}
    member = {"id": "x", "path": "</script>\x1b", "label": "", "size": "1 × 1", "evidence": "", "open": True}
    card |= {"label": "", "keeper": "", "hidden": 0, "context": [], "members": [member]}
    page = {"dataset": "<i>", "classes": {}, "label_issues": [], "reviewer": "", "left": 0, "cards": [card]}
    html = render_review_page(page, {}, {})
    assert html.count("</script>") == 2 and "<title>Review of &lt;i&gt;</title>" in html
    assert facts_of(html)["cards"][0]["members"][0]["path"] == "</script>\\u001b"


def test_too_large_a_page_is_refused_with_what_would_fit(asked, monkeypatch):
    dataset, spec, _ = asked
    monkeypatch.setattr(review_page, "LARGEST_PAGE", 20_000)
    with pytest.raises(Problem, match="--limit 1 or --issue"):
        write_review_page(dataset, spec)
    assert not (dataset.reports / "review.html").exists()


def test_odd_pictures_and_no_labels(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, size in {"dot": (1, 1), "thread": (1, 5000), "band": (5000, 1)}.items():
        Image.new("RGB", size, (9, 9, 9)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    init_dataset(tmp_path / "set", folder, Start(classes=("cat", "dog")))
    dataset = open_folder(tmp_path / "set")
    spec = read_spec(dataset).model_copy(update={"audit": Audit(embedding="vectors.npy")})
    assert "curate scan" in curate("review", dataset.path, "--html", "--no-deps", code=2).stderr
    ids = scan_dataset(dataset, spec).samples.query("reason == ''")["sample_id"]
    np.save(dataset.path / "vectors.npy", np.eye(3, 4, dtype=np.float32))
    (dataset.path / "vectors.txt").write_text("\n".join(ids), encoding="utf-8")
    with pytest.raises(Problem, match="curate audit"):
        write_review_page(dataset, spec)
    audit_dataset(dataset, spec)
    cards = facts_of(text_of(write_review_page(dataset, spec)))["cards"]
    assert {one["path"] for card in cards for one in card["members"]} == {"dot.png", "thread.png", "band.png"}
    for sample_id in ids:
        decide_sample(dataset, spec, sample_id, "drop")
    assert write_review_page(dataset, spec).path is None


def test_the_command_says_where_the_page_is_and_what_belongs_to_it(asked, tmp_path):
    dataset, _, _ = asked
    done = json.loads(curate("review", dataset.path, "--html", "--issue", "dark", "--json").stdout)
    assert done == {"page": str(dataset.reports / "review.html"), "cards": 1, "left": 0}
    told = curate("review", dataset.path, "--html", "--issue", "near_duplicate", "--to", tmp_path / "a.html").stdout
    assert f"Page: {tmp_path / 'a.html'} (" in told and f"curate decide {dataset.path} --from" in told
    assert "--html" in curate("review", dataset.path, "--to", "x.html", code=2).stderr
