import errno
import json

import pytest

from curate.storage.files import Damaged, Problem, read_cached, read_json, replacing, write_atomic, write_json


def test_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "one")
    write_atomic(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert [child.name for child in path.parent.iterdir()] == ["b.txt"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = write_atomic(tmp_path / "b.txt", "old")
    with pytest.raises(OSError, match="full"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "full")
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["b.txt"]


def test_json_is_sorted_and_errors_name_the_line(tmp_path):
    path = write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    assert list(json.loads(path.read_text())) == ["a", "b"]
    path.write_text('{\n "a": nonsense}')
    with pytest.raises(Problem, match=r"a\.json:2"):
        read_json(path)
    with pytest.raises(Problem, match="not there"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"\xff\xfe\x00", b"[1, 2"])
def test_a_damaged_file_is_refused_and_one_of_the_cache_dropped(tmp_path, capsys, content):
    path = tmp_path / "audit.json"
    assert read_cached(path, read_json) is None and not capsys.readouterr().err
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"audit\.json.*Restore the file"):
        read_json(path)
    assert path.read_bytes() == content
    assert read_cached(path, read_json) is None and not path.exists()
    assert capsys.readouterr().err.startswith(f"Removed {path}, a damaged file")
