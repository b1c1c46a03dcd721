"""Finds the samples most like one, from pictures and vectors kept in memory between pages of the panel."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np

from curate.log.decision import Decision
from curate.review.answers.answering import Answering
from curate.review.mirror.points import has_vectors
from curate.storage.folder import DatasetFolder
from curate.vectors.embed import compute_embeddings

MOST = 60_000  # samples whose vectors are held in memory: 300 MB of EfficientNet-Lite0


class Reviewed(Protocol):
    """The dataset under review, as far as a page needs it; see ``sitting.Sitting``."""

    dataset: DatasetFolder
    answering: Answering
    gallery: Gallery

    @property
    def events(self) -> list[Decision]: ...

    def find_waiting(self) -> list[Any]: ...


class Gallery:
    """Pictures and vectors of one dataset, kept between pages."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._vectors: np.ndarray | None = None
        self._of: object = None
        self._reading = threading.Lock()

    def warm_up(self, sitting: Reviewed) -> None:
        """Read the vectors, unless they are those of the sitting's evidence already."""
        with self._reading:
            evidence = sitting.answering.evidence
            if self._of is not evidence:
                self._ids, self._vectors = _read_vectors(sitting)
                self._of = evidence

    def nearest(self, sitting: Reviewed, sample_id: str, count: int) -> list[tuple[str, float]]:
        """Return the samples most like one, nearest first, with the cosine of their vectors; [] without vectors."""
        self.warm_up(sitting)
        if self._vectors is None or sample_id not in self._ids:
            return []
        here = self._ids.index(sample_id)
        likeness = np.round(self._vectors @ self._vectors[here], 6)
        likeness[here] = -np.inf
        # Equal likeness: the order of the ids, on any machine.
        order = np.lexsort((np.arange(len(likeness)), -likeness))[:count]
        return [(self._ids[place], float(likeness[place])) for place in order if place != here]


def _read_vectors(sitting: Reviewed) -> tuple[list[str], np.ndarray | None]:
    samples = sitting.answering.evidence.samples
    ids = sorted(samples.loc[samples["reason"] == "", "sample_id"])
    spec = sitting.answering.evidence.spec
    if len(ids) > MOST or not has_vectors(sitting.dataset, spec, ids):
        return ids, None
    return ids, compute_embeddings(sitting.dataset, spec, ids)
