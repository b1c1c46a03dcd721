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
