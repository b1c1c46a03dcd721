"""Opens or creates a dataset folder and returns it as one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.api.curation import Curation
from curate.api.labelling import Labelling
from curate.api.modelling import Modelling

if TYPE_CHECKING:
    import pandas as pd


class Dataset(Curation, Labelling, Modelling):
    """A dataset folder: its stages, what they found, and its versions and models. `open_dataset` gives one.

    Methods change what lies in the folder (never an image), properties show it. Both first do what they need: see
    ``deps`` of `open_dataset`.
    """

    @property
    def samples(self) -> pd.DataFrame:
        """One row a sample, by sample_id, with the columns ``tables.SAMPLES``; `given_label` is what people said."""
        from curate.images.samples import read_scan

        self._need_scan()
        return read_scan(self.folder).samples

    def run(
        self, workers: int | None = None, device: str = "auto", tell: Callable[[str], None] = print
    ) -> dict[str, Any]:
        """Do everything from scan to report, only what is new, and return the summary that ``run --json`` prints.

        Parameters
        ----------
        workers, device
            Parallel readers; auto, cpu, cuda or mps.
        tell
            Called with a line for a person after each stage.
        """
        from curate.run import run_dataset

        with self._working():
            return run_dataset(self.folder, self.spec, workers, device, tell)

    def report(self) -> Path:
        """Write the report of what is there now, one HTML file and the same as JSON; return the HTML file's path."""
        from curate.reporting.report import write_report

        return write_report(self.folder, self.spec)


def open_dataset(path: Path | str = ".", deps: bool = True) -> Dataset:
    """Return the dataset in the folder ``path``.

    Parameters
    ----------
    deps
        Whether a stage first does what it needs: `audit` scans when files changed, `build` audits when there are new
        samples; False: what is missing is a Problem that names the command.

    Raises
    ------
    Problem
        When the folder holds no dataset.yaml.
    """
    return Dataset(path, deps)


def init_dataset(folder: Path | str, source: Path | str, classes: Iterable[str] = ()) -> Dataset:
    """Write a commented dataset.yaml into ``folder`` from what ``source`` holds, and return the dataset.

    Parameters
    ----------
    source
        Class folders, images, or a CSV with path,label[,split,annotator].
    classes
        The classes, where the source states none.

    Raises
    ------
    Problem
        When there is a dataset.yaml already, or the source holds no image, or states no class and none is given.
    """
    from curate.images.init import Start
    from curate.images.init import init_dataset as write_spec

    write_spec(Path(folder), Path(source), Start(classes=tuple(classes)))
    return open_dataset(folder)


def demo_dataset(folder: Path | str, samples: int = 1200, seed: int = 0) -> Dataset:
    """Draw cats and dogs with planted, recorded faults (``truth.csv``) into a new folder, and return the dataset."""
    from curate.demo.folder import write_demo
    from curate.images.init import Start
    from curate.images.init import init_dataset as write_spec

    write_demo(Path(folder), samples, seed)
    definitions = {"cat": "The drawn animal is a cat.", "dog": "The drawn animal is a dog."}
    end = "\n# What was planted in these drawings; the report compares the findings with it.\ntruth: truth.csv\n"
    start = Start(definitions=definitions, accept_below=0.25, recipe="lite0", end=end)
    write_spec(Path(folder), Path(folder) / "images", start)
    return open_dataset(folder)
