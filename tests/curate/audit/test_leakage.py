"""Copies across the splits that a CSV states, from files to findings."""

import shutil

import numpy as np
from PIL import Image

from curate.audit.audit import audit_dataset
from curate.demo.scene import draw_animal
from curate.images.scan import scan_dataset


def test_byte_copies_and_near_copies_in_train_and_test_are_leaks(tmp_path, make_dataset):
    images = tmp_path / "images"
    for species in ("cat", "dog"):
        (images / species).mkdir(parents=True)
        for seed in range(6):
            drawn = draw_animal(species, np.random.default_rng(seed), size=(160, 140))
            drawn.save(images / species / f"{seed}.jpg", quality=90)
    shutil.copy(images / "cat" / "0.jpg", images / "cat" / "again.jpg")
    with Image.open(images / "dog" / "0.jpg") as opened:
        opened.resize((120, 105)).save(images / "dog" / "smaller.jpg", quality=80)
    held = {"cat/again.jpg": "test", "dog/smaller.jpg": "val", "cat/5.jpg": "test", "dog/5.jpg": "test"}
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.jpg"))
    rows = [f"images/{name},{name.split('/')[0]},{held.get(name, 'train')}" for name in names]
    (tmp_path / "labels.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    dataset, spec = make_dataset(tmp_path / "labels.csv")
    scan_dataset(dataset, spec)
    found = audit_dataset(dataset, spec).query("issue == 'leakage' and is_issue").set_index("path")
    assert len(found) == 3
    exact, near = found.loc["images/cat/0.jpg"], found.loc["images/dog/smaller.jpg"]
    assert exact["score"] == 0 and exact["suggested_action"] == "keep"
    assert exact["evidence"] == ("images/cat/again.jpg was given to test, images/cat/0.jpg to train: the same file")
    assert near["score"] < 0.3 and near["suggested_action"] == "keep"
    assert near["evidence"].startswith("images/dog/smaller.jpg was given to val, images/dog/0.jpg to train: ")
    trained = found.loc["images/dog/0.jpg"]
    assert trained["suggested_action"] == "drop" and trained["evidence"] == near["evidence"]
    assert trained["group_id"] == near["group_id"] != ""
