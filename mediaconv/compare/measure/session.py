"""One input through two stacks at once: both outputs, their difference, and every number, in one pass.

A second, shorter pass takes pieces of the input around its events for the pre-echo (`reactions`). Memory
depends on the chunk and the receptive field, never on the input's length. Writes no report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mediaconv.compare.causal_pair import Side
from mediaconv.compare.measure.envelope import Envelope
from mediaconv.compare.measure.events import Event, EventFinder
from mediaconv.compare.measure.output_files import OutputFiles
from mediaconv.compare.measure.pairing import ChannelNumbers, Pairs
from mediaconv.compare.measure.preecho import Margins
from mediaconv.compare.measure.reactions import Reactions, measure_reactions
from mediaconv.compare.measure.step_times import Timeline
from mediaconv.compare.prove.verdict import order_axes
from mediaconv.engine.computation import Computation, Computations
from mediaconv.engine.conversion import Branch, Passthrough, Times, run_conversion
from mediaconv.engine.stages import stage
from mediaconv.errors import ComputeError, ReadError, WriteError
from mediaconv.pipeline import OutputInfo, Pipeline, Sink, Source, SourceInfo
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.own_files import OwnFiles
from mediaconv.run.output.staging import Staging

DIFFERENCE = "difference"
SHIFT_STEPS, FINE_SHIFT_STEPS = 128, 8192
"""Shifts are looked for as far as both receptive fields reach, and no further than this."""
FINE_RATE = 1000
"""From so many steps a second on, one step is too little to change in, as of sound."""


@dataclass(frozen=True)
class SideFiles:
    """What was written of one version: files as configured, and those that a browser shows, by channel."""

    files: list[str]
    shown: list[str]


@dataclass(frozen=True)
class Compared:
    """Everything known of one input after both stacks ran over it. Steps are of the input, along `axis`.

    axis: which is time.
    versions: "input", both sides' names and "difference", to their files, relative to the job's target.
    timeline: when the input's steps are.
    channels: the numbers of each channel; none where there is a mismatch, which says why. curves: for charts.
    """

    name: str
    axis: int
    info: SourceInfo
    input_shape: tuple[int, ...]
    output_shapes: dict[str, tuple[int, ...]]
    models: dict[str, Computation]
    versions: dict[str, SideFiles]
    channels: list[dict[str, float | None]]
    curves: list[dict[str, Any]]
    input_curve: dict[str, Any]
    events: list[Event]
    timeline: Timeline
    reactions: Reactions
    mismatch: str | None
    notes: list[str] = field(default_factory=list)


def compare_file(
    job: Job,
    sides: Sequence[Side],
    pipeline: Pipeline,
    computations: Sequence[Computations],
    own: OwnFiles,
) -> Compared:
    """Run both sides over one input and measure. Raises MediaError; then nothing is left of it."""

    def opened(side: Side = sides[0]) -> Source:
        return pipeline.open(job.input, side.config.read, side.config.limits)

    with stage(ReadError), opened() as source:
        prepared = [
            c.prepare(source.info, partial(opened, s)) for c, s in zip(computations, sides, strict=True)
        ]
        models, outputs = zip(*prepared, strict=True)
        with stage(WriteError), Staging(job.target) as staging:
            session = _Session(source.info, pipeline, sides, models, outputs, staging.folder)
            try:
                session.run(source)
                versions = session.finish()
            finally:
                session.abort()
            with stage(ComputeError):
                events, axis = session.events, session.axis
                reactions = measure_reactions(job, sides, pipeline, models, events, axis=axis)
            compared = session.result(job.name, versions, reactions)
            own.put_in_place(staging)
    return compared


def time_axis(side: Side, pipeline: Pipeline) -> int:
    """The axis along which events are looked for: time; the rows under reading order."""
    axes = order_axes(side.config, pipeline)
    return axes[0] if len(axes) == 1 else 0


def unequal_strides(models: Sequence[Computation]) -> str | None:
    """Why outputs that step through the input unequally are not laid side by side; None where they do not."""
    strides = [tuple(along.total_stride for along in model.maps) for model in models]
    if strides[0] == strides[1]:
        return None
    a, b = (" x ".join(map(str, each)) for each in strides)
    return f"the outputs differ in stride: a step of one is {a} of the input, of the other {b}"


class _InputReceiver:
    """Writes the input once more, so that a browser plays it, and keeps the times of its steps."""

    def __init__(self, sink: Sink | None, scale: float) -> None:
        self._sink, self._scale = sink, scale
        self.times: list[Fraction] = []

    def write(self, samples: np.ndarray, times: Times) -> None:
        """See Receiver; raw samples, channels first."""
        if self._sink is not None:
            self._sink.write(self._sink.format.quantize(samples / self._scale), times)
        self.times.extend(times or ())


class _SideReceiver:
    """Writes one side's outputs and hands their values, in the signal's range, to the comparison."""

    def __init__(self, files: OutputFiles, measure: Callable[[np.ndarray, Times], None]) -> None:
        self._files, self._measure = files, measure

    def write(self, samples: np.ndarray, times: Times) -> None:
        """See Receiver."""
        format = self._files.main.format
        exact = np.float64 if format.bits > 24 else np.float32
        values = samples if format.floating else samples / exact(format.factor)
        self._files.write(values, times, samples)
        self._measure(values, times)


class _Session:
    """One input on its way through both stacks into files and numbers."""

    def __init__(
        self,
        info: SourceInfo,
        pipeline: Pipeline,
        sides: Sequence[Side],
        models: Sequence[Computation],
        outputs: Sequence[OutputInfo],
        folder: Path,
    ) -> None:
        self._info, self._pipeline, self._sides, self._models = info, pipeline, sides, models
        self._outputs, self._folder = outputs, folder
        self.axis = time_axis(sides[0], pipeline)
        self._fine = info.rate is not None and info.rate >= FINE_RATE
        self._columns: list[np.ndarray] = []
        self._files: list[OutputFiles] = []
        self._difference: OutputFiles | None = None
        (folder / "input").mkdir()
        self._input = pipeline.preview_input(folder / "input", info)
        self._receiver = _InputReceiver(self._input, info.scale)
        self._branches = [Branch(Passthrough(self._watch), self._receiver)]
        try:
            for i, (side, model, output) in enumerate(zip(sides, models, outputs, strict=True)):
                files = OutputFiles(pipeline, folder / side.name, info, output, side.config.write)
                self._files.append(files)
                receiver = _SideReceiver(files, partial(self._take, i))
                self._branches.append(Branch(model.step(info, files.main.format), receiver, model.stride))
        except BaseException:
            self.abort()
            raise
        self._pairs = Pairs(self._paired, mismatch=unequal_strides(models))
        self._pair_times: list[Fraction] = []
        self._alone: list[list[Envelope]] = [[Envelope() for _ in range(o.channels)] for o in outputs]
        self._numbers: list[ChannelNumbers] = []
        self._finder = EventFinder(rate=info.rate, fine=self._fine)
        self._input_curve = Envelope()
        self.input_shape: tuple[int, ...] = ()
        self.events: list[Event] = []

    def run(self, source: Source) -> None:
        """Everything, from the first chunk to the last."""
        size = min(model.chunk_size(self._info) for model in self._models)
        self.input_shape = run_conversion(source, self._branches, chunk_size=size)
        self._pairs.finish()
        if self._columns:
            self._follow(np.concatenate(self._columns).swapaxes(0, self.axis))
        self.events = self._finder.result()

    def _watch(self, raw: np.ndarray) -> None:
        """Look at a chunk of the input, in the computing thread."""
        if self.axis:
            self._columns.append(raw)
        else:
            self._follow(raw)

    def _follow(self, raw: np.ndarray) -> None:
        """Take input steps in the order of time."""
        self._finder.add(raw)
        self._input_curve.add(raw / self._info.scale)

    def _take(self, side: int, values: np.ndarray, times: Times) -> None:
        """Outputs of one side, in the encoding thread."""
        if not side:
            self._pair_times.extend(times or ())
        self._pairs.add(side, values)
        if not self._numbers and not self.axis:  # what cannot be laid side by side has curves of its own
            for envelope, x in zip(self._alone[side], values, strict=True):
                envelope.add(x)

    def _paired(self, a: np.ndarray, b: np.ndarray) -> None:
        """Steps that both stacks have come to."""
        if not self._numbers:
            options: dict[str, Any] = {"reach": self._reach(), "by_columns": self.axis > 0}
            self._numbers = [ChannelNumbers(self._pipeline.metrics, **options) for _ in a]
            folder, write = self._folder / DIFFERENCE, self._sides[0].config.write
            self._difference = OutputFiles(self._pipeline, folder, self._info, self._outputs[0], write)
        for numbers, one, other in zip(self._numbers, a, b, strict=True):
            numbers.add(one, other)
        times, self._pair_times = self._pair_times[: a.shape[1]], self._pair_times[a.shape[1] :]
        if self._difference is not None:
            middle = sum(self._pipeline.signal_range) / 2
            self._difference.write(middle + (a - b) / 2, times or None)

    def _reach(self) -> int:
        fields = sum(Margins.of(model.module, self.axis).receptive_field for model in self._models)
        return min(FINE_SHIFT_STEPS if self._fine else SHIFT_STEPS, max(8, fields))

    def finish(self) -> dict[str, SideFiles]:
        """Complete all files."""
        shown = [] if self._input is None else self._relative(self._input.finish())
        versions = {"input": SideFiles([], shown)}
        written = list(zip((s.name for s in self._sides), self._files, strict=True))
        for name, files in [*written, *([(DIFFERENCE, self._difference)] if self._difference else [])]:
            own, shown_files = files.finish()
            versions[name] = SideFiles(self._relative(own), self._relative(shown_files))
        return versions

    def _relative(self, paths: Sequence[Path]) -> list[str]:
        return [path.relative_to(self._folder).as_posix() for path in paths]

    def abort(self) -> None:
        """Close all files, complete or not."""
        for files in (self._input, *self._files, self._difference):
            if files is not None:
                files.abort()

    def _curves_alone(self) -> list[dict[str, Any]]:
        """The course of either output by channel; past the last channel of one, that one's again."""
        if self.axis:
            return []
        curves = {"a": self._alone[0], "b": self._alone[1]}
        most = max(map(len, curves.values()))
        return [{key: c[min(i, len(c) - 1)].result() for key, c in curves.items() if c} for i in range(most)]

    def result(self, name: str, versions: dict[str, SideFiles], reactions: Reactions) -> Compared:
        """What was found."""
        mismatch = self._pairs.mismatch
        numbers = [] if mismatch and not self._numbers else self._numbers
        return Compared(
            name=name,
            axis=self.axis,
            info=self._info,
            input_shape=self.input_shape,
            output_shapes={
                side.name: branch.output_shape
                for side, branch in zip(self._sides, self._branches[1:], strict=True)
            },
            models={side.name: model for side, model in zip(self._sides, self._models, strict=True)},
            versions=versions,
            channels=[n.numbers() for n in numbers],
            curves=[n.curves() for n in numbers] if numbers else self._curves_alone(),
            input_curve=self._input_curve.result(),
            events=self.events,
            timeline=Timeline(self._info.rate, self._receiver.times),
            reactions=reactions,
            mismatch=mismatch,
            notes=[*dict.fromkeys(note for f in self._files for note in f.main.notes())],
        )
