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


@pytest.mark.parametrize("redirected", [">&-", ">/dev/full", "2>/dev/full", "| head -c 1"])
@pytest.mark.parametrize(
    ("words", "code", "made"),
    [
        ("compare {}", 0, "out-compare/compare.json"),
        ("animate --kind conv1d --size 4 -o x.svg", 0, "x.svg"),
        pytest.param("export {} --chunk 4 --size 16 -o x.pt2", 0, "x.pt2", marks=pytest.mark.slow),
        ("init in -o x.yaml", 0, "x.yaml"),
        ("validate {}", None, None),
        pytest.param("info in", None, None, marks=pytest.mark.slow),
        pytest.param("kernels", None, None, marks=pytest.mark.slow),
        ("schema", None, None),
        pytest.param("init --list", None, None, marks=pytest.mark.slow),
        pytest.param("demo --help", None, None, marks=pytest.mark.slow),
        ("--help", None, None),
    ],
)
def test_other_commands_go_on_or_say_so(
    words: str, code: int | None, made: str | None, redirected: str, tmp_path: Path
) -> None:
    images(tmp_path / "in", 1)
    config = write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out")
    command = f"'{sys.executable}' -m mediaconv.cli.main {words.format(config)} {redirected}"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    # what a command prints is all that it makes: then it fails where that goes nowhere
    prints = redirected in (">/dev/full", "| head -c 1")
    assert done.returncode in ((0, 1) if code is None and prints else (0,)), done.stderr
    assert not any(word in done.stderr for word in ("Traceback", "Exception ignored", "defect"))
    assert made is None or (tmp_path / made).stat().st_size


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
