"""Embeddings: cached by content, resumed, in the order asked for; saved vectors are checked before they are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from curate.images.scan import scan_dataset
from curate.spec.model import Audit, Source, Spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder
from curate.vectors.embed import compute_embeddings
from curate.vectors.networks import fold_batch_norms, load_lite


class Means(torch.nn.Module):
    """Mean of each channel: small enough to work out by hand."""

    calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        Means.calls += len(images)
        return images.mean((2, 3))


@pytest.fixture
def colours(tmp_path: Path) -> tuple[DatasetFolder, Spec, list[str]]:
    """Three plain pictures: red, green and blue."""
    for name, colour in {"a": (255, 127, 127), "b": (127, 255, 127), "c": (127, 127, 255)}.items():
        (tmp_path / "images" / "x").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), colour).save(tmp_path / "images" / "x" / f"{name}.png")
    dataset, spec = DatasetFolder(tmp_path), Spec(name="t", classes={"x": ""}, sources=[Source(path="images")])
    samples = scan_dataset(dataset, spec).samples.sort_values("path")
    return dataset, spec, list(samples["sample_id"])


def test_own_module_gives_unit_vectors_in_the_order_asked_for(
    colours: tuple[DatasetFolder, Spec, list[str]],
) -> None:
    dataset, spec, ids = colours
    vectors = compute_embeddings(dataset, spec, ids[::-1], model=Means())
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, np.eye(3)[::-1], atol=0.02)


def test_only_new_samples_go_through_the_network(colours: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, spec, ids = colours
    Means.calls = 0
    compute_embeddings(dataset, spec, ids[:2], model=Means())
    compute_embeddings(dataset, spec, ids, model=Means())
    assert Means.calls == 3


def test_no_samples_give_an_empty_array(colours: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, spec, _ = colours
    assert len(compute_embeddings(dataset, spec, [])) == 0


def test_saved_vectors_by_path_or_id(colours: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, _, ids = colours
    np.save(dataset.path / "mine.npy", np.array([[0, 2], [3, 0], [1, 1]], np.float32))
    (dataset.path / "mine.txt").write_text(f"x/b.png\n{ids[0]}\nx/c.png\n")
    vectors = compute_embeddings(dataset, "mine.npy", ids)
    assert np.allclose(vectors, [[1, 0], [0, 1], [0.5**0.5, 0.5**0.5]])


@pytest.mark.parametrize(
    ("vectors", "lines", "said"),
    [
        (np.zeros((3, 2), np.float32), 2, "expected one line for each"),
        (np.zeros((2, 2), np.float32), 2, "1 are not there"),
        (np.zeros(3, np.float32), 3, "expected floating point of shape"),
        (np.array([[np.nan]] * 3, np.float32), 3, "expected finite values"),
        (np.array([{}] * 3, object), 3, "without objects"),
    ],
)
def test_unusable_vectors_are_refused_in_words(
    colours: tuple[DatasetFolder, Spec, list[str]], vectors: np.ndarray, lines: int, said: str
) -> None:
    dataset, _, ids = colours
    np.save(dataset.path / "mine.npy", vectors, allow_pickle=True)
    (dataset.path / "mine.txt").write_text("".join(f"{one}\n" for one in ids[:lines]))
    with pytest.raises(Problem, match=said):
        compute_embeddings(dataset, "mine.npy", ids)


def test_a_missing_file_is_named(colours: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, _, ids = colours
    with pytest.raises(Problem, match=r"no file .*absent\.npy"):
        compute_embeddings(dataset, "absent.npy", ids)


def test_folding_leaves_the_function_as_it_was() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).eval()
    network[1].running_mean.normal_()  # type: ignore[union-attr, operator]
    images = torch.randn(2, 3, 8, 8)
    before = network(images)
    fold_batch_norms(network)
    assert isinstance(network[1], torch.nn.Identity)
    assert torch.allclose(before, network(images), atol=1e-5)


def test_lite0_gives_1280_features_and_tells_mirrored_from_other(
    colours: tuple[DatasetFolder, Spec, list[str]],
) -> None:
    dataset, spec, ids = colours
    vectors = compute_embeddings(dataset, spec, ids)
    assert vectors.shape == (3, 1280)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in load_lite("lite0").modules())


def test_several_networks_are_joined_and_a_mirror_image_has_the_same_mirrored_embedding(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC)
    (tmp_path / "images" / "x").mkdir(parents=True)
    picture.save(tmp_path / "images" / "x" / "a.png")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "images" / "x" / "b.png")
    audit = Audit(embedding="lite0+lite1", mirrored=True)
    dataset = DatasetFolder(tmp_path)
    spec = Spec(name="t", classes={"x": ""}, sources=[Source(path="images")], audit=audit)
    ids = list(scan_dataset(dataset, spec).samples.sort_values("path")["sample_id"])
    both = compute_embeddings(dataset, spec, ids)
    assert both.shape == (2, 2560)
    assert np.allclose(np.linalg.norm(both, axis=1), 1, atol=1e-3)
    plain = compute_embeddings(dataset, "lite0", ids)
    assert 1 - both[0] @ both[1] < (1 - plain[0] @ plain[1]) / 2


def test_an_unknown_network_is_told_with_those_there_are(colours: tuple[DatasetFolder, Spec, list[str]]) -> None:
    dataset, _, ids = colours
    with pytest.raises(Problem, match=r"lite0, lite1, lite2.*found 'lite0\+lite9'"):
        compute_embeddings(dataset, "lite0+lite9", ids)
