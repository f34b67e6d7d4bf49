"""What a user sees while a run goes on: bars on a terminal, plain lines elsewhere, or nothing. On stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mediaconv.counted import counted
from mediaconv.run.executors.executor import Watch
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Outcome
from mediaconv.run.report.formatting import duration, escaped, speed
from mediaconv.run.report.moving_rate import MovingRate

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_SECONDS = 10.0
"""Least time between two plain lines of progress; failures are told at once."""


class Reporter(Watch):
    """Told of everything that happens in a run; this one minds nothing."""

    def begin(self, jobs: int, skipped: int, workers: int, *, caution: str = "") -> None:
        """The work is known. caution: what the executor does not protect from."""

    def ended(self, outcome: Outcome) -> None:
        """A job has its end."""

    def close(self) -> None:
        """Nothing more comes."""


@dataclass
class _Current:
    """What one worker does now."""

    job: Job
    began: float = field(default_factory=lambda: time.monotonic())
    steps: int = 0
    total: int | None = None
    media_seconds: float | None = None
    rate: MovingRate = field(default_factory=MovingRate)

    @property
    def fraction(self) -> float:
        """Part of the file that is computed, 0 where its length is not known."""
        return min(1.0, self.steps / self.total) if self.total else 0.0

    def text(self) -> str:
        """Time in the file, speed against real time, remaining time; as far as they are known."""
        spent = max(1e-6, time.monotonic() - self.began)
        parts = []
        if self.media_seconds is not None:
            of = f" of {duration(self.media_seconds / self.fraction)}" if self.fraction else ""
            parts += [f"{duration(self.media_seconds)}{of}", speed(self.media_seconds, spent)]
        elif self.fraction:
            parts.append(f"{self.fraction:.0%}")
        left = self.rate.remaining(1.0)
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


class QuietReporter(Reporter):
    """Failures only, each a line."""

    def __init__(self, *, traces: bool = False) -> None:
        self._traces = traces
        self.jobs = self.done = self.failed = 0
        self.current: dict[int, _Current] = {}
        self._rate = MovingRate()

    def begin(self, jobs: int, skipped: int, workers: int, *, caution: str = "") -> None:
        self.jobs = jobs
        self._rate.add(0)

    def started(self, worker: int, job: Job) -> None:
        self.current[worker] = _Current(job)

    def advanced(self, worker: int, steps: int, total: int | None, media_seconds: float | None) -> None:
        now = self.current[worker]
        now.steps, now.total, now.media_seconds = steps, total, media_seconds
        now.rate.add(now.fraction)

    def stopped(self, worker: int) -> None:
        self.current.pop(worker, None)

    def lost(self, job: Job, reason: str) -> None:
        self.say(f"trying again: {job.name}: {reason}")

    def ended(self, outcome: Outcome) -> None:
        self.done += outcome.failure is None
        self.failed += outcome.failure is not None
        self._rate.add(self.done + self.failed)
        if outcome.failure is None:
            return
        if self._traces and outcome.failure.trace:
            for line in outcome.failure.trace.splitlines():
                self.say(line)
        self.say(f"failed: {outcome.job.name}: {outcome.failure.stage}: {outcome.failure.reason}")

    def say(self, text: str) -> None:
        """One line to the user."""
        with contextlib.suppress(OSError, ValueError):  # closed or full: the work goes on all the same
            print(escaped(text), file=sys.stderr, flush=True)

    def remaining(self) -> str:
        """`, 1:20 left`, once there is something to tell it by."""
        left = self._rate.remaining(self.jobs) if self.done + self.failed > 1 else None
        return "" if left is None else f", {duration(left)} left"


class LineReporter(QuietReporter):
    """Plain lines, now and then, for logs and pipes."""

    def __init__(self, *, traces: bool = False) -> None:
        super().__init__(traces=traces)
        self._said = 0.0

    def begin(self, jobs: int, skipped: int, workers: int, *, caution: str = "") -> None:
        super().begin(jobs, skipped, workers)
        extra = f", {skipped} done already" if skipped else ""
        if jobs:
            self.say(f"{counted(jobs, 'file')} to convert{extra}; up to {counted(workers, 'worker')}")
            if caution:
                self.say(caution)
        self._said = time.monotonic()

    def advanced(self, worker: int, steps: int, total: int | None, media_seconds: float | None) -> None:
        super().advanced(worker, steps, total, media_seconds)
        if self._is_time():
            now = self.current[worker]
            self.say(f"[{self.done + self.failed}/{self.jobs}] {now.job.name}: {now.text()}")

    def ended(self, outcome: Outcome) -> None:
        super().ended(outcome)
        ended = self.done + self.failed
        if outcome.failure is None and (self._is_time() or ended == self.jobs):
            failed = f", {self.failed} failed" if self.failed else ""
            self.say(f"[{ended}/{self.jobs}] {outcome.job.name}{failed}{self.remaining()}")

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._said < LINE_SECONDS:
            return False
        self._said = now
        return True


class BarReporter(QuietReporter):
    """A bar for the run and one for each worker's file, on a terminal."""

    def __init__(self, *, traces: bool = False) -> None:
        super().__init__(traces=traces)
        self._bars: Progress | None = None
        self._tasks: dict[int, TaskID] = {}
        self._overall: Any = None

    def begin(self, jobs: int, skipped: int, workers: int, *, caution: str = "") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().begin(jobs, skipped, workers)
        if not jobs:
            return
        name = TextColumn("{task.description}", markup=False)
        text = TextColumn("{task.fields[text]}", markup=False)
        self._bars = Progress(
            name, BarColumn(bar_width=24), text, console=Console(stderr=True), transient=True
        )
        self._bars.start()
        if caution:
            self.say(caution)
        self._overall = self._bars.add_task("all files", total=jobs, text=f"0/{jobs}")

    def started(self, worker: int, job: Job) -> None:
        super().started(worker, job)
        if self._bars is not None:
            name = escaped(job.name)
            name = name if len(name) <= 40 else "..." + name[-37:]
            self._tasks[worker] = self._bars.add_task(name, total=None, text="")

    def advanced(self, worker: int, steps: int, total: int | None, media_seconds: float | None) -> None:
        super().advanced(worker, steps, total, media_seconds)
        if self._bars is not None:
            text = self.current[worker].text()
            self._bars.update(self._tasks[worker], completed=steps, total=total, text=text)

    def stopped(self, worker: int) -> None:
        super().stopped(worker)
        task = self._tasks.pop(worker, None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)

    def ended(self, outcome: Outcome) -> None:
        super().ended(outcome)
        if self._bars is not None:
            ended = self.done + self.failed
            failed = f", {self.failed} failed" if self.failed else ""
            text = f"{ended}/{self.jobs}{failed}{self.remaining()}"
            self._bars.update(self._overall, completed=ended, text=text)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()

    def say(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(escaped(text), markup=False, highlight=False, soft_wrap=True)
        else:
            super().say(text)


def make_reporter(*, quiet: bool, traces: bool = False) -> Reporter:
    """The reporter that suits the terminal."""
    if quiet:
        return QuietReporter(traces=traces)
    return BarReporter(traces=traces) if sys.stderr.isatty() else LineReporter(traces=traces)
