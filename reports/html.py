"""Renders one story and its pictures as one HTML file without network, script or other files.

A **story** is a plain JSON-able dict; ``report.json`` holds the same one. A part that is not there yet is None, and its
section then says which command fills it.

``dataset``
    ``name, folder, created`` (ISO time), ``classes`` {class: definition}, ``specurate`` (its version), ``drawn`` (bool:
    the embedded demo, so its images are drawings).
``files``
    ``samples, locations`` (further copies), ``unreadable, ignored, found``, or None before a scan.
``unreadable``
    list of ``path, reason``: each file that cannot be read, the first of them when there are very many.
``issues``
    None before an audit, else a list, most telling issue first, of ``issue, count, worst`` (the lowest score),
    ``outcomes`` {relabelled | kept | dropped | merged | left out | to review: count}, ``gallery`` (the worst samples),
    ``groups`` (the worst groups), ``group_count`` (all of them), ``keeps`` (whether any group shows a keeper), and
    ``expected``: how many of the worst to review are expected to be real, a list of ``findings, expected, low, high``.
    A gallery entry: ``sample_id, path, given_label, suggested_label, suggested_action, score, evidence, outcome``.
    A group: ``group_id, size, evidence, members`` of ``sample_id, path, given_label, outcome, keeper, width, height``,
    where the outcome of the member suggested to stay is ``best copy`` until somebody decides.
``patterns``
    None before an audit, else the rows of ``tables.PATTERNS``, each with ``gallery``: some of its samples, a list of
    ``sample_id, path, given_label``.
``decisions``
    None when the log is empty, else ``total``, ``by`` {action | actor | tool | issue: {value: count}} and ``latest``, a
    list of ``time, actor, tool, action, label, before, reason, issue, path, sample_id``.
``version``
    None before a build, else ``id, digest, parent, created, samples``, ``counts`` {split: {class: n}}, ``excluded``
    {reason: n} and ``changes``: None for a first version, else ``added, dropped, relabelled, moved`` (to another
    split) and ``relabels`` [{before, after, count}].
``models``
    list of ``id, version, recipe, seed, epochs, seconds, device, test`` where ``test`` is None or
    ``n, accuracy, low, high``.
``comparison``
    None, or what ``train.compare.compare_models`` returns, with the first flips of each kind.
``leaks``
    list of ``model, version, where`` (the copies lie), ``n, leaked, all, without, difference`` (accuracies with their
    intervals) and ``sentence``: test samples that somebody has seen, and the score without them.
``planted_truth``
    None but for the demo: ``rows`` of ``fault, issue, planted, found, false_alarms``, and ``model_accuracy``
    {model: value or None}, ``wrong_labels`` {version: {split: n}}.
``made``
    ``seconds`` {stage: s}, ``versions`` {package: version}, ``settings`` {key: value} and ``commands``, a list of
    ``command, purpose``.

Scores and accuracies are 0..1; a low score is bad.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import jinja2

from reports import figures

SECTIONS = {
    "found": "What was found",
    "patterns": "The dataset as a whole",
    "decided": "What was decided",
    "version": "What the version holds",
    "models": "How the models compare",
    "truth": "Against the planted truth",
    "made": "How this was made",
}


def render_report(story: Mapping[str, Any], thumbnails: Mapping[str, bytes]) -> str:
    """Return the HTML page of ``story``.

    Parameters
    ----------
    story
        See the module's description. Its text may hold anything: all of it is escaped.
    thumbnails
        sample id -> JPEG or PNG bytes. Each is inlined once, however often it is shown; a sample without one is
        shown as an empty frame.
    """
    pictures = {sample_id: f"p{number}" for number, sample_id in enumerate(sorted(thumbnails))}
    sources = {pictures[sample_id]: data_uri(content) for sample_id, content in sorted(thumbnails.items())}
    optional = {"truth": story["planted_truth"], "patterns": story.get("patterns")}
    sections = {name: title for name, title in SECTIONS.items() if optional.get(name, True)}
    template = open_templates().get_template("report.html.j2")
    return template.render(story, pictures=pictures, sources=sources, sections=sections)


def data_uri(content: bytes) -> str:
    """Return a JPEG or PNG as a ``data:`` URI.

    >>> data_uri(b"abc")
    'data:image/jpeg;base64,YWJj'
    """
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def open_templates() -> jinja2.Environment:
    """Return the templates of all pages: what they are given is escaped, and nothing may be missing."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=figures.printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figures.FILTERS)
    environment.globals.update(interval_axis=figures.interval_axis, issue_meaning=figures.issue_meaning)
    return environment
