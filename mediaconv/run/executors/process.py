"""Jobs in worker processes of this machine, which may crash, hang or be killed without harm to the run.

Each worker has one pipe of its own and nothing is shared: in a pool with a common queue (concurrent.futures,
multiprocessing.Pool) a worker killed while it holds the queue's lock blocks all the others for good.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from multiprocessing.connection import wait

from mediaconv.errors import MediaconvError, UsageError, shortage
from mediaconv.run.executors.autoscale import Autoscale
from mediaconv.run.executors.executor import Outcomes, Perform, Watch
from mediaconv.run.executors.resources import cores
from mediaconv.run.executors.template import Template
from mediaconv.run.executors.worker import ADVANCE, BROKEN, DONE, READY
from mediaconv.run.executors.worker_handle import WorkerHandle
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Failure, JobResult, Outcome
from mediaconv.run.output.staging import clear_leftovers

ATTEMPTS = 2
"""How often a job is begun whose worker is lost."""
START_FAILURES = 3
"""Workers in a row that may be lost before they are ready."""
TICK_SECONDS = 0.5
AT_ONCE = 32
"""Small jobs that a worker is handed at a time, and as many ahead: a message for each costs a third of it."""
SMALL_BYTES = 1 << 16
"""An input of up to so many bytes is small: no other waits long behind it."""
QUICK_SECONDS = 0.02
"""A worker gets small jobs ahead while its last ones took less than that and their outputs wait to be put
in place: of a worker that is lost before it told, they can be made again."""


@dataclass(frozen=True)
class ProcessExecutor:
    """Runs jobs in up to `workers` processes.

    make: picklable; called in each worker, it makes the function that runs a job.
    grow: begin with one worker and add others while the work that waits is worth their start.
    timeout_seconds: a job that takes longer is ended and fails.
    threads: of each library, divided among the workers; default: as many as there are cores.
    template: forks the workers; without one each is a fresh process.
    """

    make: Callable[[], Perform]
    _: KW_ONLY
    workers: int
    grow: bool = False
    timeout_seconds: float | None = None
    threads: int | None = None
    template: Template | None = None

    def run(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
        """Outcomes in the order in which they are reached."""
        pool = _Pool(self, jobs, watch)
        try:
            yield from pool.outcomes()
        finally:
            pool.close()


class _Pool:
    """The workers of one run and the jobs that wait for them."""

    def __init__(self, options: ProcessExecutor, jobs: Sequence[Job], watch: Watch) -> None:
        self._options, self._watch = options, watch
        self._most, self._timeout = options.workers, options.timeout_seconds
        self._threads = cores() if options.threads is None else options.threads
        self._waiting = deque(jobs)
        self._begun: dict[str, int] = {}
        self._alone: set[str] = set()
        self._workers: list[WorkerHandle] = []
        self._start_failures = 0
        self._autoscale = Autoscale()

    def outcomes(self) -> Iterator[Outcome]:
        """Run everything."""
        while self._waiting or any(w.under_way for w in self._workers):
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
            for job in worker.under_way:
                clear_leftovers(job.target)
        self._workers.clear()

    def _start_workers(self) -> None:
        while self._waiting and len(self._workers) < self._wanted():
            used = {w.index for w in self._workers}
            index = next(i for i in range(self._most) if i not in used)
            try:
                self._workers.append(WorkerHandle(index, self._options.make, self._options.template))
            except OSError as error:
                if not self._workers or shortage(error) is None:
                    raise
                self._most = len(self._workers)  # those that there are go on

    def _wanted(self) -> int:
        """How many workers there should be now."""
        busy = [w for w in self._workers if w.under_way]
        most = min(self._most, len(busy) + len(self._waiting))
        now = len(self._workers)
        if not self._options.grow:
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
            if jobs := self._next_jobs(worker):
                worker.begin(jobs, threads)
                for job in jobs:
                    self._begun[job.name] = self._begun.get(job.name, 0) + 1
                    self._watch.started(worker.index, job)

    def _next_jobs(self, worker: WorkerHandle) -> list[Job]:
        """What a worker gets now: one job, or several small ones, also while it has as many."""
        ahead = 1
        if worker.quick and self._timeout is None:
            ahead = max(1, min(AT_ONCE, len(self._waiting) // (2 * len(self._workers))))
        jobs: list[Job] = []
        if not worker.ready or len(worker.under_way) > (ahead if ahead > 1 else 0):
            return jobs
        if worker.under_way and worker.under_way[0].name in self._alone:
            return jobs
        while self._waiting and len(jobs) < ahead:
            job = self._waiting[0]
            shares = ahead > 1 and job.name not in self._alone and is_small(job)
            if not shares and (jobs or worker.under_way):
                break
            jobs.append(self._waiting.popleft())
            if not shares:
                break
        return jobs

    def _patience(self) -> float:
        """Seconds until something must be looked at even if no worker speaks."""
        if self._timeout is None:
            return TICK_SECONDS
        ends = [w.began + self._timeout for w in self._workers if w.under_way]
        return max(0.0, min([TICK_SECONDS, *(end - time.monotonic() for end in ends)]))

    def _receive(self, worker: WorkerHandle) -> Iterator[Outcome]:
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
            (ended,) = rest
            now = time.monotonic()
            each = (now - worker.began) / len(ended)
            waits = all(result is None or result.staged is not None for result, *_ in ended)
            worker.began, worker.quick = now, waits and each < QUICK_SECONDS
            for result, failure, seconds in ended:
                self._autoscale.ended(each, first=worker.jobs == 1)
                yield self._ended(worker, result, failure, seconds)
        elif kind == BROKEN:
            text, exit_code = rest
            raise (UsageError if exit_code == UsageError.exit_code else MediaconvError)(
                f"a worker process cannot start: {text}"
            )

    def _ended(
        self, worker: WorkerHandle, result: JobResult | None, failure: Failure | None, seconds: float
    ) -> Outcome:
        """The outcome of a worker's first job, with who reached it and how often it was begun."""
        job = worker.under_way.popleft()
        if not worker.under_way:
            self._watch.stopped(worker.index)
        place = f"process {worker.process.pid}"
        return Outcome(job, result, failure, seconds, attempts=self._begun[job.name], worker=place)

    def _lost(self, worker: WorkerHandle) -> Iterator[Outcome]:
        """A worker's pipe is closed: it died. Its job is begun once more, elsewhere, and fails then.

        Of several jobs it is not known which it was: that does not count, and each is begun again, alone.
        """
        self._workers.remove(worker)
        end = worker.describe_end()
        if not worker.ready:
            self._start_failures += 1
            if self._start_failures >= START_FAILURES:
                raise MediaconvError(f"{START_FAILURES} workers in a row could not start: the last {end}")
        several = len(worker.under_way) > 1
        for job in worker.under_way:
            clear_leftovers(job.target)
            self._begun[job.name] -= several
        while worker.under_way:
            job = worker.under_way[0]
            if self._begun[job.name] < ATTEMPTS:
                worker.under_way.popleft()
                self._watch.stopped(worker.index)
                self._watch.lost(job, f"its worker process {end}")
                self._alone.add(job.name)
                self._waiting.append(job)
                continue
            reason = f"{job.origin}: its worker process {end}; it was tried twice"
            yield self._failed(worker, reason)

    def _end_late_jobs(self) -> Iterator[Outcome]:
        if self._timeout is None:
            return
        for worker in list(self._workers):
            over = time.monotonic() - worker.began - self._timeout
            if not worker.under_way or over < 0 or (over < TICK_SECONDS and worker.pipe.poll()):
                continue  # in time, or with an answer that is to be read first
            (job,) = worker.under_way  # with a limit none is handed over ahead
            self._workers.remove(worker)
            worker.end()
            clear_leftovers(job.target)
            reason = f"{job.origin}: took longer than timeout_seconds: {self._timeout:g}; it was ended"
            yield self._failed(worker, reason)

    def _failed(self, worker: WorkerHandle, reason: str) -> Outcome:
        failure = Failure("run", reason)
        return self._ended(worker, None, failure, time.monotonic() - worker.began)


def is_small(job: Job) -> bool:
    """Whether a job's input is a small file on this machine."""
    if job.input_url:
        return False
    try:
        status = os.stat(job.input)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= SMALL_BYTES
