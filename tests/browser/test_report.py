"""The report in a real Chromium without a network: what a reader sees, and that hostile names stay text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from curate.images.scan import scan_dataset
from curate.reporting.report import write_report
from curate.spec.reading import read_spec
from curate.storage.files import write_json
from curate.storage.folder import open_folder
from curate.storage.tables import FINDINGS, shaped, write_table
from tests.browser.shoot import running_browser

pytestmark = pytest.mark.slow

# A slash ends a folder's name: the first path is the file `script>.jpg` in a folder of a folder.
HOSTILE = ("<script>alert(1)</script>.jpg", "<img src=x onerror=alert(2)>.jpg", "\u202egpj.\"'&amp;.jpg")
# No class may be called so, but a table of another program may say it all the same.
LABEL = 'cat"><svg onload=alert(3)>'
COLOURS = {"red": (220, 40, 40), "blue": (40, 40, 220), "green": (40, 180, 60)}
# Paint each inlined picture on a canvas: what its centre shows is what was decoded.
CENTRES = """async () => {
  const centres = [];
  for (const one of document.querySelectorAll("symbol image")) {
    const picture = new Image();
    picture.src = one.href.baseVal;
    await picture.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    const brush = canvas.getContext("2d");
    brush.drawImage(picture, 0, 0);
    centres.push([...brush.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3));
  }
  return centres;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of three plain pictures under hostile names, each a label error, one a flip too."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, colour in zip(HOSTILE, COLOURS.values(), strict=True):
        path = folder / "images" / "animals" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (96, 64), colour).save(path)
    spec_lines = ["name: hostile", 'classes: {cat: "<b>bold</b>", dog: ""}', "sources:"]
    spec_lines += ["  - path: images", "    kind: folders", "    labels: {animals: cat}"]
    (folder / "dataset.yaml").write_text("\n".join(spec_lines), encoding="utf-8")
    dataset = open_folder(folder)
    scan = scan_dataset(dataset, read_spec(dataset))
    rows = scan.samples[["sample_id", "path"]].assign(
        issue="label_error", score=0.1, is_issue=True, group_id="", suggested_action="relabel", suggested_label=LABEL
    )
    findings = shaped(rows.assign(evidence=f"near {HOSTILE[1]}", kind="", detector="test"), FINDINGS)
    write_table(dataset.cache / "findings.parquet", findings)
    write_json(dataset.reports / "comparison.json", comparison(scan.samples))
    return write_report(dataset, read_spec(dataset))


def comparison(samples: pd.DataFrame) -> dict[str, Any]:
    interval = {"value": 0.9, "low": 0.8, "high": 1.0}
    flip = {"label": LABEL, "before": LABEL, "after": "dog", "p_before": 0.7, "p_after": 0.6, "kind": "broken"}
    return {
        "models": ["m1", "m2"],
        "versions": {"m1": "v1", "m2": "v2"},
        "recipes": {"m1": "small", "m2": "small"},
        "truth": {"version": "v2", "n": 3, "left_out": 0},
        "accuracy": {"m1": interval, "m2": interval},
        "difference": {"value": -0.1, "low": -0.3, "high": 0.1},
        "per_class": [],
        "mcnemar": {"fixed": 0, "broken": 1, "p_value": 1.0},
        "better": None,
        "needed_samples": 500,
        "verdict": f"Cannot tell m2 from m1 {HOSTILE[0]}",
        "flips": [{**samples.iloc[0][["sample_id", "path"]].to_dict(), **flip}],
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as opened:
        yield opened


class Watched:
    """A page with the network cut, and what it tried or complained of."""

    def __init__(self, browser: Any, report: Path, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.context.set_offline(True)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._refuse)
        self.page.goto(report.as_uri())
        self.page.wait_for_load_state("load")

    def _refuse(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()


@pytest.fixture
def watched(browser: Any, report: Path) -> Iterator[Watched]:
    opened = Watched(browser, report)
    yield opened
    opened.page.close()


def test_nothing_leaves_and_nothing_complains(watched: Watched, report: Path) -> None:
    for issue in watched.page.locator("details:not([open]) > summary").all():
        issue.click()
    watched.page.mouse.wheel(0, 20_000)
    assert [url for url in watched.requests if not url.startswith("data:")] == [report.as_uri()]
    assert watched.complaints == []


def test_hostile_names_are_shown_as_text(watched: Watched) -> None:
    text = watched.page.locator("body").text_content()
    assert HOSTILE[0] in text and HOSTILE[1] in text and LABEL in text
    assert "\\u202egpj.\"'&amp;.jpg" in text  # the mark that turns the reading direction is spelt out
    assert watched.page.locator("script, img, svg[onload], main b b").count() == 0


def test_pictures_are_decoded_and_drawn(browser: Any, report: Path) -> None:
    # Without the page's own policy a canvas may read the pictures; the page is the same.
    watched = Watched(browser, report, bypass_csp=True)
    centres = watched.page.evaluate(CENTRES)
    assert len(centres) == 3
    for colour in COLOURS.values():
        assert any(max(abs(a - b) for a, b in zip(colour, centre, strict=True)) < 12 for centre in centres)
    watched.page.close()


def test_a_picture_shown_twice_is_drawn_twice(watched: Watched) -> None:
    pictures = watched.page.locator("svg[role=img]")
    assert pictures.count() == 4
    for picture in pictures.all():
        box = picture.bounding_box()
        assert box["width"] > 90 and box["height"] > 90
    same = [watched.page.locator(f"section#{name} svg[role=img]").first for name in ("found", "models")]
    assert same[0].locator("use").get_attribute("href") == same[1].locator("use").get_attribute("href")


@pytest.mark.parametrize("width", [320, 400, 768, 1280])
def test_no_width_scrolls_sideways(browser: Any, report: Path, width: int) -> None:
    watched = Watched(browser, report, viewport={"width": width, "height": 800})
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    watched.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, report: Path, scheme: str) -> None:
    watched = Watched(browser, report, color_scheme=scheme)
    faint = watched.page.evaluate(CONTRAST)
    assert faint == []
    watched.page.close()


# Every element with text of its own against the nearest opaque ground behind it: WCAG 2.2, 1.4.3 asks for 4.5.
CONTRAST = """() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = value => value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = element => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    if (element.namespaceURI !== "http://www.w3.org/1999/xhtml") continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push([element.className, element.textContent.slice(0, 40), ratio.toFixed(2)]);
  }
  return faint;
}"""


def test_print_opens_every_issue(browser: Any, report: Path) -> None:
    watched = Watched(browser, report)
    watched.page.evaluate("document.querySelectorAll('details').forEach(one => one.removeAttribute('open'))")
    card = watched.page.locator("#found svg[role=img]").first
    assert not card.is_visible()
    watched.page.emulate_media(media="print")
    assert card.bounding_box()["height"] > 40
    watched.page.close()
