"""Labels of a dataset: annotators, votes, proposals for unlabelled samples, and what to label next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.api.stages import Stages
from curate.storage.files import Problem

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from curate.exchange.importing import Imported
    from curate.label.accept import Accepted
    from curate.label.propose import Proposals
    from curate.log.votes import Vote


class Labelling(Stages):
    """Votes, proposals and slices."""

    @property
    def votes(self) -> pd.DataFrame:
        """Who said what: ``sample_id, label, voter, path, share, time`` of the sources and of votes.jsonl."""
        from curate.images.samples import read_scan

        self._need_scan()
        return read_scan(self.folder).votes

    @property
    def voters(self) -> dict[str, Any]:
        """``voters``, a row each as ``log.votes.list_voters``, and how many samples are readable, tied, unlabelled.

        `of_unknown_samples` counts the votes in votes.jsonl whose sample no source holds now.
        """
        from curate.label.annotators import count_votes

        self._need_scan()
        return count_votes(self.folder)

    @property
    def annotators(self) -> pd.DataFrame:
        """A row for each person who voted, best to worst, and the model last: columns ``crowdlab.ANNOTATORS``."""
        from curate.label.annotators import tabulate_annotators

        self._need_scan()
        return tabulate_annotators(self.folder, self.spec)

    @property
    def slices(self) -> list[dict[str, Any]]:
        """A row for each slice of the spec: ``slice, samples, labels`` {class: samples}, ``unlabelled, rule``."""
        from curate.images.samples import read_scan
        from curate.log.decisions import read_decisions
        from curate.versions.slices import tabulate_slices

        self._need_scan()
        return tabulate_slices(read_scan(self.folder), self.spec, read_decisions(self.folder.decisions))

    def import_votes(
        self,
        source: Path | str,
        format: str = "",
        voter: str = "",
        rename: Mapping[str, str] | None = None,
        skip_bad: bool = False,
    ) -> Imported:
        """Add the labels in a file of CSV, JSONL, Label Studio, COCO or FiftyOne as votes; twice adds nothing.

        Parameters
        ----------
        format
            csv, jsonl, labelstudio, coco or fiftyone; '' tells it from the content.
        voter
            Who gave the labels, whatever the file says.
        rename
            What the file calls a class -> its name here.
        skip_bad
            Import the good rows although others are bad.
        """
        from curate.exchange.importing import import_votes

        with self._working():
            self._need_scan(fresh=True)
            return import_votes(self.folder, self.spec, Path(source), format, voter, rename, skip_bad)

    def export_votes(self, to: Path | str, format: str = "", image_prefix: str = "") -> list[Path]:
        """Write what all voters say now to a new file, and return the files written.

        Parameters
        ----------
        format
            csv, jsonl or labelstudio; '' tells it from the file's name.
        image_prefix
            For Label Studio: what goes before a path to make its address.
        """
        from curate.exchange.exporting import export_votes

        self._need_scan()
        return export_votes(self.folder, self.spec, Path(to), format, image_prefix)

    def withdraw_votes(self, withdraw: str) -> list[Vote]:
        """Withdraw the votes that a voter's imports gave, and return them; a Problem when no voter has that name."""
        from curate.log.votes import read_votes, withdraw_votes

        with self._working():
            taken = withdraw_votes(self.folder.votes, withdraw)
            left = sorted(set(read_votes(self.folder.votes)["voter"]))
        if not taken:
            known = ", ".join(left) or "there is none"
            raise Problem(f"Expected a voter of {self.folder.votes} ({known}), found {withdraw!r}.")
        return taken

    def label(self) -> Proposals:
        """Propose labels for the samples that have none, learnt from those that have; nothing is decided by it."""
        from curate.label.propose import propose_labels

        with self._working():
            self._need_audit(fresh=True)
            models, notes = self._model_says()
            proposals = propose_labels(self.folder, self.spec, models)
            return replace(proposals, notes=(*notes, *proposals.notes))

    def accept_proposals(self, accept: float, include_test: bool = False) -> Accepted:
        """Propose labels, and accept those with a probability of at least ``accept`` (0..1) as decisions.

        Parameters
        ----------
        include_test
            Also for samples of the test split: a model then writes its own exam.
        """
        from curate.label.accept import accept_proposals

        with self._working():
            notes = self.label().notes
            return replace(accept_proposals(self.folder, self.spec, accept, include_test), notes=notes)

    def pick_next(self, next: int) -> pd.DataFrame:
        """Return the ``next`` samples to label by hand first, in order, with what is proposed of them.

        Columns ``place, sample_id, path, split, why, proposed`` ('' where nothing is) and ``probability`` (0..1);
        ``.attrs`` holds `passed_over`, how many poor images were left out, and `notes`.
        """
        from curate.label.pick import pick_next

        with self._working():
            proposals = self.label()
            picks, passed_over = pick_next(self.folder, self.spec, proposals, next)
        said = proposals.combined.set_index("sample_id")
        picks = picks.assign(
            proposed=picks["sample_id"].map(said["label"]).astype(object).fillna(""),
            probability=picks["sample_id"].map(said["probability"]),
        )
        picks.attrs = {"passed_over": passed_over, "notes": list(proposals.notes)}
        return picks

    def _model_says(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """Return what the newest model says of the unlabelled samples; none, and a note, if it knows other classes.

        It is flattened to be as sure as its samples of val and test show it may be.
        """
        from curate.audit.evidence.calibration import apply_temperature, fit_temperature
        from curate.label.pool import unlabelled_samples
        from train.models import list_models, read_predictions, read_run

        spec, known = self.spec, list_models(self.folder)
        asked = unlabelled_samples(self.folder, spec) if known else []
        if not asked:
            return {}, []
        model = known[-1]
        classes = read_run(self.folder, model)["classes"]
        if set(classes) != set(spec.classes):
            return {}, [f"{model} knows other classes ({', '.join(classes)}) than the spec: it is not asked."]
        from train.predict import predict_samples

        probs = predict_samples(self.folder, model, asked, spec.class_names)
        held = read_predictions(self.folder, model).query("split != 'train'")
        said = held[[f"p_{name}" for name in spec.classes]].to_numpy()
        temperature = fit_temperature(held["label"].map(spec.class_names.index).to_numpy(), said)
        return {model: apply_temperature(probs, max(1.0, temperature))}, []
