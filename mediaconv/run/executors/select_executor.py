"""Which executor runs a configuration's jobs, and with how many workers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from mediaconv.config import RunConfig
from mediaconv.config.dump import located
from mediaconv.errors import UsageError
from mediaconv.pipeline import find
from mediaconv.run.executors.executor import Executor, Perform
from mediaconv.run.executors.process import ProcessExecutor
from mediaconv.run.executors.resources import choose_workers, cores
from mediaconv.run.executors.serial import SerialExecutor
from mediaconv.run.executors.template import Template
from mediaconv.run.jobs.perform import Performer
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.storage import IN_PROCESS

LOOKED_AT = 256


def select_executor(
    config: RunConfig,
    todo: Sequence[Job],
    make: Callable[[], Perform] | None = None,
    template: Template | None = None,
) -> tuple[Executor, int]:
    """The executor for these jobs, and its most workers.

    `auto` is process, also for one job: what crashes then ends a worker, not the program. A job over
    `timeout_seconds` can only be ended from outside, so serial is then one process.

    make: makes what runs one job; default: what the configuration says. template: of processes.
    """
    jobs = len(todo)
    if any(path.startswith(f"{IN_PROCESS}://") for path in (config.input, config.output)):
        seen = f"{IN_PROCESS}:// is seen by one process only"
        if config.executor in ("process", "ray"):
            raise UsageError(f"executor: {seen}; use executor: serial")
        if config.timeout_seconds is not None:
            raise UsageError(
                f"timeout_seconds: {seen}, and a file is ended with its own process; leave it out"
            )
        return SerialExecutor(make or functools.partial(Performer, config), can_isolate=False), 1
    if config.executor == "ray":
        from mediaconv.run.executors.ray_cluster import RayExecutor

        far = located(config, Path.cwd())
        executor = RayExecutor(
            make or functools.partial(Performer, far),
            workers=config.workers,
            options=config.ray,
            timeout_seconds=config.timeout_seconds,
        )
        return executor, config.workers if isinstance(config.workers, int) else min(jobs, cores())
    # with a limit on a job's time each worker captures within it: nothing would end it before
    first = todo[0] if todo and config.timeout_seconds is None else None
    make = make or functools.partial(Performer, config, holds=True, first=first)
    timeout, grow = config.timeout_seconds, isinstance(config.workers, str)
    if config.executor == "serial" and timeout is None:
        return SerialExecutor(make), 1
    workers = config.workers
    if isinstance(workers, str):
        workers = choose_workers(jobs, config.device, largest_bytes(config, todo))
    workers = 1 if config.executor == "serial" else max(1, min(workers, jobs))
    executor_here = ProcessExecutor(
        make, workers=workers, grow=grow, timeout_seconds=timeout, template=template
    )
    return executor_here, workers


def largest_bytes(config: RunConfig, jobs: Sequence[Job]) -> int:
    """What the largest input needs at once, of up to LOOKED_AT of them: reading many headers takes long."""
    pipeline = find(config.pipeline)
    some = jobs[:: -(-len(jobs) // LOOKED_AT)] if jobs else []
    return max((pipeline.needed_bytes(job.input) for job in some), default=0)
