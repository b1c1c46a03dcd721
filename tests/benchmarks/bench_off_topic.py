"""Pictures of other things among cats and dogs: are they found, what else is flagged, and beside other tools' scores.

100 ImageNet photos of other things get a label at random and are mixed into 2,500 photos of cats and dogs: as they are,
fewer, more, each in five versions, into small sets, without labels, with wrong ones. Nothing was chosen on them.
Run: python -m tests.benchmarks.bench_off_topic --data FOLDER [--limit 600] [--work FOLDER] [--networks lite0+lite2]
About three minutes with lite0.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageOps
from sklearn.metrics import roc_auc_score

from curate.audit.audit import gather_evidence
from curate.audit.detectors.off_topic import find_off_topic
from curate.audit.detectors.outlier import find_outliers
from curate.audit.evidence.evidence import Evidence
from curate.images.scan import scan_dataset
from curate.spec.reading import read_spec
from curate.storage.folder import open_folder
from tests.benchmarks.results import expect_data, markdown_table, trial_parser, write_section

CLASSES = ("cats", "dogs")
SPEC = """\
name: mixed
classes: [cats, dogs]
sources: [{{path: {photos}}}, {{path: others}}]
audit: {{embedding: {networks}}}
"""
SMALL = 122
DRAWS = 10


@dataclass(frozen=True)
class Mix:
    """The evidence of some of the pictures, and which of its rows show something else or are known to be bad."""

    name: str
    evidence: Evidence
    is_other: np.ndarray
    is_known: np.ndarray


def write_others(folder: Path, others: Path, seed: int = 0) -> None:
    """Write each picture of ``others`` into the folder of a random class of ``folder``, as it is and in 4 versions."""
    rng = np.random.default_rng(seed)
    for file in sorted(others.glob("*.jpg")):
        place = folder / CLASSES[int(rng.integers(2))]
        place.mkdir(parents=True, exist_ok=True)
        image = Image.open(file).convert("RGB")
        (place / f"0-{file.name}").write_bytes(file.read_bytes())
        width, height = image.size
        versions = (
            ImageOps.mirror(image),
            image.crop((width // 20, height // 20, width - width // 30, height - height // 30)),
            image.resize((width * 2 // 3, height * 2 // 3)),
            ImageEnhance.Brightness(image).enhance(1.2),
        )
        for number, version in enumerate(versions, 1):
            version.save(place / f"{number}-{file.name}", quality=80)


def gather_pool(data: Path, work: Path, networks: str) -> tuple[Evidence, pd.DataFrame]:
    """Return the evidence of all photos and all versions of the others, and its rows with what is known of each."""
    folder = work / "mixed"
    if not (folder / "others").is_dir():
        write_others(folder / "others", data / "offtopic")
    text = SPEC.format(photos=os.path.relpath(data / "photos", folder), networks=networks)
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")
    dataset = open_folder(folder)
    spec = read_spec(dataset)
    evidence = gather_evidence(dataset, spec, scan_dataset(dataset, spec))
    known = pd.read_csv(data / "photos_known_bad.csv")
    rows = evidence.readable[["sample_id", "path", "given_label"]].assign(version=-1)
    is_other = rows["path"].str.match(r"(?:.*/)?\d-n\d+")
    rows.loc[is_other, "version"] = rows.loc[is_other, "path"].str.extract(r"(\d)-n\d+")[0].astype(int)
    judged = dict(zip(known["file"].map(lambda file: Path(file).name), known["judgement"], strict=True))
    return evidence, rows.assign(judgement=rows["path"].map(lambda path: judged.get(Path(path).name, "")))


def take(pool: Evidence, rows: pd.DataFrame, chosen: np.ndarray, name: str, labels: np.ndarray | None = None) -> Mix:
    """Return the mix of the ``chosen`` rows; ``labels`` take the place of the given ones."""
    chosen = np.sort(chosen)
    samples = pool.readable.iloc[chosen].reset_index(drop=True)
    if labels is not None:
        samples = samples.assign(given_label=labels[chosen])
    evidence = replace(pool, samples=samples, notes=[])
    evidence.__dict__["groups"] = pool.groups.iloc[chosen].reset_index(drop=True)
    evidence.__dict__["embeddings"] = pool.embeddings[chosen]
    part = rows.iloc[chosen]
    return Mix(name, evidence, (part["version"] >= 0).to_numpy(), (part["judgement"] != "").to_numpy())


def make_mixes(pool: Evidence, rows: pd.DataFrame, rng: np.random.Generator, limit: int) -> list[Mix]:
    photos = np.flatnonzero(rows["version"] < 0)
    photos = rng.permutation(photos)[:limit] if limit else photos
    others, versions = np.flatnonzero(rows["version"] == 0), np.flatnonzero(rows["version"] >= 0)
    given = rows["given_label"].to_numpy(dtype=object)
    turned = rng.random(len(rows)) < 0.25
    wrong = np.where(turned, np.where(given == "cats", "dogs", "cats"), given)
    every, small = np.r_[photos, others], rng.permutation(photos)
    mixes = [
        take(pool, rows, every, "all 100 of them, 3.8 %"),
        take(pool, rows, np.r_[photos, rng.permutation(others)[:25]], "25 of them, 1 %"),
        take(pool, rows, np.r_[small[:900], others], "all among 900 photos, 10 %"),
        take(pool, rows, np.r_[photos, versions], "each in 5 versions, 17 %"),
        take(pool, rows, every, "25 % of the labels wrong", wrong),
        take(pool, rows, every, "no labels", np.full(len(rows), "", dtype=object)),
        take(pool, rows, np.r_[small[:SMALL], rng.permutation(others)[:6]], f"6 among {SMALL} photos"),
    ]
    saved = replace(mixes[0].evidence, embed_crops=None)
    saved.__dict__.update({name: mixes[0].evidence.__dict__[name] for name in ("groups", "embeddings")})
    return [*mixes, replace(mixes[0], name="3.8 %, parts not looked at", evidence=saved)]


def judge(score: np.ndarray, is_other: np.ndarray) -> dict[str, float]:
    """Return how well a score (low = bad) tells the others: area under the ROC curve, precision at their number."""
    first = np.argsort(score, kind="stable")[: is_other.sum()]
    return {"AUROC": float(roc_auc_score(~is_other, score)), "precision at their number": is_other[first].mean()}


def tabulate_mix(mix: Mix) -> dict[str, object]:
    """Return a row: how our score and flag do; the known bad photos count as neither."""
    found = find_off_topic(mix.evidence)
    outliers = find_outliers(mix.evidence)["is_issue"].to_numpy()
    counted = ~mix.is_known
    flag, other = found["is_issue"].to_numpy()[counted], mix.is_other[counted]
    return {
        "mix": mix.name,
        **judge(found["score"].to_numpy()[counted], other),
        "flagged": int(flag.sum()),
        "precision": float(other[flag].mean()) if flag.any() else 1.0,
        "recall": float(flag[other].mean()),
        "outliers besides": int(outliers[counted].sum()),
    }


def tabulate_peers(mix: Mix) -> list[dict[str, object]]:
    """Return a row a tool, on the same embeddings and probabilities of the first mix."""
    from cleanlab.outlier import OutOfDistribution
    from sklearn.neighbors import NearestNeighbors

    vectors, probs, labels = mix.evidence.embeddings, mix.evidence.pred_probs, mix.evidence.labels
    assert probs is not None
    known = ~np.isnan(probs[:, 0])
    by_probs = np.ones(len(vectors))
    by_probs[known] = OutOfDistribution().fit_score(pred_probs=probs[known], labels=labels[known], verbose=False)
    distances = NearestNeighbors(n_neighbors=4).fit(vectors).kneighbors(vectors)[0][:, 1:]
    scores = {
        "**ours**": find_off_topic(mix.evidence)["score"].to_numpy(),
        "our outliers' score": find_outliers(mix.evidence)["score"].to_numpy(),
        "cleanlab OutOfDistribution, features, k = 10": OutOfDistribution({"k": 10}).fit_score(
            features=vectors, verbose=False
        ),
        "cleanlab OutOfDistribution, probabilities": by_probs,
        "FiftyOne uniqueness, its formula": -distances @ np.array([0.6, 0.3, 0.1]),
    }
    counted = ~mix.is_known
    return [{"score": name, **judge(score[counted], mix.is_other[counted])} for name, score in scores.items()]


def tabulate_clean(pool: Evidence, rows: pd.DataFrame, rng: np.random.Generator, limit: int) -> list[dict[str, object]]:
    """Return what is flagged of photos that are none of the known bad ones, in sets of several sizes."""
    photos = rng.permutation(np.flatnonzero((rows["version"] < 0) & (rows["judgement"] == "")))
    table: list[dict[str, object]] = []
    for size, draws in ((SMALL, DRAWS), (600, DRAWS), (len(photos), 1)):
        if limit and size > limit:
            continue
        mixes = [take(pool, rows, rng.permutation(photos)[:size], "") for _ in range(draws)]
        strange = [int(find_off_topic(mix.evidence)["is_issue"].sum()) for mix in mixes]
        odd = [int(find_outliers(mix.evidence)["is_issue"].sum()) for mix in mixes]
        counts = {"off topic, a set": float(np.mean(strange)), "at most": max(strange)}
        table.append(
            {"photos": size, "sets": draws, **counts, "outliers, a set": float(np.mean(odd)), "at most ": max(odd)}
        )
    return table


def tabulate_known(pool: Evidence, rows: pd.DataFrame) -> list[dict[str, object]]:
    """Return what is said of the 17 photos that published lists call bad, by what they show."""
    mix = take(pool, rows, np.flatnonzero(rows["version"] < 0), "")
    strange, odd = (find(mix.evidence)["is_issue"].to_numpy() for find in (find_off_topic, find_outliers))
    table = rows[rows["version"] < 0].assign(strange=strange, odd=odd)
    groups = table[table["judgement"] != ""].groupby("judgement")
    return [
        {
            "what it is": name,
            "photos": len(part),
            "off topic": int(part["strange"].sum()),
            "outlier": int(part["odd"].sum()),
        }
        for name, part in groups
    ]


def main() -> None:
    parser = trial_parser(__doc__.splitlines()[0])
    parser.add_argument("--networks", default="lite0", help="as in audit.embedding; others than lite0 are not written")
    arguments = parser.parse_args()
    data = expect_data(arguments.data)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        pool, rows = gather_pool(data, arguments.work or Path(folder), arguments.networks)
        mixes = make_mixes(pool, rows, rng, arguments.limit)
        body = "\n\n".join(
            [
                f"100 ImageNet photos of other things among 2,500 of cats and dogs, {arguments.networks}. The 17 "
                "photos that are known to be bad count as neither.",
                markdown_table([tabulate_mix(mix) for mix in mixes]),
                "Beside other tools on the same embeddings and probabilities, each picture once:",
                markdown_table(tabulate_peers(mixes[0])),
                "In five versions, which keep each other company:",
                markdown_table(tabulate_peers(mixes[3])),
                "Photos without the 17, nothing mixed in:",
                markdown_table(tabulate_clean(pool, rows, rng, arguments.limit)),
                "The 17, all photos together:",
                markdown_table(tabulate_known(pool, rows)),
            ]
        )
    if arguments.limit or arguments.networks != "lite0":
        print(body)
    else:
        write_section("Pictures of other things", body)


if __name__ == "__main__":
    main()
