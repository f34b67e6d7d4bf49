"""One input through two stacks at once: both outputs, their difference, and every number, in one pass.

A second, shorter pass takes pieces of the input around its events for the pre-echo (`reactions`). Memory
depends on the chunk and the receptive field, never on the input's length. Writes no report.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mediaconv.compare.causal_pair import Side
from mediaconv.compare.measure.envelope import Envelope
from mediaconv.compare.measure.events import Event, EventFinder
from mediaconv.compare.measure.pairing import ChannelNumbers, Pairs
from mediaconv.compare.measure.preecho import Reach
from mediaconv.compare.measure.reactions import Reactions, measure_reactions
from mediaconv.compare.prove.verdict import order_axes
from mediaconv.compare.report.views import OutputFiles, input_file
from mediaconv.engine.clock import OutputClock
from mediaconv.engine.conversion import output_info, stage
from mediaconv.engine.flow import flow
from mediaconv.errors import ComputeError
from mediaconv.model.binding import Model, Models
from mediaconv.pipeline import Chunk, OutputInfo, Pipeline, Source, SourceInfo
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.staging import Staging

DIFFERENCE = "difference"
LONGEST_SHIFT = {"audio": 8192}
SHIFT_STEPS = 128
"""Shifts are looked for as far as both receptive fields reach, and no further than this."""


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
    times: of each input frame in seconds; empty where the rate says it all.
    channels: the numbers of each channel; none where there is a mismatch, which says why. curves: for charts.
    """

    name: str
    axis: int
    info: SourceInfo
    input_shape: tuple[int, ...]
    output_shapes: dict[str, tuple[int, ...]]
    models: dict[str, Model]
    versions: dict[str, SideFiles]
    channels: list[dict[str, float | None]]
    curves: list[dict[str, Any]]
    input_curve: dict[str, Any]
    events: list[Event]
    times: list[float]
    reactions: Reactions
    mismatch: str | None
    notes: list[str] = field(default_factory=list)


def compare_file(job: Job, sides: Sequence[Side], pipeline: Pipeline, models: Sequence[Models]) -> Compared:
    """Run both sides over one input and measure. Raises MediaError; then nothing is left of it."""
    from mediaconv.errors import ReadError, WriteError

    config = sides[0].config
    with stage(ReadError), pipeline.open(job.input, config.read, config.limits) as source:
        with stage(ComputeError):
            chosen = [m.for_source(source.info) for m in models]
            outputs = [output_info(model, source.info) for model in chosen]
        _observe(job, sides, pipeline, chosen)
        with stage(WriteError), Staging(job.target) as staging:
            passage = _Passage(source, pipeline, sides, chosen, outputs, staging.folder)
            try:
                passage.run()
                versions = passage.finish()
            finally:
                passage.abort()
            with stage(ComputeError):
                events, axis = passage.events, passage.axis
                reactions = measure_reactions(job, sides, pipeline, chosen, events, axis=axis)
            compared = passage.result(job.name, versions, reactions)
            _put_in_place(staging)
    return compared


def _put_in_place(staging: Staging) -> None:
    """Commit; where the target holds an earlier comparison, folder by folder, each whole."""
    if not staging.target.exists():
        staging.commit()
        return
    for entry in list(staging.folder.iterdir()):
        place = staging.target / entry.name
        if place.is_dir():
            shutil.rmtree(place)
        entry.rename(place)


def _observe(job: Job, sides: Sequence[Side], pipeline: Pipeline, models: Sequence[Model]) -> None:
    """The first pass of normalizers that need the whole file's range."""
    for side, model in zip(sides, models, strict=True):
        if not model.needs_range:
            continue
        with pipeline.open(job.input, side.config.read, side.config.limits) as source:
            observer = model.observer(source.info)
            for chunk in source.chunks(model.chunk(source.info, side.config.chunk)):
                observer.push(chunk.data)
            observer.flush()


def time_axis(side: Side, pipeline: Pipeline) -> int:
    """The axis along which events are looked for: time; the rows under reading order."""
    axes = order_axes(side.config, pipeline)
    return axes[0] if len(axes) == 1 else 0


def unequal_strides(models: Sequence[Model]) -> str | None:
    """Why outputs that step through the input unequally are not laid side by side; None where they do not."""
    strides = [tuple(found.stride for found in model.maps) for model in models]
    if strides[0] == strides[1]:
        return None
    a, b = (" x ".join(map(str, each)) for each in strides)
    return f"the outputs differ in stride: a step of one is {a} of the input, of the other {b}"


class _Passage:
    """The chunks of one input on their way through both stacks into files and numbers."""

    def __init__(
        self,
        source: Source,
        pipeline: Pipeline,
        sides: Sequence[Side],
        models: Sequence[Model],
        outputs: Sequence[OutputInfo],
        folder: Path,
    ) -> None:
        info = source.info
        self._source, self._pipeline, self._sides, self._models = source, pipeline, sides, models
        self._outputs, self._folder = outputs, folder
        self.axis = time_axis(sides[0], pipeline)
        self._columns: list[np.ndarray] = []
        self._chunk = min(m.chunk(info, s.config.chunk) for m, s in zip(models, sides, strict=True))
        self._files: list[OutputFiles] = []
        self._difference: OutputFiles | None = None
        self._input = input_file(pipeline, folder / "input", info)
        try:
            for side, output in zip(sides, outputs, strict=True):
                self._files.append(OutputFiles(pipeline, folder / side.name, info, output, side.config.write))
        except BaseException:
            self.abort()
            raise
        self._formats = [f.main.format for f in self._files]
        self._steps = [m.step(info, f) for m, f in zip(models, self._formats, strict=True)]
        seconds = 1 / info.rate if info.rate else Fraction(1)
        self._clocks = [OutputClock(m.stride, seconds) for m in models]
        self._timed = False
        self._times: list[float] = []
        self._pairs = Pairs(self._paired, mismatch=unequal_strides(models))
        self._alone: list[list[Envelope]] = [[Envelope() for _ in range(o.channels)] for o in outputs]
        self._numbers: list[ChannelNumbers] = []
        self._finder = EventFinder(rate=info.rate, fine=len(pipeline.axes) == 1)
        self._input_curve = Envelope()
        self._pair_clock = OutputClock(models[0].stride, seconds)
        self.input_shape: tuple[int, ...] = (info.channels, 0)
        self.output_shapes: dict[str, tuple[int, ...]] = {}
        self.events: list[Event] = []

    def run(self) -> None:
        """Everything, from the first chunk to the last: decoding and encoding beside the computation."""
        flow(self._read(), self._compute, self._end, self._write)
        self._pairs.finish()
        if self._columns:
            self._follow(np.concatenate(self._columns).swapaxes(0, self.axis))
        self.events = self._finder.result()

    def _read(self) -> Iterator[Chunk]:
        from mediaconv.errors import ReadError

        with stage(ReadError):
            yield from self._source.chunks(self._chunk)

    def _compute(self, chunk: Chunk) -> tuple[Chunk | None, list[np.ndarray]]:
        with stage(ComputeError):
            steps = self.input_shape[1] + len(chunk.data)
            self.input_shape = (chunk.data.shape[-1], steps, *chunk.data.shape[1:-1])
            if self.axis:
                self._columns.append(chunk.data)
            else:
                self._follow(chunk.data)
            return chunk, [step.push(chunk.data) for step in self._steps]

    def _follow(self, raw: np.ndarray) -> None:
        """Take input steps in the order of time."""
        self._finder.add(raw)
        self._input_curve.add(raw / self._source.info.scale)

    def _end(self) -> tuple[Chunk | None, list[np.ndarray]]:
        with stage(ComputeError):
            return None, [step.flush() for step in self._steps]

    def _write(self, item: tuple[Chunk | None, list[np.ndarray]]) -> None:
        chunk, stored = item
        if chunk is not None:
            self._input.write(chunk.data, chunk.times)
            if chunk.times is not None:
                self._timed = True
                self._times.extend(map(float, chunk.times))
                for clock in (*self._clocks, self._pair_clock):
                    clock.push(chunk.times)
        values = []
        for side, files, clock, samples, format in zip(
            self._sides, self._files, self._clocks, stored, self._formats, strict=True
        ):
            exact = np.float64 if format.bits > 24 else np.float32
            values.append(samples if format.floating else samples / exact(format.factor))
            times = clock.take(samples.shape[1]) if self._timed else None
            files.write(values[-1], times, samples)
            before = self.output_shapes.get(side.name, (0, 0))[1]
            if samples.size or not before:
                self.output_shapes[side.name] = (
                    samples.shape[0],
                    before + samples.shape[1],
                    *samples.shape[2:],
                )
        self._pairs.add(values[0], values[1])
        if not self._numbers and not self.axis:  # what cannot be laid side by side has curves of its own
            for envelopes, channels in zip(self._alone, values, strict=True):
                for envelope, x in zip(envelopes, channels, strict=True):
                    envelope.add(x)

    def _paired(self, a: np.ndarray, b: np.ndarray) -> None:
        """Steps that both stacks have come to."""
        if not a.shape[1]:
            return
        if not self._numbers:
            options: dict[str, Any] = {"reach": self._reach(), "by_columns": self.axis > 0}
            self._numbers = [ChannelNumbers(self._pipeline.name, **options) for _ in a]
            info, output = self._source.info, self._outputs[0]
            folder, write = self._folder / DIFFERENCE, self._sides[0].config.write
            self._difference = OutputFiles(self._pipeline, folder, info, output, write)
        for numbers, one, other in zip(self._numbers, a, b, strict=True):
            numbers.add(one, other)
        if self._difference is not None:
            middle = sum(self._pipeline.signal_range) / 2
            times = self._pair_clock.take(a.shape[1]) if self._timed else None
            self._difference.write(middle + (a - b) / 2, times)

    def _reach(self) -> int:
        fields = sum(Reach.of(model.module, self.axis).receptive_field for model in self._models)
        return min(LONGEST_SHIFT.get(self._pipeline.name, SHIFT_STEPS), max(8, fields))

    def finish(self) -> dict[str, SideFiles]:
        """Complete all files."""
        shown = self._relative(self._input.finish())
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
        found = {"a": self._alone[0], "b": self._alone[1]}
        most = max(map(len, found.values()))
        return [{key: c[min(i, len(c) - 1)].result() for key, c in found.items() if c} for i in range(most)]

    def result(self, name: str, versions: dict[str, SideFiles], reactions: Reactions) -> Compared:
        """What was found."""
        mismatch = self._pairs.mismatch
        numbers = [] if mismatch and not self._numbers else self._numbers
        return Compared(
            name=name,
            axis=self.axis,
            info=self._source.info,
            input_shape=self.input_shape,
            output_shapes=self.output_shapes,
            models={side.name: model for side, model in zip(self._sides, self._models, strict=True)},
            versions=versions,
            channels=[n.numbers() for n in numbers],
            curves=[n.curves() for n in numbers] if numbers else self._curves_alone(),
            input_curve=self._input_curve.result(),
            events=self.events,
            times=self._times,
            reactions=reactions,
            mismatch=mismatch,
            notes=[*dict.fromkeys(note for f in self._files for note in f.main.notes())],
        )
