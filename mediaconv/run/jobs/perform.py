"""One job in this process, its errors as values: what every executor's workers call."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mediaconv.config import RunConfig
from mediaconv.errors import MediaconvError, MediaError, UsageError, shortage
from mediaconv.run.executors.executor import Advance
from mediaconv.run.gc_pause import gc_paused
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Failure, Outcome
from mediaconv.run.output.transfer import identity_of, localized

if TYPE_CHECKING:
    from mediaconv.engine.computation import Computations
    from mediaconv.pipeline import Pipeline

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Performer:
    """Runs jobs of one configuration; the pipeline and the stack are made once and kept.

    holds: outputs on this machine stay staged, for the run to put in place, many at a time.
    first: a job that `prepare` looks at.
    """

    def __init__(self, config: RunConfig, *, holds: bool = False, first: Job | None = None) -> None:
        with gc_paused():
            from mediaconv.engine.computation import Computations
            from mediaconv.pipeline import find
            from mediaconv.run.jobs.convert_job import convert_job

        self._convert_job = convert_job
        self._config, self._holds, self._first = config, holds, first
        self._pipeline: Pipeline = find(config.pipeline)
        self._computations: Computations = Computations(config, self._pipeline)

    def prepare(self) -> None:
        """Capture the models of the stack for the first job, for processes that are forked from this one.

        On the CPU alone: a device must not be touched before a fork. What goes wrong is the job's to tell.
        """
        from mediaconv.layers import walk
        from mediaconv.layers.model import Model

        job = self._first
        if job is None or job.input_url or not any(isinstance(s, Model) for _, s in walk(self._config.stack)):
            return
        from mediaconv.model.binding import bind

        with suppress(
            ImportError
        ):  # torch.export shows its progress by it: its thread would keep us from forks
            from tqdm import tqdm

            tqdm.monitor_interval = 0
        with (
            suppress(Exception),
            self._pipeline.open(job.input, self._config.read, self._config.limits) as source,
        ):
            bind(self._config, self._pipeline, source.info)

    def __call__(self, job: Job, advance: Advance) -> Outcome:
        """Run a job; whatever a file, a disk or a defect does wrong is in the outcome."""
        began = time.monotonic()
        local = job
        try:
            before = identity_of(job) if job.input_url else {}
            with localized(job) as local:
                result = self._convert_job(
                    local,
                    self._config,
                    self._pipeline,
                    self._computations,
                    progress=advance,
                    holds=self._holds and not job.target_url,
                )
            result = replace(result, input_identity={**result.input_identity, **before})
        except Exception as error:
            failure = failure_of(error, job)
            if failure.unfit:
                failure = replace(failure, reason=self._config.placed(failure.reason))
            if job.input_url:  # the copy's place says nothing to anybody
                failure = replace(failure, reason=failure.reason.replace(str(local.input), job.origin))
            return Outcome(job, failure=failure, seconds=time.monotonic() - began)
        return Outcome(job, result=result, seconds=time.monotonic() - began)


def failure_of(error: Exception, job: Job) -> Failure:
    """An exception as a value: a full disk stops the run, everything else is the job's own."""
    trace = "".join(traceback.format_exception(error))
    if any(isinstance(e, OSError) and e.errno in DISK_FULL for e in _causes(error)):
        above = job.target.parents
        folder = next((each for each in above if each.exists()), above[-1])
        reason = f"the disk that holds {folder} is full; make room, then run again"
        return Failure("write", reason, stops_run=True, trace=trace)
    unfit = is_unfit(error)
    if isinstance(error, MediaError):
        return Failure(error.stage, str(error), unfit=unfit, trace=trace)
    if isinstance(error, FileNotFoundError):  # of other storage; local files are the pipeline's to tell
        return Failure("read", f"{job.origin}: no such file", trace=trace)
    if isinstance(error, MediaconvError):
        return Failure("run", str(error), unfit=unfit, trace=trace)
    if short := shortage(error):
        return Failure("run", short, trace=trace)
    return Failure("run", f"{type(error).__name__}: {error} (this is a defect)", trace=trace)


def is_unfit(error: BaseException) -> bool:
    """Whether an error tells of the configuration: of its stack, weights or layout for this input."""
    return any(isinstance(e, UsageError) for e in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and all that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, cause.__context__]
