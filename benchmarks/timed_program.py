"""Commands as functions that a bench times: run to their end, with one thread of torch, into new folders."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.film import ROOT


def program(*command: str) -> Callable[[], object]:
    """Runs a command to its end, with one thread of torch: a second one waits for its share by spinning."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return lambda: subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)


def to_new_folder(folder: Path, *command: str) -> Callable[[], object]:
    """The same, its last argument a folder that is new each time: writing over files is less work for a loop
    that takes no care of those that are there, and more for one that does."""
    numbers = itertools.count()
    return lambda: program(*command, str(folder / f"new_{next(numbers)}"))()
