"""Jobs on a Ray cluster, a task each: for more than one machine, over storage that all of them see.

Tasks carry paths and configuration; errors come back as values, and only lost workers are retried. Ray runs a
task at least once; outputs that are the same each time and are renamed when complete make files exactly once.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from mediaconv.config.run_config import RayOptions
from mediaconv.errors import MediaconvError, UsageError
from mediaconv.run.executors.executor import Outcomes, Perform, Watch
from mediaconv.run.executors.process import ProcessExecutor
from mediaconv.run.executors.resources import cores, set_threads
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Failure, Outcome
from mediaconv.run.output.staging import clear_leftovers

ATTEMPTS = 2
"""How often a job is begun whose worker is lost while its machine stays."""
NODE_ATTEMPTS = 5
"""How often a job is begun whose machine is lost, which is hardly the job's fault."""
LOST_IN_A_ROW = 2
"""Without a cluster every task is lost: so many times all that it has room for, and none ended between."""
TICK_SECONDS = 0.5
CANCEL_SECONDS = 1.0
REACH_SECONDS = 5.0
CAPACITY_SECONDS = 5.0
"""How old the count of the cluster's resources may be."""


@dataclass(frozen=True)
class RayExecutor:
    """Runs jobs as Ray tasks. Only as many as the cluster can run are handed to it.

    make: picklable; called once in each of Ray's worker processes.
    address: of a running cluster, or auto; None starts one on this machine and shuts it down at the end.
    timeout_seconds: a job that takes longer is ended; each then has a process of its own on its node.
    """

    make: Callable[[], Perform]
    _: KW_ONLY
    options: RayOptions
    workers: int | str = "auto"
    timeout_seconds: float | None = None

    def run(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
        """Outcomes in the order in which they are reached. Raises UsageError where there is no cluster."""
        ray = _imported()
        own = not ray.is_initialized()
        if own:
            _connect(ray, self.options.address)
        flight = _Flight(ray, self, jobs, watch)
        try:
            yield from flight.outcomes()
        finally:
            flight.close()
            if own:
                ray.shutdown()


class _Flight:
    """The tasks under way and the jobs that wait for one."""

    def __init__(self, ray: Any, executor: RayExecutor, jobs: Sequence[Job], watch: Watch) -> None:
        options = executor.options
        self._ray, self._watch, self._options = ray, watch, options
        self._limit = executor.workers if isinstance(executor.workers, int) else None
        self._waiting = deque(jobs)
        self._begun: dict[str, int] = {}
        self._flying: dict[Any, tuple[int, Job]] = {}
        self._capacity, self._counted = 0, float("-inf")
        self._lost_in_a_row = 0
        self._arguments = (
            pickle.dumps(executor.make),
            executor.timeout_seconds,
            max(1, int(options.num_cpus)),
        )
        self._task = ray.remote(run_in_task).options(
            num_cpus=options.num_cpus,
            num_gpus=options.num_gpus,
            resources=dict(options.resources),
            max_retries=0,  # retries are ours: they are counted, told apart and written in the manifest
        )

    def outcomes(self) -> Iterator[Outcome]:
        """Run everything."""
        while self._waiting or self._flying:
            while self._waiting and len(self._flying) < self._room():
                self._launch(self._waiting.popleft())
            ready, _ = self._ray.wait(list(self._flying), timeout=TICK_SECONDS)
            for task in ready:
                yield from self._landed(task)

    def close(self) -> None:
        """End all tasks and remove what they had begun to write."""
        for task in self._flying:
            self._ray.cancel(task, force=True)
        if self._flying:
            self._ray.wait(list(self._flying), num_returns=len(self._flying), timeout=CANCEL_SECONDS)
        for _, job in self._flying.values():
            clear_leftovers(job.target)
        self._flying.clear()

    def _launch(self, job: Job) -> None:
        used = {slot for slot, _ in self._flying.values()}
        slot = next(i for i in range(len(used) + 1) if i not in used)
        self._begun[job.name] = self._begun.get(job.name, 0) + 1
        there = replace(job, input=job.input.absolute(), output=job.output.absolute())
        self._flying[self._task.remote(*self._arguments, there)] = slot, job
        self._watch.started(slot, job)

    def _room(self) -> int:
        """Tasks that may be under way: as asked for, or as many as the cluster has resources for."""
        if self._limit is not None:
            return self._limit
        if time.monotonic() - self._counted > CAPACITY_SECONDS:
            self._counted = time.monotonic()
            needs = {"CPU": self._options.num_cpus, "GPU": self._options.num_gpus, **self._options.resources}
            has = self._ray.cluster_resources()
            self._capacity = max(1, int(min(has.get(key, 0) / n for key, n in needs.items() if n)))
        return self._capacity

    def _landed(self, task: Any) -> Iterator[Outcome]:
        """A task has ended: with its outcome, or because its worker or its node was lost."""
        slot, job = self._flying.pop(task)
        self._watch.stopped(slot)
        begun = self._begun[job.name]
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(task)
        except (errors.RayTaskError, errors.RuntimeEnvSetupError, errors.TaskUnschedulableError) as error:
            text = str(error).strip().splitlines()[-1]
            raise MediaconvError(
                f"a Ray worker cannot run jobs: {text}; every node needs the same mediaconv installed"
            ) from error
        except errors.RayError as error:
            clear_leftovers(job.target)
            what = str(error).strip().splitlines()[0]
            self._lost_in_a_row += _is_node_loss(error)
            if self._lost_in_a_row > LOST_IN_A_ROW * self._room():
                raise MediaconvError(
                    f"ray: the cluster is gone ({what}); the same command goes on"
                ) from error
            if begun < (NODE_ATTEMPTS if _is_node_loss(error) else ATTEMPTS):
                self._watch.lost(job, f"its Ray worker was lost ({what})")
                self._waiting.append(job)
                return
            reason = f"{job.origin}: its Ray worker was lost; it was tried {begun} times ({what})"
            outcome = Outcome(job, failure=Failure("run", reason))
        else:
            self._lost_in_a_row = 0
        yield replace(outcome, job=job, attempts=begun)


_PERFORMS: dict[bytes, Perform] = {}
"""What runs jobs in this worker process of Ray, by its pickle: the stack is made once, not once a task."""


def run_in_task(make: bytes, timeout: float | None, threads: int, job: Job) -> Outcome:
    """One job, in a worker process of Ray."""
    node = f"node {_imported().get_runtime_context().get_node_id()}"
    if timeout is not None:
        executor = ProcessExecutor(pickle.loads(make), workers=1, timeout_seconds=timeout, threads=threads)
        (outcome,) = executor.run([job], Watch())
        return replace(outcome, worker=node)
    if make not in _PERFORMS:
        _PERFORMS[make] = pickle.loads(make)()
        set_threads(threads)
    return replace(_PERFORMS[make](job, lambda *progress: None), worker=node)


def _is_node_loss(error: Exception) -> bool:
    """Whether a task's machine is gone; its raylet is Ray's own process on it."""
    words = f"{type(error).__name__} {error}".lower()
    return "node" in words or "raylet" in words


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError("executor: ray is not installed; pip install 'mediaconv[ray]'") from error
    return ray


def _reach(address: str) -> None:
    """Raises OSError where nothing listens at `host:port`: Ray would try for minutes."""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    try:
        if address is None:
            ray.init(num_cpus=cores(), **quiet)
        else:
            _reach(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        text = str(error).strip().splitlines()[0]
        raise UsageError(f"ray: no cluster at {address or 'this machine'}: {text}") from error
