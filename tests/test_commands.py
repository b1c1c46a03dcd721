"""What a person sees of tables and a program of JSON, on datasets too small to train."""

import json

from curate.commands.show import print_json, print_table
from tests.conftest import curate, write_findings


def test_findings_are_the_worst_of_all_issues_and_say_what_is_open(grouped):
    dataset, _, scan = grouped
    one, two = scan.samples["sample_id"][:2]
    dark = {"sample_id": one, "issue": "dark", "score": 0.3, "path": "a.jpg", "suggested_action": "drop"}
    write_findings(dataset, dark, {"sample_id": two, "issue": "outlier", "score": 0.1, "path": "b.jpg"})
    (worst,) = json.loads(curate("findings", dataset.path, "--limit", "1", "--json").stdout)
    assert worst["issue"] == "outlier"
    curate("decide", dataset.path, "--accept", "dark")
    table = curate("findings", dataset.path).stdout
    assert "2 findings, 1 open" in table and table.index("b.jpg") < table.index("a.jpg")


def test_no_finding_is_said(grouped):
    dataset, _, scan = grouped
    write_findings(dataset, {"sample_id": scan.samples["sample_id"][0], "issue": "light", "is_issue": False})
    assert curate("findings", dataset.path, "--issue", "light").stdout == "0 findings, 0 open\n"


def test_json_has_no_nan(capsys):
    print_json([{"probability": float("nan"), "n": 1}])
    assert json.loads(capsys.readouterr().out, parse_constant=str) == [{"probability": None, "n": 1}]


def test_a_table_without_rows_is_its_title(capsys):
    print_table([], "Findings")
    assert capsys.readouterr().out == "Findings\n"
