"""The one conversion loop: a source's chunks through one or several steps, each one's outputs to a receiver.

Decoding, computing and encoding run side by side (flow.py). A source may be a file, a part of one, an array
or something live: the loop asks for chunks only. It knows nothing of files, jobs, stacks or normalizers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from mediaconv.engine.clock import OutputClock
from mediaconv.engine.flow import flow, in_turn
from mediaconv.engine.stages import stage
from mediaconv.errors import ComputeError, ReadError, WriteError
from mediaconv.pipeline import Chunk, Source

Times = Sequence[Fraction] | None
Computes = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int | None, float | None], None]
"""Called in the computing thread: steps of the stream axis computed, steps in all where known, and the
seconds of media that the computed steps last where the axis is time."""


class Step(Protocol):
    """One pass over one input: chunks of raw samples in, chunks of stored samples out.

    A step may also have `whole(raw)`: of an input that is one chunk what `push` and `flush` give together.
    """

    def push(self, raw: np.ndarray) -> np.ndarray:
        """Raw samples (n, ..., C), any n, to what they complete, (C', n', ...), n' may be 0."""

    def flush(self) -> np.ndarray:
        """End the input: what waited for more of it, (C', n', ...)."""


class Receiver(Protocol):
    """Takes the outputs of one step: a sink, or an observer that only looks."""

    def write(self, samples: np.ndarray, times: Times) -> None:
        """Stored samples (C', n, ...), n > 0; times: of each in seconds, where the source gives times."""


@dataclass
class Branch:
    """A step with its receiver.

    stride: input steps an output step, which gives outputs their times.
    output_shape: (C', n, ...) of all outputs so far; empty before the first.
    """

    step: Step
    receiver: Receiver
    stride: Fraction = Fraction(1)
    output_shape: tuple[int, ...] = ()

    def write(self, samples: np.ndarray, times: Times) -> None:
        """Count and hand on."""
        before = self.output_shape[1] if self.output_shape else 0
        if samples.size or not before:
            self.output_shape = (samples.shape[0], before + samples.shape[1], *samples.shape[2:])
        if samples.size:
            self.receiver.write(samples, times)


class Passthrough:
    """A step that gives the raw samples as they are, channels first.

    watch: called with each chunk, (n, ..., C).
    """

    def __init__(self, watch: Callable[[np.ndarray], None] = lambda raw: None) -> None:
        self._watch = watch

    def push(self, raw: np.ndarray) -> np.ndarray:
        """See Step."""
        self._watch(raw)
        return np.moveaxis(raw, -1, 0)

    def flush(self) -> np.ndarray:
        """Nothing: it holds nothing back."""
        return np.empty((0, 0))


def run_conversion(
    source: Source, branches: Sequence[Branch], *, chunk_size: int, progress: Progress | None = None
) -> tuple[int, ...]:
    """Stream a source through all branches to its end; the shape (C, n, ...) of what was read.

    Each chunk goes through every branch's step, in order, before the next one. What was received is not
    completed here: the caller finishes its sinks, or aborts them where this raises.
    Raises MediaError of the stage that failed first; by then all helper threads have ended.
    """
    info = source.info
    step_seconds = 1 / info.rate if info.rate else Fraction(1)
    clocks = [OutputClock(branch.stride, step_seconds) for branch in branches]
    shape: tuple[int, ...] = (info.channels, 0)
    timed = False
    pushes = [branch.step.push for branch in branches]
    wholes = [whole for branch in branches if (whole := getattr(branch.step, "whole", None)) is not None]

    def read() -> Iterator[Chunk]:
        with stage(ReadError):
            yield from source.chunks(chunk_size)

    def dated(outputs: Sequence[np.ndarray]) -> list[tuple[np.ndarray, Times]]:
        return [
            (samples, clock.take(samples.shape[1]) if timed else None)
            for samples, clock in zip(outputs, clocks, strict=True)
        ]

    def compute(chunk: Chunk, acts: Sequence[Computes] = pushes) -> list[tuple[np.ndarray, Times]]:
        nonlocal shape, timed
        with stage(ComputeError):
            steps = shape[1] + len(chunk.data)
            shape = (chunk.data.shape[-1], steps, *chunk.data.shape[1:-1])
            if chunk.times is not None:
                timed = True
                for clock in clocks:
                    clock.push(chunk.times)
            outputs = [act(chunk.data) for act in acts]
            if progress is not None:
                progress(steps, info.shape[0], float(steps / info.rate) if info.rate else None)
            return dated(outputs)

    def end() -> list[tuple[np.ndarray, Times]]:
        with stage(ComputeError):
            return dated([branch.step.flush() for branch in branches])

    def write(outputs: list[tuple[np.ndarray, Times]]) -> None:
        with stage(WriteError):
            for branch, (samples, times) in zip(branches, outputs, strict=True):
                branch.write(samples, times)

    def at_once(chunk: Chunk) -> list[tuple[np.ndarray, Times]]:
        return compute(chunk, wholes)

    length = info.shape[0]
    if length is not None and length <= chunk_size:
        in_turn(read(), compute, end, write, whole=at_once if len(wholes) == len(branches) else None)
    else:
        flow(read(), compute, end, write)
    return shape
