"""The cache is never worth an error: a damaged file of it is told of, dropped, and made again."""

import random
import shutil
from pathlib import Path

import pytest

from curate.storage.folder import DatasetFolder, open_folder
from tests.conftest import curate

pytestmark = pytest.mark.slow

NOT_READ = {"lock"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """40 drawings, audited and built."""
    folder = tmp_path_factory.mktemp("damaged") / "pets"
    curate("demo", folder, "--samples", "40")
    for stage in ("scan", "audit", "decide", "build"):
        curate(stage, folder)
    return open_folder(folder)


def scribble(content: bytes) -> bytes:
    """Other bytes from start to end."""
    return random.Random(0).randbytes(max(8, len(content)))


def scratch(content: bytes) -> bytes:
    """Some other bytes among the values; what says at both ends that this is a table stays."""
    at = len(content) // 3
    return content[:at] + random.Random(0).randbytes(16) + content[at + 16 :]


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def cache_parts(dataset: DatasetFolder) -> dict[str, list[Path]]:
    """Return what lies in the cache now, by the table or the folder of shards that it belongs to."""
    parts: dict[str, list[Path]] = {}
    for file in sorted(file for file in dataset.cache.rglob("*") if file.is_file()):
        parts.setdefault(file.relative_to(dataset.cache).parts[0], []).append(file)
    return parts


@pytest.mark.parametrize("damage", [scribble, scratch])
def test_a_damaged_file_is_made_again(built, tmp_path, damage):
    shutil.copytree(built.path, tmp_path / "pets")
    dataset = open_folder(tmp_path / "pets")
    stages = (["scan", "--json"], ["audit", "--json"], ["findings", "--json"], ["build", "--json"])

    def run_all() -> list[str]:
        return [curate(words[0], dataset.path, *words[1:]).stdout for words in stages]

    before, parts = run_all(), cache_parts(dataset)
    assert {"measures-v4", "thumbnails-v1", "copies-v4", "crops-lite0-v1", "findings.parquet"} < parts.keys()
    for name in sorted(parts):
        if name in NOT_READ or (damage is scratch and "." in name):
            continue
        for file in cache_parts(dataset)[name]:
            file.write_bytes(damage(file.read_bytes()))
        if "." not in name:
            (dataset.cache / "audit.json").unlink()  # the audit is to read what it has of each content
        assert run_all() == before, name


@pytest.mark.parametrize("damage", [scribble, cut_off, lambda _: b""])
@pytest.mark.parametrize(
    ("table", "command", "next_command"),
    [
        ("findings", "findings", "curate audit"),
        ("patterns", "patterns", "curate audit"),
        ("groups", "build", "curate audit"),
        ("consensus", "build", "curate audit"),
        ("samples", "audit", "curate scan"),
    ],
)
def test_a_view_of_a_damaged_table_names_what_makes_it(built, tmp_path, damage, table, command, next_command):
    shutil.copytree(built.path, tmp_path / "pets")
    file = tmp_path / "pets" / ".curate" / f"{table}.parquet"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    said = curate(command, tmp_path / "pets", "--no-deps", code=2).stderr
    assert said.startswith(f"Removed {file}, a damaged file") and next_command in said.splitlines()[1]
    file.write_bytes(damage(whole))
    curate(command, tmp_path / "pets")
    assert file.is_file()  # a stage makes what it needs


def test_thumbnails_that_are_gone_are_scanned_again(built, tmp_path):
    shutil.copytree(built.path, tmp_path / "pets")
    image = next((tmp_path / "pets" / "images" / "cat").glob("*.jpg"))
    for file in (tmp_path / "pets" / ".curate" / "thumbnails-v1").iterdir():
        file.write_bytes(scribble(file.read_bytes()))
    assert "curate scan" in curate("similar", tmp_path / "pets", image, "--no-deps", code=2).stderr
    curate("scan", tmp_path / "pets")
    curate("similar", tmp_path / "pets", image)


def test_what_is_no_cache_is_refused_and_stays(built, tmp_path):
    shutil.copytree(built.path, tmp_path / "pets")
    for name in ("versions/v1/manifest.parquet", "versions/v1/version.json"):
        file = tmp_path / "pets" / name
        whole, damaged = file.read_bytes(), scribble(file.read_bytes())
        file.write_bytes(damaged)
        said = curate("build", tmp_path / "pets", code=2).stderr
        assert name in said and "Restore the file" in said and file.read_bytes() == damaged
        file.write_bytes(whole)
