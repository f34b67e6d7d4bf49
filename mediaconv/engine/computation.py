"""What a conversion computes: a module with its normalizer on a device, made once for many inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
from torch import nn

from mediaconv.compute.normalize import MinMax, Normalizer, make_normalizer
from mediaconv.compute.step import ComputeStep, choose_chunk, pick_device, step_maker
from mediaconv.config import RunConfig
from mediaconv.engine.conversion import Branch, Progress, Times, run_conversion
from mediaconv.engine.stages import stage
from mediaconv.errors import ComputeError
from mediaconv.media.samples import SampleFormat
from mediaconv.model.binding import bind
from mediaconv.model.channel_origins import channel_origins
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import axis_map, output_channels
from mediaconv.nn.summary.fitting_length import least_length
from mediaconv.pipeline import OutputInfo, Pipeline, Sink, Source, SourceInfo

FLOATS = SampleFormat(32, floating=True)
COUNTED_STEPS = 256
"""Steps read at a time where an input is read for its length alone."""
KEPT_SHAPES = 1000
"""Shapes of inputs whose chunk sizes and outputs are remembered."""


@dataclass(frozen=True)
class Converted:
    """What was counted. Shapes: channels first. clipped: values outside what the file can hold."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    clipped: int = 0


class Computation:
    """A module and its normalizer, for inputs of one number of channels.

    chunk: steps along the stream axis at a time, or "auto". dims: axes that are convolved.
    """

    def __init__(
        self,
        module: nn.Module,
        normalizer: Normalizer,
        *,
        channels: int,
        dims: int,
        chunk: int | str = "auto",
        device: str = "auto",
        precision: str = "float32",
    ) -> None:
        self.module = module
        self._parts = tuple(module.modules())
        self.output_channels = output_channels(module, channels)
        self._normalizer = normalizer
        self._dims = dims
        self._chunk = chunk
        self._device = pick_device(device)
        self._precision = precision
        self._chunks: dict[tuple, int] = {}
        self._outputs: dict[tuple, OutputInfo] = {}
        self._origins: dict[int, tuple[int, ...] | None] = {}
        self._makers: dict[tuple[SampleFormat, float], Callable[[], ComputeStep]] = {}

    @property
    def floats(self) -> SampleFormat:
        """How values that are not rounded are handed on: in float64 where that is computed, else float32."""
        return SampleFormat(64 if self._precision == "float64" else 32, floating=True)

    @cached_property
    def maps(self) -> tuple[AxisMap, ...]:
        """What outputs read, per axis."""
        return tuple(axis_map(self.module, axis) for axis in range(self._dims))

    @cached_property
    def stride(self) -> Fraction:
        """Input steps an output step, along the stream axis."""
        return axis_map(self.module).total_stride

    @property
    def notes(self) -> list[str]:
        """What a user should know of the module: that a captured one holds something to the end."""
        return list(dict.fromkeys(note for m in self._parts for note in getattr(m, "notes", ())))

    @property
    def follows_sizes(self) -> bool:
        """Whether a captured model is part of it, which may be another one for inputs of other sizes."""
        return any(hasattr(part, "follows_length") for part in self._parts)

    @property
    def needs_length(self) -> bool:
        """Whether a captured model must know the length of its input, and does not."""
        return any(getattr(part, "needs_length", False) for part in self._parts)

    @property
    def needs_range(self) -> bool:
        """Whether the normalizer must see the whole output first (`learn_range`)."""
        return self._normalizer.two_passes

    def chunk_size(self, info: SourceInfo) -> int:
        """Steps of a chunk: as configured, or what fits the memory budget."""
        if self._chunk != "auto":
            return int(self._chunk)
        key = (info.channels, info.shape, info.bit_depth)
        if key not in self._chunks:
            if len(self._chunks) >= KEPT_SHAPES:
                self._chunks.clear()
            self._chunks[key] = choose_chunk(
                self.module, info, device=self._device, precision=self._precision
            )
        return self._chunks[key]

    def output_info(self, info: SourceInfo) -> OutputInfo:
        """What becomes of an input. Raises ComputeError where nothing would be left of it."""
        key = (info.channels, info.shape)
        if key not in self._outputs:
            if len(self._outputs) >= KEPT_SHAPES:
                self._outputs.clear()
            self._outputs[key] = self._output_info(info)
        return self._outputs[key]

    def _output_info(self, info: SourceInfo) -> OutputInfo:
        maps = self.maps
        shape = tuple(
            None if n is None else m.output_length(n) for m, n in zip(maps, info.shape, strict=True)
        )
        if 0 in shape:
            raise ComputeError(self._too_short(info.shape))
        ratio = tuple(1 / m.total_stride for m in maps)
        if info.channels not in self._origins:  # told from the weights, which stay as they are
            self._origins[info.channels] = channel_origins(self.module, info.channels)
        origins = self._origins[info.channels]
        return OutputInfo(self.output_channels, shape, ratio, self.floats.bits, origins)

    def _too_short(self, lengths: Sequence[int | None]) -> str:
        """Why nothing is left of an input, and what to do."""
        least = [least_length(along) for along in self.maps]
        needs = "" if None in least else f", the stack takes {_by(least)} or more"
        trained = any(getattr(part, "trained", False) for part in self._parts)
        ways = "give a longer one" if trained else "give a longer one, or padding: same in its layers"
        return f"an input of {_by(lengths)} leaves no output{needs}: {ways}"

    def step(self, info: SourceInfo, format: SampleFormat) -> ComputeStep:
        """A fresh pass over one input."""
        key = (format, info.scale)
        if key not in self._makers:
            self._makers[key] = self._maker(info, self._normalizer, format)
        return self._makers[key]()

    def learn_range(self, source: Source) -> None:
        """The first pass over an input, which tells the normalizer the range of its output."""
        normalizer = self._normalizer
        if not isinstance(normalizer, MinMax):
            raise TypeError(f"{normalizer.name} needs no first pass")
        normalizer.reset()
        unchanged = make_normalizer("none", signal_range=normalizer.signal_range)
        plain = self._maker(source.info, unchanged, self.floats)()
        run_conversion(
            source, [Branch(plain, _RangeObserver(normalizer))], chunk_size=self.chunk_size(source.info)
        )

    def write(self, source: Source, sink: Sink, *, progress: Progress | None = None) -> Converted:
        """Stream a source into a sink, without completing it."""
        info = source.info
        step = self.step(info, sink.format)
        branch = Branch(step, sink, self.stride)
        shape = run_conversion(source, [branch], chunk_size=self.chunk_size(info), progress=progress)
        return Converted(shape, branch.output_shape, step.clipped)

    def _maker(
        self, info: SourceInfo, normalizer: Normalizer, format: SampleFormat
    ) -> Callable[[], ComputeStep]:
        return step_maker(
            self.module,
            normalizer,
            format,
            scale=info.scale,
            device=self._device,
            precision=self._precision,
        )


class _RangeObserver:
    """Receives what a stack gives and keeps its range."""

    def __init__(self, normalizer: MinMax) -> None:
        self._normalizer = normalizer

    def write(self, samples: np.ndarray, times: Times) -> None:
        """See Receiver."""
        self._normalizer.observe(samples)


class ArraySink(Sink):
    """Keeps the normalized values in memory: (C', ...), in `format`."""

    format = FLOATS

    def __init__(self, format: SampleFormat | None = None) -> None:
        self.format = format or self.format
        self._parts: list[np.ndarray] = []

    def write(self, samples: np.ndarray, times: Times) -> None:
        self._parts.append(samples.copy())

    def finish(self) -> list:
        return []

    def abort(self) -> None:
        """There is nothing to close."""

    @property
    def values(self) -> np.ndarray:
        """All that was written."""
        return np.concatenate(self._parts, axis=1) if self._parts else np.empty((0, 0), self.format.dtype)


class Computations:
    """The computations of a configuration, by what distinguishes inputs.

    module: makes a streaming module for an input, in the place of the configuration's stack.
    """

    def __init__(
        self,
        config: RunConfig,
        pipeline: Pipeline,
        *,
        module: Callable[[SourceInfo], nn.Module] | None = None,
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._module = module
        self._made: dict[tuple[int, Fraction | None], tuple[tuple[int | None, ...], Computation]] = {}

    def for_source(self, info: SourceInfo) -> Computation:
        """The one for an input, made once per channel count and rate; where it has a captured model, which
        may be another at other sizes, once for inputs alike that follow each other. Raises UsageError.
        """
        rate_counts = len(self._pipeline.axes) == 1  # filters in Hz and resampling
        key = (info.channels, info.rate if rate_counts else None)
        shape, made = self._made.get(key, (None, None))
        if made is None or (made.follows_sizes and shape != info.shape):
            module = None if self._module is None else self._module(info)
            made = computation_of(self._config, self._pipeline, info, module=module)
            self._made[key] = (info.shape, made)
        return made

    def prepare(self, info: SourceInfo, reopen: Callable[[], Source]) -> tuple[Computation, OutputInfo]:
        """The computation for an input, ready to run, and what it will give.

        reopen: opens the input once more, for a normalizer that needs a first pass, or a model that must know
        the length of an input which does not tell it. Raises MediaError.
        """
        with stage(ComputeError):
            computation = self.for_source(info)
            if info.shape[0] is None and computation.needs_length:
                with reopen() as source:
                    info = replace(info, shape=(_count(source), *info.shape[1:]))
                computation = self.for_source(info)
            output = computation.output_info(info)
            if computation.needs_range:
                with reopen() as source:
                    computation.learn_range(source)
        return computation, output


def _count(source: Source) -> int:
    """Steps of a source that tells them at its end alone."""
    return sum(len(chunk.data) for chunk in source.chunks(COUNTED_STEPS))


def computation_of(
    config: RunConfig, pipeline: Pipeline, info: SourceInfo, *, module: nn.Module | None = None
) -> Computation:
    """What a configuration computes for an input. Raises UsageError where it does not fit it."""
    normalize = config.normalize
    return Computation(
        bind(config, pipeline, info, module=module).module,
        make_normalizer(normalize.name, normalize.chosen_options, pipeline.signal_range),
        channels=info.channels,
        dims=len(pipeline.axes),
        chunk=config.chunk,
        device=config.device,
        precision=config.precision,
    )


def _by(lengths: Sequence[int | None]) -> str:
    """Lengths as `20 x 48 x 64`."""
    return " x ".join(map(str, lengths))
