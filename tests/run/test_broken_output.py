"""Where what is printed goes nowhere the work goes on; and what the machine runs short of is no damage."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mediaconv.engine.stages import stage
from mediaconv.errors import ReadError, WriteError
from tests.run.running import ROOT, rows, write_config
from tests.run.trees import images


@pytest.mark.parametrize(
    "redirected", [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "2>/dev/full", "| head -c 1", "<&- >&- 2>&-"]
)
def test_the_exit_code_is_that_of_the_work(redirected: str, tmp_path: Path) -> None:
    images(tmp_path / "in", 1)
    config = write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out")
    command = f"'{sys.executable}' -m mediaconv.cli.main run '{config}' --executor serial {redirected}"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "defect" not in done.stderr
    assert sorted(row["status"] for row in rows(tmp_path / "out").values()) == ["done"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "x"), "too many open files"),
        (OSError(errno.ENOMEM, "x"), "out of memory"),
        (MemoryError(), "out of memory"),
        (RuntimeError("can't start new thread"), "no more threads"),
    ],
)
def test_shortage_is_not_damage(error: Exception, words: str) -> None:
    with pytest.raises(WriteError, match=words), stage(WriteError):
        raise error
    wrapped = ReadError("x.png: damaged file")
    wrapped.__cause__ = error
    with pytest.raises(ReadError, match=words) as told, stage(WriteError):
        raise wrapped
    assert "damaged" not in str(told.value)
