"""What became of a job, as plain values that travel between processes and machines. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mediaconv.counted import counted
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.staging import Staged


def clipped_note(count: int, *, files: int = 1) -> str:
    """The note of an input, or of several, of which so many values were clipped, with what to do."""
    return (
        f"{counted(count, 'value')} lay outside the range of the file and {'was' if count == 1 else 'were'} "
        f"clipped{' in all' if files > 1 else ''}: normalize: sigmoid, or minmax over the whole file, brings "
        "them into it, and write: {layout: tensor} stores them as they are"
    )


@dataclass(frozen=True)
class OutputFile:
    """A file that was written: its name in the job's target folder, and what was verified of it.

    time: of its last change, in ns; two files of the same content are equal.
    """

    name: str
    bytes: int
    sha256: str
    time: int = field(compare=False)


@dataclass(frozen=True)
class JobResult:
    """What became of one input.

    input_shape, output_shape: lengths along the axes, channels first, as they were counted.
    media_seconds: length of the input in time; None for images.
    clipped: values that lay outside what the file can hold.
    input_identity: size, time and sha256 of the input that was read.
    staged: complete outputs that wait to be put in place; None: they are.
    """

    outputs: list[OutputFile]
    seconds: float
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    media_seconds: float | None
    clipped: int = 0
    notes: list[str] = field(default_factory=list)
    input_identity: dict[str, Any] = field(default_factory=dict)
    staged: Staged | None = None


@dataclass(frozen=True)
class Failure:
    """Why a job has no outputs.

    stage: read, compute, write, or run (the worker died, or took too long).
    stops_run: no other job can do better: the disk is full.
    unfit: the configuration does not fit the input (or itself): the input may be all right.
    trace: the traceback, for `--debug`.
    """

    stage: str
    reason: str
    stops_run: bool = False
    unfit: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Outcome:
    """The end of a job: a result or a failure.

    attempts: how often it was begun; more than one where a worker was lost under it.
    worker: what ended it: a process, or a node of a cluster.
    """

    job: Job
    result: JobResult | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    attempts: int = 1
    worker: str = ""
