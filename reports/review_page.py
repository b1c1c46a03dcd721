"""Renders cards of open findings as one HTML page that needs no network and keeps a reviewer's answers.

The page is a plain dict; ``curate.reporting.review_page`` gathers it:

``dataset``, its name; ``classes`` {class: definition}; ``label_issues``, the issues that ask about the label;
``reviewer``, '' to ask; ``left``, how many cards are not on this page; and ``cards`` of

- ``id, issue, score, chance`` (that it is real; None when that is not known), ``evidence``;
- ``action, label``: what is suggested, '' for nothing; ``keeper``: of a group;
- ``members`` of ``id, path, label, size, evidence, open`` (whether it is asked about), ``after`` (the ids of the latest
  decisions on it), ``hidden`` that did not fit;
- ``context``: pictures to compare with, of ``id, path, label``.

What the page lets a reviewer download is JSONL, one ``curate.decide.answers_file.Answer`` a line.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jinja2

from reports.figures import issue_meaning, issue_title, printable
from reports.html import data_uri, open_templates

SHOWN = ("path", "size", "evidence")  # texts that are only read, so that what would not print is spelt out


def render_review_page(page: Mapping[str, Any], large: Mapping[str, bytes], small: Mapping[str, bytes]) -> str:
    """Return the HTML page.

    Parameters
    ----------
    page
        See the module's description. Its text may hold anything: none of it becomes markup or code.
    large, small
        sample id -> JPEG or PNG bytes, of what is judged and of what is only compared with. Each is inlined once, and
        decoded when it is shown; a sample without one is an empty frame.
    """
    pictures = {**small, **large}
    names = {sample_id: f"p{number}" for number, sample_id in enumerate(sorted(pictures))}
    shown = {**page, "cards": [_shown(card, names) for card in page["cards"]]}
    shown["issues"] = {
        issue: {"title": issue_title(issue), "meaning": issue_meaning(issue)}
        for issue in dict.fromkeys(card["issue"] for card in page["cards"])
    }
    # Answers are kept in the browser under this: the same questions find them again, other questions do not.
    shown["key"] = hashlib.sha256(json.dumps([page["dataset"], page["cards"]]).encode()).hexdigest()[:16]
    templates = open_templates()
    script, style = _source(templates, "review.js"), _source(templates, "colours.css", "review.css")
    return templates.get_template("review.html.j2").render(
        page=page,
        facts=_embedded(shown),
        pictures={names[one]: data_uri(content) for one, content in sorted(pictures.items())},
        script=script,
        style=style,
        script_hash=_csp_hash(script),
        style_hash=_csp_hash(style),
    )


def _source(templates: jinja2.Environment, *names: str) -> str:
    assert templates.loader is not None
    return "\n" + "".join(templates.loader.get_source(templates, name)[0] for name in names)


def _csp_hash(text: str) -> str:
    """Return ``text`` as a Content-Security-Policy names it: nothing else of its kind may run.

    >>> _csp_hash("")
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _embedded(value: Any) -> str:
    """Return ``value`` as JSON that cannot end the element it stands in.

    >>> print(_embedded(["</script><!--"]))
    ["\\u003c/script\\u003e\\u003c!--"]
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shown(card: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    parts = {key: [_picture(one, names) for one in card[key]] for key in ("members", "context")}
    return {**card, "evidence": printable(card["evidence"]), **parts}


def _picture(one: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    texts = {key: printable(one[key]) for key in SHOWN if key in one}
    return {**one, **texts, "picture": names.get(one["id"], "")}
