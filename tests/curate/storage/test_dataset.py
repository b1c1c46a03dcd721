"""The dataset folder: one command at a time."""

import subprocess
import sys

import pytest

from curate.storage.files import Problem
from curate.storage.folder import DatasetFolder, working_on

HOLD = """
import sys
from pathlib import Path
from curate.storage.folder import DatasetFolder, working_on
with working_on(DatasetFolder(Path(sys.argv[1]))):
    print("working", flush=True)
    sys.stdin.read()
"""


def test_two_commands_do_not_work_on_one_dataset_at_once(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout and other.stdout.readline() == "working\n"
        with pytest.raises(Problem, match="Another curate is working"), working_on(DatasetFolder(tmp_path)):
            pass
        other.kill()
    with working_on(DatasetFolder(tmp_path)):  # the one that was killed left nothing locked
        pass
