"""A worker process: takes jobs from its pipe, runs one at a time, and answers with their outcomes.

It holds no lock and shares no queue, so it can be killed at any moment without harm to others; when its
parent dies, it dies with it. Started by mediaconv.run.executors.process, or forked by its template. Nothing
heavy is imported here.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from mediaconv.enough_threads import refuse_few_threads
from mediaconv.errors import shortage

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.2
ADVANCE_SECONDS = 0.2
"""Least time between two messages of progress."""
HOLD_SECONDS = 0.1
"""How long an outcome waits for those of jobs that came with it."""

READY, ADVANCE, DONE, BROKEN = "ready", "advance", "done", "broken"

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mediaconv.run.executors.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
"""A worker's program; its arguments: the parent's sys.path as JSON, the pipe's descriptor, the parent."""


def obey_only(parent: int) -> None:
    """Leave Ctrl-C, which reaches the whole group, to the parent, and end with it.

    Threads of OpenMP that wait for others shall sleep, which is asked when torch is loaded. By default they
    spin: beside other programs, or other workers, a worker then took four times the work (600 s of sound on
    two busy cores: 3.7 s of processor time instead of 0.9).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with(parent)


def broken(error: Exception) -> tuple[str, str, int | None]:
    """The message of a worker that cannot begin, and why."""
    reason = shortage(error) or f"{type(error).__name__}: {error}"
    return BROKEN, reason, getattr(error, "exit_code", None)


def main(descriptor: int, parent: int) -> None:
    """Serve the pipe until it is closed."""
    obey_only(parent)
    with Connection(descriptor) as pipe:
        try:
            refuse_few_threads()
            perform = pipe.recv()()
        except EOFError:
            return
        except Exception as error:
            pipe.send(broken(error))
            return
        pipe.send((READY,))
        serve(pipe, perform)


def serve(pipe: Connection, perform: Any) -> None:
    """Run jobs until the pipe is closed."""
    from mediaconv.run.executors.resources import set_threads

    threads = 0
    while True:
        try:
            jobs, share = pipe.recv()
        except EOFError:
            return
        if share != threads:
            threads = share
            set_threads(threads)
        ended: list[tuple[Any, ...]] = []
        sent = time.monotonic()
        for number, job in enumerate(jobs, start=1):
            outcome = perform(job, _Advance(pipe))
            ended.append((outcome.result, outcome.failure, outcome.seconds))  # who asked knows the job
            if number == len(jobs) or time.monotonic() - sent > HOLD_SECONDS:
                pipe.send_bytes(
                    pickle.dumps((DONE, ended))
                )  # `send` makes a pickler first, which takes longer
                ended, sent = [], time.monotonic()


class _Advance:
    """Progress of one job, sent to the parent now and then."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sent = time.monotonic()

    def __call__(self, steps: int, total: int | None, media_seconds: float | None) -> None:
        now = time.monotonic()
        if now - self._sent >= ADVANCE_SECONDS:
            self._sent = now
            self._pipe.send((ADVANCE, steps, total, media_seconds))


def die_with(parent: int) -> None:
    """End this process at once when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
