import pandas as pd

from curate.storage.cache import SHARDS_BEFORE_MERGE, ContentCache


def rows(*keys: str) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": list(keys), "value": [key * 2 for key in keys]})


def test_rows_come_back_sorted_and_only_those_asked_for(tmp_path):
    cache = ContentCache(tmp_path, "twice-v1")
    assert cache.read().empty and cache.missing(["a"]) == ["a"]
    cache.add(rows("c", "a"))
    cache.add(rows("b"))
    assert cache.read()["value"].tolist() == ["aa", "bb", "cc"]
    assert cache.read(["c", "z"])["value"].tolist() == ["cc"]
    assert cache.read([]).empty
    assert cache.missing(["z", "a", "z"]) == ["z"]


def test_many_shards_are_joined_without_losing_rows(tmp_path):
    cache = ContentCache(tmp_path, "twice-v1")
    keys = [f"{number:03d}" for number in range(SHARDS_BEFORE_MERGE + 3)]
    for key in keys:
        cache.add(rows(key))
    cache.add(rows(keys[0]))  # the same work done twice, as two interrupted runs may
    assert cache.read()["sample_id"].tolist() == keys
    assert len(list(cache.folder.iterdir())) < 5


def test_a_shard_being_written_is_not_read(tmp_path):
    cache = ContentCache(tmp_path, "twice-v1")
    cache.add(rows("a"))
    (cache.folder / ".half.parquet.1-aa.tmp").write_bytes(b"PAR1 half")
    assert cache.read()["sample_id"].tolist() == ["a"]


def test_shards_that_another_process_joins_meanwhile_are_looked_for_again(tmp_path, monkeypatch):
    cache = ContentCache(tmp_path, "twice-v1")
    cache.add(rows("a"))
    seen = [[tmp_path / "twice-v1" / "gone.parquet"]]
    there = cache._shards
    monkeypatch.setattr(cache, "_shards", lambda: seen.pop() if seen else there())
    assert cache.keys() == {"a"}


def test_what_is_missing_or_damaged_is_made_and_kept(tmp_path):
    cache, asked = ContentCache(tmp_path, "twice-v1"), []

    def make(missing):
        asked.append(missing)
        yield from (rows(key) for key in missing)

    assert cache.complete(["b", "a"], make)["value"].tolist() == ["aa", "bb"]
    assert cache.complete(["c", "a", "c"], make)["value"].tolist() == ["aa", "cc"]
    shard = sorted(cache.folder.iterdir())[0]
    shard.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    assert cache.complete(["c", "b", "a"], make)["value"].tolist() == ["aa", "bb", "cc"]
    assert asked[:2] == [["b", "a"], ["c"]] and len(asked[2]) == 1 and len(asked) == 3
    assert not shard.exists() and cache.complete([], make).empty


def test_a_byte_that_changed_among_the_values_is_damage(tmp_path, capsys):
    """Without a checksum it would be another value."""
    cache = ContentCache(tmp_path, "twice-v1")
    cache.add(pd.DataFrame({"sample_id": ["a"], "value": [b"thumbnail"]}))
    (shard,) = cache.folder.iterdir()
    shard.write_bytes(shard.read_bytes().replace(b"thumbnail", b"thumbnaiI", 1))
    assert cache.missing(["a"]) == [] and cache.read().empty and cache.missing(["a"]) == ["a"]
    assert f"Removed {shard}" in capsys.readouterr().err


def test_shards_are_joined_without_the_damaged_one(tmp_path):
    cache = ContentCache(tmp_path, "twice-v1")
    for number in range(SHARDS_BEFORE_MERGE):
        cache.add(rows(f"{number:03d}"))
    sorted(cache.folder.iterdir())[0].write_bytes(b"")
    assert len(cache.read()) == SHARDS_BEFORE_MERGE - 1 and len(list(cache.folder.iterdir())) == 1
