"""Sources and decisions to an immutable version: a manifest with a digest, never a copy of images.

The digest covers sample ids, labels, splits and the meaning of the spec, and the shares of the votes where the spec
wants them; not paths, times, or the machine. Building twice gives the same digest and no second version.
"""

from __future__ import annotations

import fnmatch
import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pandas as pd

from curate.images.scan import Scan, read_scan
from curate.log.decisions import decisions_digest, fold_decisions, read_decisions
from curate.log.votes import by_people
from curate.spec.model import Spec, spec_digest
from curate.storage.files import Problem, making_folder, read_json, write_json
from curate.storage.folder import DatasetFolder, next_id, numbered
from curate.storage.tables import MANIFEST, SPLITS, read_parquet, read_table, shaped, write_table
from curate.versions.soft_labels import DIGITS, compute_shares
from curate.versions.split import ANY, HASHED, NEVER, STRICTEST, Assignment, History, assign_splits, claim_places


@dataclass(frozen=True)
class Version:
    """A built version: its record (``version.json``), its manifest, and whether this call made it."""

    record: dict[str, Any]
    manifest: pd.DataFrame
    is_new: bool

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def digest(self) -> str:
        return str(self.record["digest"])


def build_version(dataset: DatasetFolder, spec: Spec, use_decisions: bool = True) -> Version:
    """Return the version that sources and decisions amount to now, written to ``versions/vN`` if it is new.

    Parameters
    ----------
    use_decisions
        False builds the sources as given: what the first version of a dataset is compared with.

    Raises
    ------
    Problem
        When there was no scan and audit yet, or a decision names an unknown class.
    """
    scan = read_scan(dataset)
    decisions = read_decisions(dataset.decisions) if use_decisions else []
    rows = resolve_labels(scan, fold_decisions(decisions), spec)
    rows["group_id"] = rows["sample_id"].map(read_groups(dataset, scan))
    places = place_samples(dataset, rows, spec)
    rows["split"] = rows["sample_id"].map(places.split)
    manifest = shaped(rows[rows["excluded"] == ""].sort_values("sample_id"), MANIFEST)
    shares = _shares(scan, manifest, decisions, spec)
    digest = version_digest(manifest, spec, shares)
    known = _find_version(dataset, digest)
    record = _record(scan, rows, manifest, places, spec, digest, decisions)
    record = known or _write_version(dataset, manifest, shares, record)
    _write_lock(dataset, record, places, spec, decisions)
    return Version(record, read_manifest(dataset, record["id"]) if known else manifest, is_new=not known)


def resolve_labels(scan: Scan, decided: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Return one row a sample: ``label``, ``decided_by`` and why it is left out (``excluded``, '' when it is not)."""
    rows = scan.samples[["sample_id", "path", "reason", "given_label", "given_split"]].merge(
        decided, on="sample_id", how="left"
    )
    texts = ["label", "merged_into", "decided_by"]
    rows[texts] = rows[texts].astype("str").where(rows[texts].notna(), "")
    rows["dropped"] = rows["dropped"].eq(True)
    rows["label"] = rows["label"].where(rows["label"] != "", rows["given_label"])
    unknown = rows[~rows["label"].isin(["", *spec.classes])]
    if len(unknown):
        raise Problem(
            f"Expected labels among {', '.join(spec.classes)}, but decisions or votes say {unknown['label'].iloc[0]!r} "
            f"for {unknown['path'].iloc[0]} ({len(unknown)} in all). Relabel them or add the class to dataset.yaml."
        )
    tied = set(by_people(scan.votes)["sample_id"])
    rows["excluded"] = [_why_excluded(row, row.sample_id in tied) for row in rows.itertuples()]
    return rows


def _why_excluded(row: Any, has_votes: bool) -> str:
    if row.reason:
        return "unreadable"
    if row.merged_into:
        return "merged into a near copy"
    if row.dropped:
        return "dropped"
    if not row.label:
        return "votes tie" if has_votes else "unlabelled"
    return ""


def _shares(scan: Scan, manifest: pd.DataFrame, decisions: list, spec: Spec) -> pd.DataFrame | None:
    """Return the vote shares of the version's samples, None where the spec wants labels alone."""
    if spec.train.labels != "shares":
        return None
    folded = fold_decisions(decisions).query("label != ''")
    decided = dict(zip(folded["sample_id"], folded["label"], strict=True))
    labels = dict(zip(manifest["sample_id"], manifest["label"], strict=True))
    return compute_shares(scan.votes, labels, decided, spec.class_names)


def place_samples(dataset: DatasetFolder, rows: pd.DataFrame, spec: Spec) -> Assignment:
    """Return the split of every readable sample; those that an earlier version holds stay where they were.

    Parameters
    ----------
    rows
        What ``resolve_labels`` returns, with ``group_id``.
    """
    readable = rows[rows["reason"] == ""].assign(label=lambda one: one["label"].where(one["excluded"] == "", ""))
    made_by = {one.id: one.tool for one in read_decisions(dataset.decisions) if one.action == "relabel"}
    readable["may_test"] = [MAY_TEST.get(made_by.get(one, ""), ANY) for one in readable["decided_by"]]
    readable["pinned"] = pinned_splits(readable, spec)
    return assign_splits(readable, spec.split, read_history(dataset, spec, set(readable["sample_id"])))


def read_exam(dataset: DatasetFolder, spec: Spec, samples: pd.DataFrame) -> set[str]:
    """Return those of ``samples`` that are in test by themselves and not by a copy: of copies, such a one stays."""
    readable = samples[samples["reason"] == ""]
    readable = readable.assign(pinned=pinned_splits(readable, spec))
    claims = claim_places(readable, spec.split, read_history(dataset, spec, set(readable["sample_id"])))
    return {sample_id for sample_id, claim in claims.items() if claim.split == "test"}


# A policy looks away from what lies in test, so what it relabelled stays out. Proposals are accepted outside of test
# unless a person asks for more, and the place of what has no label yet is that of the hash.
MAY_TEST = {"policy": NEVER, "label": HASHED}


def pinned_splits(rows: pd.DataFrame, spec: Spec) -> list[str]:
    """Return the split that the spec's ``split: pinned:`` states for each row, '' for none; of several the strictest.

    A pin is a sample id (or 6 or more digits of its start), a path, or a pattern of paths.
    """
    pins = [(split, pin) for split in STRICTEST for pin in spec.split.pinned.get(split, [])]  # type: ignore[call-overload]
    pairs = zip(rows["sample_id"], rows["path"], strict=True)
    return [next((split for split, pin in pins if is_pinned(pin, *pair)), "") for pair in pairs]


def is_pinned(pin: str, sample_id: str, path: str) -> bool:
    """Return whether ``pin`` means a sample.

    >>> is_pinned("exam/*", "0" * 20, "exam/1.jpg"), is_pinned("000000", "0" * 20, "a.jpg")
    (True, True)
    """
    return fnmatch.fnmatchcase(path, pin) or (len(pin) >= 6 and sample_id.startswith(pin))


def read_history(dataset: DatasetFolder, spec: Spec, sample_ids: set[str]) -> History:
    """Return where ``sample_ids`` were: in the current version, else in the latest that held them, and in the lock."""
    lock = read_json(dataset.lock) if dataset.lock.is_file() else None
    pins = None if lock is None else lock.get("splits", {})
    current = current_version(dataset)
    if not current:
        exam = {one for one, where in (pins or {}).items() if where == "test"}
        return History(None, pins, exam if spec.split.locked and lock and lock.get("locked") else None)
    old: dict[str, str] = {}
    for version in dict.fromkeys([current, *reversed(numbered(dataset.versions, "v"))]):
        path = dataset.versions / version / "manifest.parquet"
        rows = read_parquet(path, columns=["sample_id", "split"])
        old = dict(zip(rows["sample_id"], rows["split"], strict=True)) | old
        if sample_ids <= old.keys():
            break
    exam = {one for one, where in ((pins or {}) | old).items() if where == "test"}
    return History(old, pins, exam if spec.split.locked and exam else None)


def version_digest(manifest: pd.DataFrame, spec: Spec, shares: pd.DataFrame | None = None) -> str:
    """Return the SHA-256 of ``sample_id, label, split`` in order of sample_id, and of the spec's meaning.

    Shares are covered where the version carries them; without, the digest is what it was before there were any.
    """
    lines = manifest.sort_values("sample_id")[["sample_id", "label", "split"]].itertuples(index=False)
    text = "\n".join([spec_digest(spec), *("\t".join(line) for line in lines)])
    return hashlib.sha256((text + ("" if shares is None else f"\n{shares_digest(shares)}")).encode()).hexdigest()


def shares_digest(shares: pd.DataFrame) -> str:
    """Return the SHA-256 of a version's shares, in order of sample_id."""
    ordered = shares.sort_values("sample_id")
    rows = (
        "\t".join([row[0], *(f"{share:.{DIGITS}f}" for share in row[1:])]) for row in ordered.itertuples(index=False)
    )
    return hashlib.sha256("\n".join(["\t".join(shares.columns), *rows]).encode()).hexdigest()


def current_version(dataset: DatasetFolder) -> str:
    """Return the id of the version that the last build gave, as ``dataset.lock`` says; '' when none was built.

    It is not always the newest: when decisions are taken back, a build gives an older version again.
    """
    known = numbered(dataset.versions, "v")
    locked = read_json(dataset.lock).get("version", {}).get("id") if dataset.lock.is_file() else ""
    return locked if locked in known else (known or [""])[-1]


def read_version(dataset: DatasetFolder, version: str) -> dict[str, Any]:
    """Return the record of a version: id, digest, parent, created, counts {split: {class: n}}, excluded {reason: n}."""
    _expect_version(dataset, version)
    record: dict[str, Any] = read_json(dataset.versions / version / "version.json")
    return record


def read_manifest(dataset: DatasetFolder, version: str) -> pd.DataFrame:
    """Return the manifest of a version, with the columns of ``tables.MANIFEST``, sorted by sample_id."""
    _expect_version(dataset, version)
    return read_parquet(dataset.versions / version / "manifest.parquet")


def read_shares(dataset: DatasetFolder, version: str) -> pd.DataFrame | None:
    """Return the vote shares that a version carries: ``sample_id`` and one column a class; None when it has none."""
    _expect_version(dataset, version)
    path = dataset.versions / version / "shares.parquet"
    return read_parquet(path) if path.is_file() else None


def _expect_version(dataset: DatasetFolder, version: str) -> None:
    known = numbered(dataset.versions, "v")
    if version not in known:
        raise Problem(
            f"Expected a version of {dataset.path}, found {version!r}. "
            + (f"There are {', '.join(known)}." if known else f"There is none yet: `curate build {dataset.path}`.")
        )


def read_groups(dataset: DatasetFolder, scan: Scan) -> pd.Series:
    """Return the near-duplicate group of each readable sample, indexed by sample_id.

    Raises
    ------
    Problem
        When the audit has not seen all samples yet: a split without groups could leak.
    """
    table = read_table(dataset.cache / "groups.parquet", f"curate audit {dataset.path}")
    groups = table.set_index("sample_id")["group_id"]
    readable = scan.samples.loc[scan.samples["reason"] == "", "sample_id"]
    unseen = int((~readable.isin(groups.index)).sum())
    if unseen:
        raise Problem(f"{unseen} samples are newer than the last audit. Run `curate audit {dataset.path}` first.")
    return groups


def _find_version(dataset: DatasetFolder, digest: str) -> dict[str, Any] | None:
    records = (read_version(dataset, version) for version in reversed(numbered(dataset.versions, "v")))
    return next((record for record in records if record["digest"] == digest), None)


def _record(
    scan: Scan, rows: pd.DataFrame, manifest: pd.DataFrame, places: Assignment, spec: Spec, digest: str, decisions: list
) -> dict[str, Any]:
    sizes = manifest.groupby(["split", "label"]).size().to_dict()
    counts = {split: {name: int(sizes.get((split, name), 0)) for name in spec.classes} for split in SPLITS}
    excluded = rows.loc[rows["excluded"] != "", "excluded"].value_counts().sort_index()
    return {
        "digest": digest,
        "spec_digest": spec_digest(spec),
        "sources_digest": sources_digest(scan),
        "decisions_digest": decisions_digest(decisions),
        "decisions": len(decisions),
        "classes": spec.class_names,
        "samples": len(manifest),
        "counts": counts,
        "excluded": {str(reason): int(count) for reason, count in excluded.items()},
        "moved": places.moved,
    }


def sources_digest(scan: Scan) -> str:
    """Return the SHA-256 of what the sources held: contents, votes and stated splits; not names or places."""
    rows = scan.votes[["sample_id", "label", "voter"]].drop_duplicates().sort_values(["sample_id", "label", "voter"])
    contents = scan.samples[["sample_id", "given_split"]].itertuples(index=False)
    lines = ["\t".join(row) for row in (*contents, *rows.itertuples(index=False))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _write_version(
    dataset: DatasetFolder, manifest: pd.DataFrame, shares: pd.DataFrame | None, record: dict[str, Any]
) -> dict[str, Any]:
    """Make the folder under a temporary name and rename it: a version is there whole or not at all."""
    parent, version = current_version(dataset), next_id(dataset.versions, "v")
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = {"id": version, "parent": parent, "created": created, **record}
    with making_folder(dataset.versions / version) as making:
        write_table(making / "manifest.parquet", manifest)
        if shares is not None:
            write_table(making / "shares.parquet", shares)
        write_json(making / "version.json", record)
    return record


def _write_lock(
    dataset: DatasetFolder, record: dict[str, Any], places: Assignment, spec: Spec, decisions: list
) -> None:
    lock: dict[str, Any] = {
        "spec": spec_digest(spec),
        "sources": record["sources_digest"],
        "decisions": decisions_digest(decisions),
        "version": {"id": record["id"], "digest": record["digest"]},
        "splits": places.pins,
    }
    if spec.split.locked:
        lock["locked"] = True
    if not dataset.lock.is_file() or read_json(dataset.lock) != lock:
        write_json(dataset.lock, lock)
