"""Similarity backend of FiftyOne: the App's "sort by similarity" uses the vectors that the audit computed.

FiftyOne keeps only where the dataset folder lies. Vectors stay in ``.curate/`` and are read when something is first
asked, by whichever process asks: the App's server is one of its own. No network runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fiftyone.brain.similarity import Similarity, SimilarityConfig, SimilarityIndex

from curate.review.mirror.points import has_vectors
from curate.review.mirror.snapshot import mark, marked
from curate.spec.model import Spec
from curate.spec.reading import read_spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, open_folder
from curate.vectors.embed import compute_embeddings

SIMILAR = "similar"  # the name of the index in the App
DIGITS = 6  # the last bits of a product depend on how the processor adds, and must not decide an order


def push_similarity(dataset: DatasetFolder, spec: Spec, view: Any, snapshot: pd.DataFrame) -> None:
    """Let the FiftyOne dataset ``view`` be sorted by likeness where all vectors are there; nowhere else."""
    wanted = has_vectors(dataset, spec, list(snapshot["sample_id"]))
    folder = str(dataset.path.resolve())
    if marked(view).get("similar", "") == (folder if wanted else "") and (view.has_brain_run(SIMILAR) == wanted):
        return
    if view.has_brain_run(SIMILAR):
        view.delete_brain_run(SIMILAR)
    if wanted:
        from fiftyone import brain

        brain.compute_similarity(view, embeddings=False, brain_key=SIMILAR, backend=NearestConfig, folder=folder)
    mark(view, similar=folder if wanted else "")


class NearestConfig(SimilarityConfig):  # type: ignore[misc]
    """What FiftyOne keeps of the index: the dataset folder."""

    def __init__(self, folder: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    @property
    def method(self) -> str:
        return "specurate"

    @property
    def max_k(self) -> None:
        return None

    @property
    def supports_least_similarity(self) -> bool:
        return True

    @property
    def supported_aggregations(self) -> tuple[str, ...]:
        return ("mean",)


class Nearest(Similarity):  # type: ignore[misc]
    """Makes the index; FiftyOne finds this class by the name of its configuration."""

    def initialize(self, samples: Any, brain_key: str) -> NearestIndex:
        return NearestIndex(samples, self.config, brain_key, backend=self)


class NearestIndex(SimilarityIndex):  # type: ignore[misc]
    """Samples by the cosine of their vectors; those that came since are read when they are first asked for."""

    def __init__(self, samples: Any, config: NearestConfig, brain_key: str, backend: Any = None) -> None:
        super().__init__(samples, config, brain_key, backend=backend)
        self._places: dict[str, int] = {}
        self._vectors = np.zeros((0, 0), np.float32)

    @classmethod
    def _from_dict(cls, d: dict[str, Any], samples: Any, config: NearestConfig, brain_key: str) -> NearestIndex:
        """What FiftyOne calls in a process that did not make the index."""
        return cls(samples, config, brain_key)

    @property
    def total_index_size(self) -> int:
        return len(self._samples)

    def cleanup(self) -> None:
        """Nothing of ours lies in the database."""

    def _kneighbors(
        self,
        query: Any = None,
        k: int | None = None,
        reverse: bool = False,
        aggregation: str | None = None,
        return_dists: bool = False,
    ) -> tuple[Any, ...]:
        """Return FiftyOne's ids of the samples in view, nearest to the mean of ``query`` first (last: ``reverse``)."""
        ids, sample_ids = self.view.values(["id", "sample_id"])
        known = [(key, sample_id) for key, sample_id in zip(ids, sample_ids, strict=True) if sample_id]
        keys = np.array([key for key, _ in known])
        places = self._find([sample_id for _, sample_id in known])
        wanted = query if isinstance(query, np.ndarray) else self._vectors_of(query)
        apart = 1 - np.round(self._vectors @ _direction(wanted), DIGITS)[places]
        order = np.lexsort((keys, -apart if reverse else apart))[:k]
        found = [str(key) for key in keys[order]]
        return (found, None, [float(one) for one in apart[order]]) if return_dists else (found, None)

    def _vectors_of(self, ids: Sequence[str]) -> np.ndarray:
        sample_ids = [one for one in self._samples.select(list(ids)).values("sample_id") if one]
        if len(sample_ids) < len(set(ids)):
            raise ValueError("Expected samples of the dataset's sources, found some that were added in the App.")
        return self._vectors[self._find(sample_ids)]

    def _find(self, sample_ids: Sequence[str]) -> list[int]:
        """Return where the samples' vectors lie, after reading anew when one is not there."""
        if any(one not in self._places for one in sample_ids):
            self._read()
        return [self._places[one] for one in sample_ids]

    def _read(self) -> None:
        dataset = open_folder(Path(self.config.folder))
        spec, ids = read_spec(dataset), sorted(filter(None, self._samples._root_dataset.values("sample_id")))
        if not has_vectors(dataset, spec, ids):
            raise Problem("Expected the vectors of all samples, but some are not computed yet: run `curate audit`.")
        self._vectors = compute_embeddings(dataset, spec, ids)
        self._places = {one: place for place, one in enumerate(ids)}


def _direction(vectors: np.ndarray) -> np.ndarray:
    """Return the mean of ``(n, D)`` or ``(D,)`` vectors as one ``(D,)`` of length 1."""
    mean = np.atleast_2d(vectors).astype(np.float32).mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
