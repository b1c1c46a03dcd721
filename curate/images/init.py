"""Writes a commented ``dataset.yaml`` from what a folder of images or a CSV contains."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from curate.images.sources import SPLIT_FOLDERS, label_and_split, read_csv_rows, walk_files, why_ignored
from curate.spec.names import quote_name, trim_name
from curate.spec.reading import parse_spec
from curate.storage.files import Problem, write_atomic
from curate.storage.folder import DatasetFolder

GITIGNORE = "# caches and build products that `curate run` makes again\n.curate/\nmodels/\nreports/\n"
# Both sides' lines of a log are kept when git merges it: what contradicts each other then becomes a finding.
GITATTRIBUTES = "decisions.jsonl merge=union\nvotes.jsonl merge=union\n"

TEMPLATE = """\
# The specification of this dataset. `curate run` turns it into findings, versions, models and a report.
# Everything below `sources:` may be left out; the values shown are the defaults.
name: {name}

# What each class means, in a sentence: labellers and reviewers go by it.
classes:
{classes}

# Where the images lie, relative to this file. They are only ever read.
sources:
  - path: {path}
    kind: {kind}            # folders: one folder a class; flat: no labels; csv: path,label[,split,annotator]
    labels: {{}}               # what the source calls a class -> its name above, as in {{cats: cat}}
    ignore: []               # patterns of paths to leave out, as in ["*/thumbs/*"]

# Shares of the samples. Near copies stay in one split, and adding images moves no old one. More: `locked: true` keeps
# the test set as it is, `pinned: {{test: ["exam/*"]}}` says what belongs where. See `curate split --explain`.
split: {{train: 0.7, val: 0.1, test: 0.2, seed: 0}}

# What the audit looks with. More networks and mirror images find more label errors, and take longer.
audit:
  embedding: lite0             # lite0 | lite1 | lite2, or several: lite0+lite1+lite2
  mirrored: false              # true: the uncropped mirror image too
  label_errors: fast           # fast | deep        deep: networks fine-tuned by k-fold on top, for minutes or hours

# What `curate decide` (and `run`) does without asking. `review` leaves it to a person.
# Nothing is ever deleted: a decision is a line in decisions.jsonl and can be taken back.
policy:
  exact_duplicates: merge      # merge | review     same pixels in different files
  near_duplicates: keep_best   # keep_best | review
  unreadable: drop             # drop | review
  low_information: drop        # drop | review      blank images
  label_error: {{accept_below: {accept_below}}}   # review, or accept the suggested label when the score is below this
  label_conflict: review       # drop | review      (a policy never changes a label in the test split)
  outlier: review              # drop | review      unlike its neighbours: an odd pose, a drawing, far away
  off_topic: review            # drop | review      shows none of the classes
  blurry: review               # drop | review      as of dark, light, odd_size, odd_aspect_ratio and grayscale
  overlaid_text: review        # drop | review      a caption or a time stamp
  placeholder: review          # drop | review      an icon or "no image available", no photo
  border: review               # drop | review      a frame, or bars of one colour

# What must hold for `curate check` to pass.
check:
  min_per_class: 10
  min_test_per_class: 2
  max_imbalance: 10
  no_leakage: true

# What `curate run` trains: small (a ResNet from scratch), lite0 (a fine-tuned
# EfficientNet-Lite0) or smoke (seconds, to try the whole chain: it learns little).
train: {{recipe: {recipe}, seed: 0}}
"""


@dataclass(frozen=True)
class Start:
    """What a new spec says where the images cannot tell; `end` holds further lines of it."""

    classes: tuple[str, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)
    accept_below: float = 0.05
    recipe: str = "small"
    end: str = ""


def init_dataset(folder: Path, source: Path, start: Start | None = None) -> Path:
    """Write ``folder/dataset.yaml`` for the images of ``source`` and return its path.

    Parameters
    ----------
    source
        A folder with one folder a class, a flat folder, or a CSV file with the columns path,label.
    start
        The classes of a source that states none, their definitions, and other first values.

    Raises
    ------
    Problem
        When there is a spec already, the source is missing or empty, or no class can be told.
    """
    dataset, start = DatasetFolder(folder), start or Start()
    if dataset.spec.exists():
        raise Problem(f"{dataset.spec} is there already. Edit it, or name another folder.")
    if not source.exists():
        raise Problem(f"Expected a folder of images or a CSV file at {source}, but nothing is there.")
    labels, kind = _csv_labels(source) if source.is_file() else _folder_labels(source)
    names = list(start.classes) or sorted(label for label in labels if label)
    if not sum(labels.values()):
        raise Problem(f"Expected images in {source}, but found none. Name the folder that holds them.")
    if not names:
        raise Problem(f"{source} states no labels. Name the classes, as in `--classes cat,dog`.")
    text = _render(folder, source, kind, {name: labels[name] for name in names}, start)
    parse_spec(text, dataset.spec)
    write_atomic(dataset.spec, text)
    for name, lines in ((".gitignore", GITIGNORE), (".gitattributes", GITATTRIBUTES)):
        if not (folder / name).exists():
            write_atomic(folder / name, lines)
    return dataset.spec


def _folder_labels(source: Path) -> tuple[Counter[str], str]:
    """Count the images of each class folder; top folders called train, val, test are splits."""
    files = [file.relative_to(source).parts for file in walk_files(source) if not why_ignored(file, source)]
    classes = _classes_called_train(files)
    labels = Counter(label_and_split(parts, classes)[0] for parts in files)
    return labels, "folders" if any(labels) else "flat"


def _classes_called_train(files: list[tuple[str, ...]]) -> dict[str, str]:
    """Return the top folders that are classes though they have a split's name, as `train` beside `bus` and `car`.

    A split holds class folders; where no folder does, and other class folders stand beside, it is one of them.
    """
    tops = {trim_name(parts[0]) for parts in files if len(parts) > 1}
    like_splits = {name for name in tops if name.lower() in SPLIT_FOLDERS}
    has_splits = any(len(parts) > 2 and trim_name(parts[0]) in like_splits for parts in files)
    return {} if has_splits or tops == like_splits else dict.fromkeys(like_splits, "")


def _csv_labels(source: Path) -> tuple[Counter[str], str]:
    return Counter(trim_name(row.get("label", "")) for _, row in read_csv_rows(source)), "csv"


def _render(folder: Path, source: Path, kind: str, counts: dict[str, int], start: Start) -> str:
    quoted = [f"{quote_name(name)}: {quote_name(start.definitions.get(name, ''))}" for name in counts]
    width = max(map(len, quoted))
    lines = [f"  {text:<{width}}  # {count:,} images" for text, count in zip(quoted, counts.values(), strict=True)]
    text = TEMPLATE.format(
        name=quote_name(_name(folder)),
        classes="\n".join(lines),
        path=quote_name(Path(os.path.relpath(source, folder)).as_posix()),
        kind=kind,
        accept_below=start.accept_below,
        recipe=start.recipe,
    )
    return text + start.end


def _name(folder: Path) -> str:
    name = "".join(letter if letter.isalnum() or letter in "_. -" else "-" for letter in folder.resolve().name)
    return name.strip("-. ") or "dataset"
