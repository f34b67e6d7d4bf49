"""Mutants of every format: each is read or refused in a line; none hangs, crashes, grows or leaves a file.

Two thousand by default; MEDIACONV_MUTANTS=100000 (`make torture`) makes as many, from another seed with
MEDIACONV_MUTANTS_FROM. A case is told by its number, and made again by `mutant_of`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mediaconv.errors import MediaconvError
from tests.mutation.mutated_samples import make_samples, reader_of

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("MEDIACONV_MUTANTS", "2000"))
FIRST = int(os.environ.get("MEDIACONV_MUTANTS_FROM", "0"))
PROCESSES = 2
FOUND = sorted((Path(__file__).parent / "found").iterdir())
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + COUNT)]


def test_mutants_are_read_or_refused(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    make_samples(samples)

    def worked(process: int) -> list[str]:
        folder = tmp_path / str(process)
        folder.mkdir()
        return run(samples, folder, FIRST + process, FIRST + COUNT)

    with ThreadPoolExecutor(PROCESSES) as pool:
        wrong = [line for lines in pool.map(worked, range(PROCESSES)) for line in lines]
    assert not wrong, "\n".join([f"{len(wrong)} cases:", *wrong[:40]])


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_samples_that_were_wrong_once(path: Path, capfd: pytest.CaptureFixture) -> None:
    """Mutants that crashed a reader, or let a library warn: kept small, by the number of their case."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(MediaconvError):
            reader_of(f"a{path.suffix}")(path)
    assert capfd.readouterr().err == ""


def run(samples: Path, folder: Path, first: int, end: int) -> list[str]:
    """What was wrong with every second case from `first` on; after one that ends the process the next."""
    found: list[str] = []
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    while first < end:
        command = [
            sys.executable,
            "-m",
            "tests.mutation.reading_worker",
            samples,
            folder,
            first,
            end,
            PROCESSES,
        ]
        with subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, env=env
        ) as child:
            assert child.stdout is not None
            at = None
            for line in child.stdout:
                if line.startswith("{"):
                    row = json.loads(line)
                    found.append(f"case {row['case']}, {row['file']}: {row['wrong']}")
                else:
                    at = int(line)
        if child.returncode == 0:
            break
        assert at is not None, "the worker read no sample"
        how = "took too long" if child.returncode == -14 else f"ended the process ({child.returncode})"
        found.append(f"case {at}: {how}")
        for path in folder.iterdir():
            path.unlink()
        first = at + PROCESSES
    return found
