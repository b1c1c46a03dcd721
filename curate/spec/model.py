"""The model of ``dataset.yaml``: the meaning of the classes, the sources, and the rules.

Every error names the file, the line, the key and what is allowed there.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curate.spec.names import ClassName, trim_name

Reviewed = Literal["review", "drop"]


class Part(BaseModel):
    """A section of the spec: unknown keys are errors, values do not change after loading."""

    # A threshold that is no number would compare with nothing, and so turn its check off unseen.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(Part):
    """Where images come from; `path` is relative to dataset.yaml."""

    path: str = Field(description="a folder, or a CSV file with the columns path,label[,split,annotator]")
    kind: Literal["folders", "flat", "csv"] = Field("folders", description="folders: class folders; flat: unlabelled")
    labels: dict[ClassName, ClassName] = Field({}, description="what the source calls a class -> its name here")
    ignore: list[str] = Field([], description="patterns of paths to leave out, as in '*/thumbs/*'")


class Images(Part):
    """How unusual images become 8-bit RGB."""

    alpha: Literal["white", "black", "grey"] = Field("white", description="what lies behind transparent pixels")
    animation: Literal["first_frame", "refuse"] = Field("first_frame", description="an animated image")
    max_pixels: int = Field(80_000_000, ge=1, description="a larger image is unreadable: a decompression bomb")


class Split(Part):
    """Shares of the samples, met by a keyed hash of each near-duplicate group."""

    train: float = Field(0.7, gt=0, le=1)
    val: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)
    seed: int = 0
    use_given: bool = Field(True, description="keep the split that a CSV source or a folder states")
    locked: bool = Field(False, description="the test set stays as it is: only copies of what is in it come to it")
    pinned: dict[Literal["train", "val", "test"], list[str]] = Field(
        {}, description="split -> sample ids, paths, or patterns as in 'exam/*', that belong there"
    )

    @model_validator(mode="after")
    def shares_add_up(self) -> Split:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, but they are {total:g}")
        return self


class Range(Part):
    """Bounds of a number of the scan or the metadata; `below` and `above` are exclusive."""

    below: float | None = None
    above: float | None = None


class Slice(Part):
    """A named subset of the samples: all conditions must hold.

    A text is a pattern such as `web/*`, or a list of patterns of which one must fit.
    """

    path: str | list[str] = []
    source: str | list[str] = []
    given_label: str | list[str] = []
    measures: dict[str, Range] = Field({}, description="column of the scan, as width or brightness -> its bounds")
    metadata: dict[str, str | list[str]] = Field({}, description="a further column of a CSV source -> its pattern")


class Audit(Part):
    """What the detectors look with; scores are 0..1 and low is bad."""

    embedding: str = Field(
        "lite0",
        description="lite0, lite1, lite2 or several joined as in lite0+lite2; "
        "or a .npy of shape (N, D) with a .txt of N sample ids beside it",
    )
    mirrored: bool = Field(False, description="embed the uncropped mirror image too: better evidence, twice the time")
    label_errors: Literal["fast", "deep"] = Field(
        "fast", description="fast: a linear model on the embeddings; deep: networks fine-tuned by k-fold"
    )
    neighbours: int = Field(10, ge=1, le=100)
    folds: int = Field(5, ge=2, le=20)
    skip: list[str] = Field([], description="issues not to look for")
    dark: float = Field(0.24, description="flag when the brightest percent of pixels is below this luminance (0..1)")
    light: float = Field(
        0.70, description="flag when the darkest 5 % of pixels are above this luminance (0..1) and nothing stands out"
    )
    blurry: float = Field(
        3.6, ge=1, description="flag when even the sharpest tenth of the edges is wider than so many pixels at 256 px"
    )
    low_information: float = Field(
        0.3, description="flag when the grey levels hold less than this share of 8 bits and nothing stands out"
    )
    odd_size: int = Field(
        32, description="flag when the shorter side has fewer pixels than this and than half of what is usual here"
    )
    odd_aspect_ratio: float = Field(0.35, description="flag when shorter / longer side is below this")
    grayscale: float = Field(
        0.028, description="flag when the colours of 99 % of the pixels are this near (0..1) to grey or to one tint"
    )
    overlaid_text: int = Field(5, ge=3, description="flag when a line of text has at least so many letters")
    placeholder: float = Field(0.5, description="flag when the likeness to a photo's surfaces (0..1) is below this")
    border: float = Field(
        0.03, description="flag when uniform bars at opposite sides take more than this share of the width or height"
    )
    outlier: float = Field(
        0.5, description="flag when the score (0..1) is below this: 0.5 is 2.5 spreads lonelier than usual here"
    )
    off_topic: float = Field(
        0.5,
        description="flag when the score (0..1) is below this: 0.5 is 2.6 spreads further from every class than usual",
    )


class AcceptBelow(Part):
    accept_below: float = Field(ge=0, le=1, description="accept the suggested label when the score is below this")


class Policy(Part):
    """What `decide` does on its own; `review` leaves it to a person."""

    exact_duplicates: Literal["merge", "review"] = "merge"
    near_duplicates: Literal["keep_best", "review"] = "keep_best"
    unreadable: Reviewed = "drop"
    label_error: Literal["review"] | AcceptBelow = AcceptBelow(accept_below=0.05)
    label_conflict: Reviewed = "review"
    leakage: Reviewed = "review"
    outlier: Reviewed = "review"
    off_topic: Reviewed = "review"
    dark: Reviewed = "review"
    light: Reviewed = "review"
    blurry: Reviewed = "review"
    low_information: Reviewed = "drop"
    odd_size: Reviewed = "review"
    odd_aspect_ratio: Reviewed = "review"
    grayscale: Reviewed = "review"
    overlaid_text: Reviewed = "review"
    placeholder: Reviewed = "review"
    border: Reviewed = "review"


class Check(Part):
    """What must hold for `check` to pass; leave a rule out to switch it off."""

    min_per_class: int | None = Field(10, ge=0, description="samples of each class in the version")
    min_test_per_class: int | None = Field(2, ge=0, description="samples of each class in its test split")
    max_imbalance: float | None = Field(10.0, ge=1, description="largest class / smallest class")
    max_unreadable: int | None = Field(None, ge=0, description="unreadable files")
    max_undecided: dict[str, int] = Field({}, description="issue -> findings that may be open")
    no_leakage: bool = Field(True, description="no near-duplicate group in two splits")


class Train(Part):
    """What `run` trains."""

    recipe: Literal["small", "lite0", "smoke"] = "small"
    seed: int = 0
    labels: Literal["hard", "shares"] = Field(
        "hard", description="shares: learn the share of the votes that each class got, not only which got most"
    )


class Spec(Part):
    """One dataset as written down; see `curate init` for a commented example."""

    name: str = Field(min_length=1, pattern=r"^[\w][\w .-]*$")
    classes: dict[ClassName, str] = Field(description="class -> its definition in a sentence", min_length=1)
    sources: list[Source] = Field(min_length=1)
    images: Images = Images()
    split: Split = Split()
    audit: Audit = Audit()
    policy: Policy = Policy()
    check: Check = Check()
    train: Train = Train()
    slices: dict[str, Slice] = Field({}, description="name -> which samples")
    rules: dict[str, ClassName] = Field({}, description="slice -> the class that `curate label` proposes for it")
    truth: str | None = Field(None, description="a CSV of planted faults, written by `curate demo`")

    @field_validator("classes", mode="before")
    @classmethod
    def names_are_text(cls, classes: Any) -> Any:
        """Let `classes: [cat, dog]` stand for classes without definitions, and `3:` for a class named '3'."""
        if isinstance(classes, list):
            classes = {str(name): "" for name in classes}
        if not isinstance(classes, dict):
            return classes
        if odd := [name for name in map(str, classes) if not name.isprintable()]:
            raise ValueError(f"a class name must do as a folder name, {odd[0]!r} does not")
        named = {trim_name(str(name)): definition or "" for name, definition in classes.items()}
        if len(named) < len(classes):
            raise ValueError("two classes have the same name but for the spaces around it; keep one of them")
        return named

    @field_validator("classes")
    @classmethod
    def names_are_folder_names(cls, classes: dict[str, str]) -> dict[str, str]:
        """An export makes a folder of each class: a name must not lead elsewhere."""
        for name in classes:
            if not name.strip() or name.startswith(".") or set(name) & set('/\\:*?"<>|'):
                raise ValueError(f"a class name must do as a folder name, {name!r} does not")
            if name == "sample_id":
                raise ValueError("'sample_id' cannot be a class: tables with a column a class have one of that name")
        return classes

    @model_validator(mode="after")
    def rules_name_what_there_is(self) -> Spec:
        for name, label in self.rules.items():
            if name not in self.slices:
                raise ValueError(
                    f"rules: expected a slice ({', '.join(self.slices) or 'none is defined'}), found {name!r}"
                )
            if label not in self.classes:
                raise ValueError(f"rules: expected a class ({', '.join(self.classes)}), found {label!r}")
        return self

    @property
    def class_names(self) -> list[str]:
        """The classes in the order of the file: the columns of every (N, K) table."""
        return list(self.classes)
