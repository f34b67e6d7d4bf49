"""Jobs in worker processes of this machine, which may crash, hang or be killed without harm to the run.

Each worker has one pipe of its own and nothing is shared: in a pool with a common queue (concurrent.futures,
multiprocessing.Pool) a worker killed while it holds the queue's lock blocks all the others for good.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from mediaconv.errors import MediaconvError, UsageError
from mediaconv.run.executors.autoscale import Autoscale
from mediaconv.run.executors.executor import Outcomes, Perform, Watch
from mediaconv.run.executors.resources import cores
from mediaconv.run.executors.template import ForkedProcess, Template
from mediaconv.run.executors.worker import ADVANCE, BOOT, BROKEN, DONE, READY
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Failure, Outcome
from mediaconv.run.output.staging import clear_leftovers

ATTEMPTS = 2
"""How often a job is begun whose worker is lost."""
START_FAILURES = 3
"""Workers in a row that may be lost before they are ready."""
TICK_SECONDS = 0.5
END_SECONDS = 2.0
"""How long the last descriptor of a killed worker may stay open."""


class ProcessExecutor:
    """Runs jobs in up to `workers` processes.

    make: picklable; called in each worker, it makes the function that runs a job.
    grow: begin with one worker and add others while the work that waits is worth their start.
    timeout_seconds: a job that takes longer is ended and fails.
    threads: of each library, divided among the workers; default: as many as there are cores.
    template: forks the workers; without one each is a fresh process.
    """

    def __init__(
        self,
        make: Callable[[], Perform],
        *,
        workers: int,
        grow: bool = False,
        timeout_seconds: float | None = None,
        threads: int | None = None,
        template: Template | None = None,
    ) -> None:
        self._template = template
        self._make, self._most, self._grow, self._timeout = make, workers, grow, timeout_seconds
        self._threads = cores() if threads is None else threads

    def run(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
        """Outcomes in the order in which they are reached."""
        pool = _Pool(
            self._make,
            jobs,
            watch,
            most=self._most,
            grow=self._grow,
            timeout=self._timeout,
            threads=self._threads,
            template=self._template,
        )
        try:
            yield from pool.outcomes()
        finally:
            pool.close()


class _Worker:
    """One process, its pipe, and the job that it has."""

    def __init__(self, index: int, make: Callable[[], Perform], template: Template | None) -> None:
        self.index = index
        self.ready = False
        self.jobs = 0
        self.job: Job | None = None
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
                self._send(make)

    def begin(self, job: Job, threads: int) -> None:
        """Hand over a job. A worker that is gone already is found out by its closed pipe."""
        self.job = job
        self.jobs += 1
        self.began = time.monotonic()
        self._send((job, threads))

    def end(self) -> int:
        """Kill the process, if it lives; its exit status."""
        self.process.kill()
        status = self.process.wait()
        with contextlib.suppress(EOFError, OSError):  # of a lost template's worker this tells that it is gone
            while self.pipe.poll(END_SECONDS):
                self.pipe.recv_bytes()
        self.pipe.close()
        return status

    def _send(self, message: Any) -> None:
        try:
            self.pipe.send(message)
        except (BrokenPipeError, ConnectionResetError):
            return


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


class _Pool:
    """The workers of one run and the jobs that wait for them."""

    def __init__(
        self,
        make: Callable[[], Perform],
        jobs: Sequence[Job],
        watch: Watch,
        *,
        most: int,
        grow: bool,
        timeout: float | None,
        threads: int,
        template: Template | None,
    ) -> None:
        self._make, self._watch, self._threads, self._template = make, watch, threads, template
        self._most, self._grow, self._timeout = most, grow, timeout
        self._waiting = deque(jobs)
        self._begun: dict[str, int] = {}
        self._workers: list[_Worker] = []
        self._start_failures = 0
        self._autoscale = Autoscale()

    def outcomes(self) -> Iterator[Outcome]:
        """Run everything."""
        while self._waiting or any(w.job for w in self._workers):
            self._start_workers()
            self._hand_out()
            pipes = {w.pipe: w for w in self._workers}
            for pipe in wait(list(pipes), timeout=self._patience()):
                yield from self._receive(pipes[pipe])  # type: ignore[index]
            yield from self._end_late_jobs()

    def close(self) -> None:
        """End all workers at once and remove what their jobs had begun to write."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()
            if worker.job is not None:
                clear_leftovers(worker.job.target)
        self._workers.clear()

    def _start_workers(self) -> None:
        while self._waiting and len(self._workers) < self._wanted():
            used = {w.index for w in self._workers}
            index = next(i for i in range(self._most) if i not in used)
            self._workers.append(_Worker(index, self._make, self._template))

    def _wanted(self) -> int:
        """How many workers there should be now."""
        busy = [w for w in self._workers if w.job]
        most = min(self._most, len(busy) + len(self._waiting))
        now = len(self._workers)
        if not self._grow:
            return most
        if now == 0:
            return 1
        running = [(time.monotonic() - w.began, w.jobs == 1) for w in busy]
        worth = all(w.ready for w in self._workers) and self._autoscale.is_worth_another(
            waiting=len(self._waiting), workers=now, running=running
        )
        return min(most, now + 1) if worth else now

    def _hand_out(self) -> None:
        threads = max(1, self._threads // max(1, len(self._workers)))
        for worker in self._workers:
            if worker.ready and worker.job is None and self._waiting:
                job = self._waiting.popleft()
                self._begun[job.name] = self._begun.get(job.name, 0) + 1
                worker.begin(job, threads)
                self._watch.started(worker.index, job)

    def _patience(self) -> float:
        """Seconds until something must be looked at even if no worker speaks."""
        if self._timeout is None:
            return TICK_SECONDS
        ends = [w.began + self._timeout for w in self._workers if w.job]
        return max(0.0, min([TICK_SECONDS, *(end - time.monotonic() for end in ends)]))

    def _receive(self, worker: _Worker) -> Iterator[Outcome]:
        """One message of a worker, or its end."""
        try:
            kind, *rest = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._lost(worker)
            return
        if kind == READY:
            worker.ready = True
            self._start_failures = 0
            self._autoscale.started(time.monotonic() - worker.began)
        elif kind == ADVANCE:
            self._watch.advanced(worker.index, *rest)
        elif kind == DONE:
            self._autoscale.ended(time.monotonic() - worker.began, first=worker.jobs == 1)
            result, failure, seconds = rest
            assert worker.job is not None
            yield self._ended(worker, Outcome(worker.job, result, failure, seconds))
        elif kind == BROKEN:
            text, exit_code = rest
            raise (UsageError if exit_code == UsageError.exit_code else MediaconvError)(
                f"a worker process cannot start: {text}"
            )

    def _ended(self, worker: _Worker, outcome: Outcome) -> Outcome:
        """A job's outcome, with who reached it and how often it was begun; the worker is free."""
        worker.job = None
        self._watch.stopped(worker.index)
        return Outcome(
            outcome.job,
            outcome.result,
            outcome.failure,
            outcome.seconds,
            attempts=self._begun[outcome.job.name],
            worker=f"process {worker.process.pid}",
        )

    def _lost(self, worker: _Worker) -> Iterator[Outcome]:
        """A worker's pipe is closed: it died. Its job is begun once more, elsewhere, and fails then."""
        self._workers.remove(worker)
        end = describe_end(worker)
        if not worker.ready:
            self._start_failures += 1
            if self._start_failures >= START_FAILURES:
                raise MediaconvError(f"{START_FAILURES} workers in a row could not start: the last {end}")
        job = worker.job
        if job is None:
            return
        clear_leftovers(job.target)
        if self._begun[job.name] < ATTEMPTS:
            self._watch.stopped(worker.index)
            self._watch.lost(job, f"its worker process {end}")
            self._waiting.append(job)
            return
        times = {1: "once", 2: "twice"}.get(ATTEMPTS, f"{ATTEMPTS} times")
        reason = f"{job.origin}: its worker process {end}; it was tried {times}"
        yield self._ended(worker, self._failed(worker, job, reason))

    def _end_late_jobs(self) -> Iterator[Outcome]:
        if self._timeout is None:
            return
        for worker in list(self._workers):
            over = time.monotonic() - worker.began - self._timeout
            if worker.job is None or over < 0 or (over < TICK_SECONDS and worker.pipe.poll()):
                continue  # in time, or with an answer that is to be read first
            self._workers.remove(worker)
            worker.end()
            clear_leftovers(worker.job.target)
            reason = f"{worker.job.origin}: took longer than timeout_seconds: {self._timeout:g}; it was ended"
            yield self._ended(worker, self._failed(worker, worker.job, reason))

    def _failed(self, worker: _Worker, job: Job, reason: str) -> Outcome:
        return Outcome(job, failure=Failure("run", reason), seconds=time.monotonic() - worker.began)


def describe_end(worker: _Worker) -> str:
    """How a lost worker ended: `was killed by SIGKILL (out of memory?)`, `ended with status 3`."""
    try:
        status = worker.process.wait(TICK_SECONDS)  # its pipe closes a moment before it is gone
    except subprocess.TimeoutExpired:
        status = worker.end()
    worker.pipe.close()
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
