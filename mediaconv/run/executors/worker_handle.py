"""A worker process as the pool holds it: its pipe, the jobs that it has, and how it ended.

Which jobs it gets is the pool's to say (`mediaconv.run.executors.process`).
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from mediaconv.run.executors.executor import Perform
from mediaconv.run.executors.template import ForkedProcess, Template
from mediaconv.run.executors.worker import BOOT
from mediaconv.run.jobs.plan import Job

END_SECONDS = 2.0
"""How long the last descriptor of a killed worker may stay open."""
GONE_SECONDS = 0.5
"""A worker's pipe closes a moment before it is gone."""


class WorkerHandle:
    """One process, its pipe, and the jobs that it has.

    under_way: the first of them runs now, or has ended and its outcome is on its way.
    began: when the worker was started, or took or ended the last of its jobs. quick: whether that was soon.
    """

    def __init__(self, index: int, make: Callable[[], Perform], template: Template | None) -> None:
        self.index = index
        self.ready = False
        self.quick = False
        self.jobs = 0
        self.under_way: deque[Job] = deque()
        self.began = time.monotonic()
        self.process: subprocess.Popen[bytes] | ForkedProcess
        ours, theirs = socket.socketpair()
        with theirs:
            self.pipe = Connection(ours.detach())
            forked = None if template is None else template.spawn(make, theirs.fileno())
            if forked is not None:
                self.process, self.began = forked, time.monotonic()
            else:
                self.process = _fresh(theirs.fileno())
                with _lost_is_found_later():
                    self.pipe.send(make)

    def begin(self, jobs: Sequence[Job], threads: int) -> None:
        """Hand over jobs. A worker that is gone already is found out by its closed pipe."""
        if not self.under_way:
            self.began = time.monotonic()
        self.under_way += jobs
        self.jobs += len(jobs)
        with _lost_is_found_later():
            self.pipe.send_bytes(pickle.dumps((list(jobs), threads)))

    def end(self) -> int:
        """Kill the process, if it lives; its exit status."""
        self.process.kill()
        status = self.process.wait()
        with contextlib.suppress(EOFError, OSError):  # of a lost template's worker this tells that it is gone
            while self.pipe.poll(END_SECONDS):
                self.pipe.recv_bytes()
        self.pipe.close()
        return status

    def describe_end(self) -> str:
        """How it ended, if it was lost: `was killed by SIGKILL (out of memory?)`, `ended with status 3`."""
        try:
            status = self.process.wait(GONE_SECONDS)
        except subprocess.TimeoutExpired:
            status = self.end()
        self.pipe.close()
        if status >= 0:
            return f"ended with status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def _lost_is_found_later() -> contextlib.AbstractContextManager[None]:
    """A worker that is gone is told by its closed pipe, when it is read."""
    return contextlib.suppress(BrokenPipeError, ConnectionResetError)


def _fresh(descriptor: int) -> subprocess.Popen[bytes]:
    """A new interpreter that serves that end of a pipe."""
    # a Ctrl-C that arrives while the process starts waits until it ignores such signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-c", BOOT, json.dumps(sys.path), str(descriptor), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=2,  # a plug-in's prints must not end in the summary
            pass_fds=[descriptor],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
