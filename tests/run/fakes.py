"""Jobs without media: each copies its input's bytes, turned round: executors are tested without torch."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mediaconv.errors import MediaError, ReadError
from mediaconv.run.executors.executor import Advance, Perform
from mediaconv.run.jobs.identity import content_hash, input_identity
from mediaconv.run.jobs.perform import failure_of
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Failure, JobResult, Outcome, OutputFile
from mediaconv.run.output.staging import Staging


@dataclass(frozen=True)
class Reverser:
    """Makes the function that runs a job. What an input's bytes begin with tells what happens.

    die: the worker kills itself, each time. once: only the first time. hang: it never ends.
    bad: a file's error. seconds: how long a job takes. holds: outputs stay staged, for the
        run to put in place.
    """

    seconds: float = 0.0
    holds: bool = False

    def __call__(self) -> Perform:
        return self._perform

    def _perform(self, job: Job, advance: Advance) -> Outcome:
        try:
            return Outcome(job, result=self._result(job, advance), seconds=self.seconds)
        except Exception as error:
            return Outcome(job, failure=failure_of(error, job))

    def _result(self, job: Job, advance: Advance) -> JobResult:
        data = job.input.read_bytes()
        with Staging(job.target, job.replaces) as staging:
            path = staging.folder / "channel_0.bin"
            path.write_bytes(data[: len(data) // 2])
            advance(1, 2, None)
            time.sleep(self.seconds)
            self._misbehave(job, data)
            path.write_bytes(data[::-1])
            written = path.stat().st_mtime_ns
            staged = staging.hold() if self.holds else staging.commit()
        digest = hashlib.sha256(data[::-1]).hexdigest()
        return JobResult(
            outputs=[OutputFile("channel_0.bin", len(data), digest, written)],
            seconds=self.seconds,
            input_shape=(1, len(data)),
            output_shape=(1, len(data)),
            media_seconds=None,
            input_identity={**input_identity(job.input), "sha256": content_hash(job.input)},
            staged=staged,
        )

    def _misbehave(self, job: Job, data: bytes) -> None:
        if data.startswith(b"bad"):
            raise ReadError(f"{job.input}: begins with bad")
        if data.startswith(b"hang"):
            time.sleep(3600)
        marker = job.input.with_name(f".{job.input.name}.died")
        if data.startswith(b"die") or (data.startswith(b"once") and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Unstartable:
    """A worker that dies before it is ready, or whose program cannot be made."""

    error: str = ""

    def __call__(self) -> Perform:
        if self.error:
            raise MediaError(self.error, stage="read")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class Slow:
    """The real thing, each job held up for some seconds before it begins."""

    make: Callable[[], Perform]
    seconds: float

    def __call__(self) -> Perform:
        perform = self.make()

        def slowly(job: Job, advance: Advance) -> Outcome:
            time.sleep(self.seconds)
            return perform(job, advance)

        return slowly


@dataclass(frozen=True)
class HeldUntilANodeIsLost:
    """The real thing on a Ray cluster, but every job waits until `lose` is called; the lost node's wait on.

    So each node has a job under way when one is lost, however slow its workers are to start.
    folder: where jobs say on which node they wait, and are told which was lost.
    """

    make: Callable[[], Perform]
    folder: Path

    def __call__(self) -> Perform:
        import ray

        perform = self.make()
        node = ray.get_runtime_context().get_node_id()

        def held(job: Job, advance: Advance) -> Outcome:
            (self.folder / f"waits-{node}").touch()
            while self._lost() in {None, node}:
                time.sleep(0.05)
            return perform(job, advance)

        return held

    def waiting(self) -> set[str]:
        """The nodes on which a job waits, or did."""
        return {path.name.removeprefix("waits-") for path in self.folder.glob("waits-*")}

    def lose(self, node: str) -> None:
        """Tell the jobs on all other nodes to go on."""
        part = self.folder / "part"
        part.write_text(node)
        part.rename(self.folder / "lost")

    def _lost(self) -> str | None:
        path = self.folder / "lost"
        return path.read_text() if path.exists() else None


class Waiting:
    """Each job fails with how threads of OpenMP wait in its worker as the reason."""

    def __call__(self) -> Perform:
        return self._told

    def _told(self, job: Job, advance: Advance) -> Outcome:
        return Outcome(job, failure=Failure("run", os.environ.get("OMP_WAIT_POLICY", "")))


@dataclass(frozen=True)
class Surroundings:
    """Jobs that fail, with what they find around them as the reason: threads and, on Ray, resources."""

    def __call__(self) -> Perform:
        import torch

        def look(job: Job, advance: Advance) -> Outcome:
            found: dict[str, object] = {"threads": torch.get_num_threads()}
            if "ray" in sys.modules:
                import ray

                found |= ray.get_runtime_context().get_assigned_resources()
            return Outcome(job, failure=Failure("run", json.dumps(found, sort_keys=True)))

        return look


class Diary:
    """Watches: a line for everything that an executor tells."""

    def __init__(self) -> None:
        self.lines: list[tuple] = []

    def started(self, worker: int, job: Job) -> None:
        self.lines.append(("started", worker, job.name))

    def advanced(self, worker: int, steps: int, total: int | None, media_seconds: float | None) -> None:
        self.lines.append(("advanced", worker, steps, total))

    def lost(self, job: Job, reason: str) -> None:
        self.lines.append(("lost", job.name, reason))

    def stopped(self, worker: int) -> None:
        self.lines.append(("stopped", worker))


def jobs_of(folder: Path, contents: dict[str, bytes]) -> list[Job]:
    """Inputs with these contents, and the jobs that they are."""
    (folder / "in").mkdir(exist_ok=True)
    for name, data in contents.items():
        (folder / "in" / name).write_bytes(data)
    return [Job(name, folder / "in" / name, folder / "out") for name in contents]
