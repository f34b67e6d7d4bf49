"""Reads mutants, one after the other, in a process that may die of one.

Run by `python -m tests.mutation.reading_worker`.

Arguments: the samples' folder, a folder of its own, the first case, the end, the step. Before each case it
prints its number, and then a line for what was wrong. One that takes too long ends the process by a signal.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import traceback
from pathlib import Path

SECONDS = 60
MEGABYTES = 700
"""What a case may add to the peak of the process: limits are set low, libraries load with the first cases."""


def mutant_of(samples: Path, number: int) -> tuple[str, bytes]:
    """The name of the sample and the bytes of a case."""
    from tests.mutation.mutate import mutant

    rng = random.Random(number)
    names = sorted(path.name for path in samples.iterdir())
    name = names[number % len(names)]
    others = [(samples / rng.choice(names)).read_bytes() for _ in range(3)]
    return name, mutant((samples / name).read_bytes(), others, rng)


def main() -> None:
    samples, folder = Path(sys.argv[1]), Path(sys.argv[2])
    from mediaconv.errors import MediaconvError
    from mediaconv.standard_streams import quiet_libraries
    from tests.mutation.mutated_samples import reader_of

    for path in samples.iterdir():  # libraries are loaded, and every sample is whole
        reader_of(path.name)(path)
    words = folder / "stderr"
    os.dup2(os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    quiet_libraries()
    peak = _peak()
    for number in range(*map(int, sys.argv[3:6])):
        name, data = mutant_of(samples, number)
        path = folder / name
        path.write_bytes(data)
        print(number, flush=True)
        signal.alarm(SECONDS)
        wrong = ""
        try:
            reader_of(name)(path)
        except MediaconvError as error:
            if "\n" in str(error) and name != "a.pt":
                wrong = f"a message of several lines: {error}"
        except Exception:
            wrong = traceback.format_exc()
        signal.alarm(0)
        path.unlink()
        if (grown := _peak() - peak) > MEGABYTES:
            wrong, peak = wrong or f"took {grown} MB", _peak()
        if words.stat().st_size:
            wrong = wrong or f"on stderr: {words.read_text(errors='replace')}"
            os.truncate(words, 0)
        if left := [entry.name for entry in folder.iterdir() if entry != words]:
            wrong = wrong or f"left behind: {left}"
        if wrong:
            print(json.dumps({"case": number, "file": name, "wrong": wrong}), flush=True)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
