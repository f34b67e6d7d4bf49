"""Whether the threads can be started that libraries start: those take it badly where they cannot.

Where `ulimit -u` or a container lets none be started, OpenBLAS (NumPy has one, SciPy another) ends the
program without a word as it is loaded, or interrupts it as Ctrl-C does; torch waits for ever.
"""

from __future__ import annotations

import errno
import os
import threading

from mediaconv.errors import SHORTAGES, MediaconvError

MOST = 64
"""OpenBLAS, as NumPy brings it, starts no more."""


def refuse_few_threads() -> None:
    """Raises MediaconvError where the libraries could not start theirs. Takes less than a millisecond."""
    wanted = _wanted()
    if startable_threads(wanted) < wanted:
        raise MediaconvError(SHORTAGES[errno.EAGAIN])


def startable_threads(wanted: int) -> int:
    """How many threads can be started now, up to those wanted."""
    leave = threading.Event()
    started: list[threading.Thread] = []
    try:
        while len(started) < wanted:
            thread = threading.Thread(target=leave.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:  # can't start new thread
        pass
    finally:
        leave.set()
        for thread in started:
            thread.join()
    return len(started)


def _wanted() -> int:
    """Of two such libraries, each of which counts the program's own thread among its own."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if (said := os.environ.get(name, "")).isdecimal():
            return 2 * min(int(said[:4]), MOST)
    return 2 * min(os.cpu_count() or 1, MOST)
