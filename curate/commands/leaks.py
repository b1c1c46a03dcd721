"""Computes a model's score without the leaked test samples: joins what `curate` found with `train`'s models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.commands.show import print_entries, print_json, say, warn
from train.leaks import collect_leaks, leak_sentence

if TYPE_CHECKING:
    import pandas as pd

    from curate.api.dataset import Dataset


def show_shared(dataset: Dataset, other: Path, json: bool) -> None:
    """Write which samples of the dataset are in ``other`` too, and what the models' scores are without these."""
    found = dataset.audit_against(other)
    leaks = [row for row in collect_leaks(dataset.folder) if row["where"] == f"are in {found.record['other']}"]
    if json:
        print_json({**found.record, "pairs": found.pairs.to_dict("records"), "leaks": leaks})
        return
    for note in found.record["notes"]:
        warn(note)
    if len(found.pairs):
        title = f"Shared with {other}" + (f", {SHOWN} of {len(found.pairs):,}" if len(found.pairs) > SHOWN else "")
        print_entries(pair_entries(found.pairs), title, below="theirs")
    for line in [*shared_sentences(found.record), *map(leak_sentence, leaks)]:
        say(line)
    say(f"All pairs: {dataset.folder.cache / 'against' / (found.record['name'] + '.parquet')}")


SHOWN = 20  # pairs


def pair_entries(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the first pairs to show: those whose labels differ, then the surest; ours in the row, theirs below."""
    rows = pairs.sort_values(["labels_differ", "similarity", "path"], ascending=[False, False, True]).head(SHOWN)
    return [
        {
            "kind": row.kind.replace("_", " "),
            "similarity": row.similarity,
            "split": row.split,
            "label": row.label,
            "path": row.path,
            "theirs": f"{row.other_path} ({', '.join(filter(None, [row.other_split, row.other_label])) or 'no label'})"
            + ("; the labels differ" if row.labels_differ else ""),
        }
        for row in rows.itertuples()
    ]


def shared_sentences(record: dict[str, Any]) -> list[str]:
    """Return what two sets share, in sentences."""
    splits = ", ".join(f"{count:,} in {split}" for split, count in record["shared_splits"].items())
    theirs = ", ".join(f"{count:,} of its {split}" for split, count in record["other_in_train_splits"].items())
    kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in record["kinds"].items())
    lines = [
        f"{record['shared']:,} of our {record['samples']:,} images are in {record['other']}"
        + (f" ({splits})" if splits else "")
        + f"; {record['other_shared']:,} of its {record['other_samples']:,} images are here, "
        + f"{record['other_in_train']:,} of them in our train{f' ({theirs})' if theirs else ''}."
    ]
    if kinds:
        lines.append(f"Pairs: {kinds}; {record['labels_differ']:,} with different labels.")
    return lines
