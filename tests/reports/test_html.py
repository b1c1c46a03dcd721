"""The page of a story: it says each fact, each picture is in it once, and no text of the story becomes markup."""

from __future__ import annotations

import copy
import itertools
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

from reports.html import SECTIONS, render_report

VOID = {"meta", "link", "br", "image", "use", "img", "input"}
HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}\u202egpj\x00\udce9.jpg"


class Page(HTMLParser):
    """The elements of a page and the text that a reader sees."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.feed(source)
        self.close()
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if "style" not in self.open:
            self.pieces.append(text)

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def replaced_texts(value: Any, text: str, keep: tuple[str, ...] = ()) -> Any:
    """Return ``value`` with every text under a key that a user's files or names can fill replaced by ``text``."""
    if isinstance(value, dict):
        return {key: one if key in keep else replaced_texts(one, text, keep) for key, one in value.items()}
    if isinstance(value, list):
        return [replaced_texts(one, text, keep) for one in value]
    return text if isinstance(value, str) else value


def test_page_says_what_the_story_says(story: dict[str, Any], thumbnails: dict[str, bytes]) -> None:
    text = Page(render_report(story, thumbnails)).text
    facts = [
        "Version v2 Digest abababababab",
        "1,204 samples + 3 further copies of the same bytes + 2 unreadable + 1 ignored = 1,210 files found",
        "m2 is better than m1: accuracy 0.850 -> 0.900 on 240 test samples of v2.",
        "Label errors 2 0.020 relabelled 1 to review 1",
        "To review: about 1 of the worst 1 is expected to be real (0 to 1).",
        "9 of its 10 nearest neighbours are dog cat/9.jpg score 0.020 to review",
        "cat/2.jpg 320 × 200 merged and 1 more in this group 2 of 64 bits differ",
        "cat/torn.jpg the file is empty",
        "relabel cat → dog cat/9.jpg score 0.02 is below 0.05 policy (curate decide)",
        "500 60 120 680",
        "all 840 120 240 1,200",
        "merged into a near copy 4",
        "relabelled cat → dog: 1 1",
        "+5.0 points m2 minus m1; 95 % interval +1.0 to +9.0 14 fixed wrong in m1, right in m2 2 broken",
        "p = 0.004",
        "dog 0 – – – – – –",
        "m1: cat 60 % wrong m2: dog 93 % right",
        "near copy near duplicate 4 3 1",
        "The images of this demo are drawings.",
        "v1 31 0 8",
        "train 1 min 3 s",
        "curate review pets look at the suspects",
    ]
    assert [fact for fact in facts if fact not in text] == []


def test_sections_come_in_story_order(story: dict[str, Any], thumbnails: dict[str, bytes]) -> None:
    text = Page(render_report(story, thumbnails)).text
    places = [text.rindex(title) for title in list(SECTIONS.values())[1:]]
    assert places == sorted(places)


def test_each_picture_is_inlined_once_and_shown_wherever_it_is_needed(
    story: dict[str, Any], thumbnails: dict[str, bytes]
) -> None:
    page = Page(render_report(story, thumbnails))
    inlined = [value for tag, one in page.elements if tag == "image" for value in [one["href"]]]
    assert len(inlined) == len(set(inlined)) == 4
    assert sorted({value.split(";")[0] for value in inlined}) == ["data:image/jpeg", "data:image/png"]
    shown = Counter(one["href"] for tag, one in page.elements if tag == "use")
    assert sorted(shown.values()) == [1, 1, 1, 3]  # the suspect is a label error, is dark, and flipped
    assert all(one["aria-label"] for tag, one in page.elements if tag == "svg" and one.get("role") == "img")


def test_a_sample_without_thumbnail_has_an_empty_frame(story: dict[str, Any]) -> None:
    page = Page(render_report(story, {}))
    assert "no picture" in page.text
    assert not [tag for tag, _ in page.elements if tag in ("use", "image")]


def test_missing_parts_name_the_command_that_fills_them(empty_story: dict[str, Any]) -> None:
    text = Page(render_report(empty_story, {})).text
    for command in ("audit", "decide", "build", "train"):
        assert f"curate {command} pets" in text
    assert "planted truth" not in text


def test_an_audit_that_finds_nothing_says_so(empty_story: dict[str, Any]) -> None:
    assert "The audit found nothing to point out." in Page(render_report({**empty_story, "issues": []}, {})).text


def test_one_model_has_nothing_to_be_compared_with(story: dict[str, Any]) -> None:
    alone = {**story, "models": story["models"][:1], "comparison": None}
    page = Page(render_report(alone, {}))
    assert "there is nothing to compare it with yet" in page.text
    assert "85.0 % m1 on 240 samples" in page.text


def test_no_text_of_the_story_becomes_markup(story: dict[str, Any], thumbnails: dict[str, bytes]) -> None:
    ids = ("sample_id", "kind", "models", "accuracy", "versions", "recipes", "model_accuracy", "id")
    hostile = replaced_texts(copy.deepcopy(story), HOSTILE, keep=ids)
    hostile["dataset"]["classes"] = {HOSTILE: HOSTILE}
    hostile["version"]["excluded"] = {HOSTILE: 1}
    clean, page = Page(render_report(story, thumbnails)), Page(render_report(hostile, thumbnails))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in clean.elements}
    assert not [name for _, one in page.elements for name in one if name.startswith("on")]
    assert "<script>alert(1)</script>\"'&{{ 7*7 }}\\u202egpj\\u0000\\udce9.jpg" in page.text
    assert "49" not in page.text


def test_page_can_be_written_as_utf8(story: dict[str, Any]) -> None:
    render_report(replaced_texts(story, "\udcff", keep=("models", "versions", "recipes", "sample_id")), {}).encode()


def test_nothing_is_fetched_and_no_script_runs(story: dict[str, Any], thumbnails: dict[str, bytes]) -> None:
    source = render_report(story, thumbnails)
    page = Page(source)
    assert source.lstrip().lower().startswith("<!doctype html>")
    assert not [tag for tag, _ in page.elements if tag in ("script", "iframe", "object", "embed", "form", "base")]
    assert all(value.startswith(("#", "data:")) for value in page.values("href") + page.values("src"))
    assert not re.search(r"url\(|@import", source)
    policy = [one["content"] for tag, one in page.elements if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_ids_are_unique_and_every_link_leads_somewhere(story: dict[str, Any], thumbnails: dict[str, bytes]) -> None:
    page = Page(render_report(story, thumbnails))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [value[1:] for value in page.values("href") if value.startswith("#")] + page.values("aria-labelledby")
    assert set(links) <= set(ids)


def test_headings_skip_no_level(story: dict[str, Any], thumbnails: dict[str, bytes]) -> None:
    page = Page(render_report(story, thumbnails))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.open == []


def test_the_same_story_gives_the_same_page(story: dict[str, Any], thumbnails: dict[str, bytes]) -> None:
    backwards = dict(reversed(list(thumbnails.items())))
    assert render_report(story, thumbnails) == render_report(copy.deepcopy(story), backwards)


def test_faults_of_the_whole_are_told_with_pictures(story: dict[str, Any]) -> None:
    page = render_report(story, {})
    text = page[page.index('<section id="patterns"') :]
    assert "cat: brightest pixels" in text and "46 of 50 (92%) of dog" in text and "cat/1.jpg" in text
    assert "Looked at, and no fault" in text and "dog: class size" in text
