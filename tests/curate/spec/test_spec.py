import json
from pathlib import Path

import pytest

from curate.spec.digest import spec_digest, spec_schema
from curate.spec.model import AcceptBelow, Spec
from curate.spec.reading import parse_spec, read_spec
from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder

GOOD = """\
name: pets
classes:
  cat: A cat.
  dog: A dog.
sources:
  - path: images
"""
PATH = Path("dataset.yaml")


def parse(text: str) -> Spec:
    return parse_spec(text, PATH)


def test_defaults_and_short_forms():
    spec = parse(GOOD)
    assert spec.class_names == ["cat", "dog"]
    assert spec.policy.label_error == AcceptBelow(accept_below=0.05)
    assert parse("name: x\nclasses: [1, b]\nsources: [{path: a}]").class_names == ["1", "b"]
    assert parse(GOOD + "policy: {label_error: review}").policy.label_error == "review"


@pytest.mark.parametrize(
    ("added", "line", "words"),
    [
        ("splits: {}\n", 7, ["splits", "unknown key", "split", "policy"]),
        ("split:\n  train: 0.5\n  val: 0.1\n  test: 0.1\n", 7, ["split", "must be 1", "0.7"]),
        ("policy:\n  unreadable: delete\n", 8, ["policy.unreadable", "review", "drop", "delete"]),
        ("policy:\n  label_error: maybe\n", 8, ["policy.label_error", "review", "maybe"]),
        ("policy:\n  label_error: {accept_under: 1}\n", 8, ["accept_below"]),
        ("train:\n  recipe: big\n", 8, ["train.recipe", "small", "lite0", "big"]),
        ("audit:\n  outlier: .nan\n", 8, ["audit.outlier", "finite number", "nan"]),
        ("check:\n  min_per_class: many\n", 8, ["check.min_per_class", "integer", "many"]),
    ],
)
def test_errors_name_file_line_key_and_what_is_allowed(added, line, words):
    with pytest.raises(Problem) as caught:
        parse(GOOD + added)
    assert f"dataset.yaml:{line}" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_source_error_names_its_own_line():
    with pytest.raises(Problem, match=r"dataset.yaml:7: sources.0.kind.*folders.*zip"):
        parse(GOOD + "    kind: zip\n")


def test_a_missing_key_is_named():
    with pytest.raises(Problem, match=r"classes.*required"):
        parse("name: x\nsources: [{path: a}]")


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "a\\b", "x\n", "sample_id"])
def test_class_names_must_be_safe_folder_names(name):
    with pytest.raises(Problem, match="class"):
        parse(f"name: x\nclasses: {{{json.dumps(name)}: ''}}\nsources: [{{path: a}}]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [unclosed", "YAML"),
        ("- a list", "expected keys"),
        ("", "expected keys"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("name: !!python/object/apply:os.system ['echo']", "name"),
        ("name: a\nname: b", "YAML"),
    ],
)
def test_hostile_or_broken_yaml_is_a_sentence(text, words):
    with pytest.raises(Problem, match=words) as caught:
        parse(text)
    assert "dataset.yaml:" in str(caught.value)


def test_not_utf8(tmp_path):
    dataset = DatasetFolder(tmp_path)
    dataset.spec.write_bytes(b"name: \xff")
    with pytest.raises(Problem, match="UTF-8"):
        read_spec(dataset)


def test_digest_is_of_the_meaning():
    digest = spec_digest(parse(GOOD))
    assert digest == spec_digest(
        parse("# a comment\n" + GOOD.replace("images", "elsewhere").replace("A cat.", "A   cat."))
    )
    assert digest == spec_digest(parse(GOOD + "train: {recipe: lite0}"))
    assert digest != spec_digest(parse(GOOD.replace("A cat.", "A domestic cat.")))
    assert digest != spec_digest(parse(GOOD + "split: {seed: 1}"))


def test_schema_knows_the_keys():
    assert {"name", "classes", "sources", "policy", "check"} <= set(spec_schema()["properties"])


def test_class_names_have_no_spaces_around_them():
    spec = parse_spec(
        'name: a\nclasses: {"cat ": A cat., dog: ""}\nsources: [{path: b, labels: {" Cats": "cat "}}]', Path("a.yaml")
    )
    assert spec.class_names == ["cat", "dog"] and spec.sources[0].labels == {"Cats": "cat"}
    with pytest.raises(Problem, match=r"a\.yaml:2: classes: two classes .* but for the spaces"):
        parse_spec('name: a\nclasses: {"cat ": A cat., cat: ""}\nsources: [{path: b}]', Path("a.yaml"))
