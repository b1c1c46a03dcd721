"""The stages scan, audit and build. Each first runs the stages that it depends on, as make does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.storage.folder import open_folder, working_on

if TYPE_CHECKING:
    import pandas as pd

    from curate.images.samples import Scan
    from curate.spec.model import Spec
    from curate.versions.read import Version


@dataclass(frozen=True)
class Audited:
    """What an audit found.

    `scored` has the columns ``tables.FINDINGS``, also for the samples that passed; `waiting` are the findings that no
    decision has answered. `patterns` (``tables.PATTERNS``) are faults of the dataset as a whole; `notes` say what could
    not be looked for, and why. `expected_errors` are rows of ``ledger.expected_errors`` on the open label errors,
    `leaks` rows of ``train.leaks.collect_leaks``.
    """

    scored: pd.DataFrame
    waiting: pd.DataFrame
    patterns: pd.DataFrame
    notes: list[str]
    expected_errors: list[dict[str, Any]]
    leaks: list[dict[str, Any]]

    def counts(self) -> list[dict[str, Any]]:
        """Return a row for each issue looked for: scored samples, found, still open, and the lowest score."""
        rows = []
        for issue, scored in self.scored.groupby("issue", sort=True):
            found, still = int(scored["is_issue"].sum()), int((self.waiting["issue"] == issue).sum())
            worst = scored["score"].min()
            rows.append({"issue": issue, "scored": len(scored), "found": found, "open": still, "worst": worst})
        return rows


class Stages:
    """A dataset folder, and its stages.

    Parameters
    ----------
    path
        The folder of dataset.yaml.
    deps
        Whether a stage first does what it needs: it scans anew where files changed, and audits where samples are newer
        than the audit; what only shows something makes what is missing. False: what is missing is a `Problem`.

    Raises
    ------
    Problem
        When there is no dataset.yaml in the folder. Every method raises one when dataset.yaml breaks a rule, and where
        another process is working on the same dataset.
    """

    def __init__(self, path: Path | str = ".", deps: bool = True) -> None:
        self.folder = open_folder(path)
        self.deps = deps
        self._is_working = False

    def __repr__(self) -> str:
        return f"open_dataset({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The folder of dataset.yaml."""
        return self.folder.path

    @property
    def spec(self) -> Spec:
        """What dataset.yaml says now, checked."""
        from curate.spec.reading import read_spec

        return read_spec(self.folder)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Hold the dataset's lock; a stage that calls another one holds it already."""
        if self._is_working:
            yield
            return
        with working_on(self.folder):
            self._is_working = True
            try:
                yield
            finally:
                self._is_working = False

    def scan(self, workers: int | None = None, engine: str = "threads") -> Scan:
        """Read the sources: hash, decode and measure every new image, and account for every file.

        Parameters
        ----------
        workers
            Parallel readers; the result is the same for any number. Default: one a core.
        engine
            ``threads`` or ``processes``.
        """
        from curate.images.scan import scan_dataset

        with self._working():
            return scan_dataset(self.folder, self.spec, workers, engine)

    def audit(self) -> Audited:
        """Find label errors, copies, leakage, outliers and poor images; returns at once when nothing changed."""
        from curate.audit.audit import audit_dataset, read_notes
        from curate.audit.findings import open_findings
        from curate.audit.ledger import expected_errors
        from curate.audit.patterns import read_patterns
        from curate.log.decisions import read_decisions
        from train.cross_fit import deep_evidence
        from train.leaks import collect_leaks

        with self._working():
            self._need_scan(fresh=True)
            spec = self.spec
            scored = audit_dataset(self.folder, spec, deep_evidence(self.folder, spec))
        waiting = open_findings(self.folder, scored)
        errors = expected_errors(waiting, read_decisions(self.folder.decisions)).to_dict("records")
        notes, leaks = read_notes(self.folder), collect_leaks(self.folder)
        return Audited(scored, waiting, read_patterns(self.folder), notes, errors, leaks)

    def build(self, as_given: bool = False) -> Version:
        """Return the version of sources and decisions as they are now; nothing new is written if nothing changed.

        Parameters
        ----------
        as_given
            Without any decision: the sources as they are.
        """
        from curate.versions.build import build_version

        with self._working():
            self._need_audit(fresh=True)
            return build_version(self.folder, self.spec, use_decisions=not as_given)

    def _need_scan(self, fresh: bool = False) -> None:
        """Scan where there is no scan yet; `fresh`: also to see whether files changed, which costs a directory walk."""
        from curate.images.samples import is_scanned

        if self.deps and (fresh or not is_scanned(self.folder)):
            self.scan()

    def _need_audit(self, *tables: str, fresh: bool = False) -> None:
        """Audit where one of ``tables`` is not there; `fresh`: also where samples or votes are newer than the audit."""
        from curate.audit.audit import has_seen_all, is_audited

        self._need_scan(fresh)
        needed = tables or ("findings", "groups")
        if self.deps and not (is_audited(self.folder, needed) and (not fresh or has_seen_all(self.folder))):
            self.audit()

    def _need_version(self) -> None:
        """Build where no version was built yet."""
        from curate.versions.read import current_version

        if self.deps and not current_version(self.folder):
            self.build()
