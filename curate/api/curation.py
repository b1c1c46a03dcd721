"""Findings and decisions of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.api.stages import Stages
from curate.storage.files import Problem

if TYPE_CHECKING:
    import pandas as pd

    from curate.audit.against import Against
    from curate.audit.similar import Similar
    from curate.decide.answers import Applied
    from curate.log.decision import Decision
    from curate.reporting.review_page import ReviewPage


class Curation(Stages):
    """Findings to decisions."""

    @property
    def findings(self) -> pd.DataFrame:
        """What the audit found, and where people differ, worst first: columns ``tables.FINDINGS``, and `open`."""
        table = self.scored
        return table[table["is_issue"]].reset_index(drop=True)

    @property
    def scored(self) -> pd.DataFrame:
        """Every row that the audit scored (0..1, 0 worst), worst first, as `findings`; also those that passed."""
        from curate.audit.findings import open_findings, read_findings

        self._need_audit()
        table = read_findings(self.folder).sort_values("score", kind="stable", ignore_index=True)
        waiting = open_findings(self.folder, table)
        pairs = set(zip(waiting["sample_id"], waiting["issue"], strict=True))
        is_open = [pair in pairs for pair in zip(table["sample_id"], table["issue"], strict=True)]
        return table.assign(open=is_open)

    @property
    def patterns(self) -> pd.DataFrame:
        """Faults of the dataset as a whole (columns ``tables.PATTERNS``), and what was looked at and is none."""
        from curate.audit.patterns import read_patterns

        self._need_audit("patterns")
        return read_patterns(self.folder)

    @property
    def pattern_members(self) -> pd.DataFrame:
        """Which samples each pattern is about: ``name, sample_id``, the most telling first."""
        from curate.audit.patterns import read_members

        self._need_audit("pattern_members")
        return read_members(self.folder)

    @property
    def decisions(self) -> list[Decision]:
        """Every decision that stands, in the order of the log."""
        from curate.log.decisions import read_decisions

        return read_decisions(self.folder.decisions)

    def audit_against(self, against: Path | str) -> Against:
        """Return which images are in this dataset and in ``against``, a dataset folder or any folder of images."""
        from curate.audit.against import audit_against

        with self._working():
            self._need_scan(fresh=True)
            return audit_against(self.folder, self.spec, Path(against))

    def similar(self, image: Path | str, limit: int = 10) -> Similar:
        """Return the ``limit`` samples most like ``image``, copies first: a sample's id or path, or any image file."""
        from curate.audit.similar import find_similar

        self._need_scan()
        return find_similar(self.folder, self.spec, image, limit)

    def detectors(self, worth: float = 0.1) -> pd.DataFrame:
        """Return a row an issue: how often its detector was right by people's decisions, and whether to review on.

        Parameters
        ----------
        worth
            Least share of real errors among the next 50 that is worth a look.
        """
        from curate.audit.audit import DETECTORS
        from curate.audit.findings import open_findings, read_findings
        from curate.audit.ledger import tabulate_detectors

        self._need_audit()
        findings = read_findings(self.folder)
        return tabulate_detectors(findings, open_findings(self.folder, findings), self.decisions, DETECTORS, worth)

    @property
    def ledger(self) -> pd.DataFrame:
        """How often people agreed with findings: a row an issue, detector and range of scores; none without answers."""
        from curate.audit.ledger import tabulate_ledger

        return tabulate_ledger(self.decisions)

    def decide(
        self,
        sample: str = "",
        action: str = "",
        label: str = "",
        *,
        accept: str = "",
        max_score: float = 1.0,
        reason: str = "",
    ) -> list[Decision]:
        """Decide one sample; or accept an issue's suggestions; or, with neither, apply the spec's policy.

        Parameters
        ----------
        sample, action, label
            A sample's id, 6 or more of its digits, or its path; keep, relabel, drop, merge or undrop; the class, or
            for merge the sample that stays.
        accept, max_score
            An issue whose open findings with a score up to this are accepted.
        reason
            Why, for the log.
        """
        if accept and sample:
            raise Problem("Expected either a sample or an issue to accept, found both.")
        if sample:
            from curate.decide.by_hand import decide_sample

            self._need_scan()
            return [decide_sample(self.folder, self.spec, sample, action, label, reason)]
        self._need_audit(fresh=True)
        if accept:
            from curate.decide.acceptance import accept_findings

            return accept_findings(self.folder, self.spec, accept, max_score)
        from curate.decide.policy import apply_policy

        return apply_policy(self.folder, self.spec)

    def apply_answers(self, answers: Path | str, skip_bad: bool = False) -> Applied:
        """Write the answers that an offline page saved to the log: all, or none; ``skip_bad``: those that can stand."""
        from curate.decide.answers import apply_answers

        self._need_audit()
        return apply_answers(self.folder, self.spec, Path(answers), skip_bad)

    def review(
        self,
        issue: str = "",
        limit: int | None = None,
        compare: tuple[str, str] | None = None,
        reviewer: str = "",
        port: int | None = None,
        browser: bool = True,
        pull: bool = False,
    ) -> list[Decision]:
        """Open the FiftyOne App, wait for its end, and return the decisions made there.

        Parameters
        ----------
        issue, limit
            Open on this issue (`unlabelled`: the images without a label), at most so many, worst first.
        compare
            Open on the images on which these two models differ; [] at once when there are none.
        reviewer, port, browser
            Who reviews (default: the user's name), where it is served, whether a browser is opened.
        pull
            Only bring the App's edits back as decisions.
        """
        from curate.review.opening import Opening
        from curate.review.session import review

        self._need_audit()
        opening = self._find_flips(compare) if compare else Opening(issue, limit or 0)
        if opening is None:
            return []
        options: dict[str, Any] = {"pull": pull, "port": port, "browser": browser, "reviewer": reviewer or None}
        return review(self.folder, self.spec, opening=opening, **options)

    def _find_flips(self, compare: tuple[str, str]) -> Any:
        """Return what the App opens on; None when two models agree on every test image."""
        from curate.review.opening import Opening
        from curate.storage.terminal import warn
        from train.compare import compare_models

        found = compare_models(self.folder, self.spec, *compare)
        images = f"{len(found['flips']):,} test image" + ("" if len(found["flips"]) == 1 else "s")
        warn(f"{compare[0]} and {compare[1]} differ on {images}. {found['verdict']}")
        return Opening(models=compare, flips=found["flips"]) if found["flips"] else None

    def close_review(self) -> list[Decision]:
        """End this dataset's reviews, wherever they run, and return late edits as decisions."""
        from curate.review.session import close_review

        return close_review(self.folder, self.spec)

    def write_review_page(
        self, to: Path | str | None = None, issue: str = "", limit: int | None = None, reviewer: str = ""
    ) -> ReviewPage:
        """Write the questions of a review as one offline page (default: reports/review.html); see `review`."""
        from curate.reporting.review_cards import LIMIT
        from curate.reporting.review_page import write_review_page

        self._need_audit()
        path = None if to is None else Path(to)
        return write_review_page(self.folder, self.spec, path, issue, LIMIT if limit is None else limit, reviewer)
