"""The stack of a run made ready for an input: built once per kind of input, then streamed over each."""

from __future__ import annotations

from fractions import Fraction

from torch import nn

import mediaconv.nn as mnn
from mediaconv.compute.normalize import MinMax, make_normalizer
from mediaconv.compute.step import ComputeStep, RangeObserver, choose_chunk, make_step, pick_device
from mediaconv.config import RunConfig
from mediaconv.media.samples import SampleFormat
from mediaconv.model.build import build_stack
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import axis_map, output_channels
from mediaconv.pipeline import Pipeline, SourceInfo


class Model:
    """A stack, its prelude and its normalizer, for inputs of one number of channels and one rate."""

    def __init__(self, config: RunConfig, pipeline: Pipeline, info: SourceInfo) -> None:
        rate = float(info.rate) if info.rate else None
        prelude = pipeline.prelude(info, config.read)
        if prelude is not None and rate is not None:
            rate /= float(axis_map(prelude).stride)
        stack = build_stack(config, pipeline, channels=info.channels, rate_hz=rate)
        self.module: nn.Module = stack if prelude is None else mnn.Sequential(prelude, stack)
        self.output_channels = output_channels(self.module, info.channels)
        self._config = config
        self._pipeline = pipeline
        self._device = pick_device(config.device)
        self._normalizer = make_normalizer(
            config.normalize.name, config.normalize.options, pipeline.signal_range
        )

    @property
    def maps(self) -> tuple[AxisMap, ...]:
        """What outputs read, per axis."""
        return tuple(axis_map(self.module, axis) for axis in range(len(self._pipeline.axes)))

    @property
    def stride(self) -> Fraction:
        """Input steps an output step, along the stream axis."""
        return axis_map(self.module).stride

    @property
    def needs_range(self) -> bool:
        """Whether the normalizer must see the whole output first."""
        return self._normalizer.two_passes

    def chunk(self, info: SourceInfo, chunk: int | str) -> int:
        """Steps of a chunk: as configured, or what fits the memory budget."""
        return (
            int(chunk)
            if chunk != "auto"
            else choose_chunk(self.module, info, device=self._device, precision=self._config.precision)
        )

    def observer(self, info: SourceInfo) -> RangeObserver:
        """A first pass over one input, which tells the normalizer its output's range."""
        if not isinstance(self._normalizer, MinMax):
            raise TypeError(f"{self._normalizer.name} needs no first pass")
        return RangeObserver(
            self.module,
            self._normalizer,
            scale=info.scale,
            device=self._device,
            precision=self._config.precision,
        )

    def step(self, info: SourceInfo, format: SampleFormat) -> ComputeStep:
        """A fresh pass over one input."""
        return make_step(
            self.module,
            self._normalizer,
            format,
            scale=info.scale,
            device=self._device,
            precision=self._config.precision,
        )


class Models:
    """Models of a run, by what distinguishes inputs."""

    def __init__(self, config: RunConfig, pipeline: Pipeline) -> None:
        self._config = config
        self._pipeline = pipeline
        self._made: dict[tuple[int, Fraction | None], Model] = {}

    def for_source(self, info: SourceInfo) -> Model:
        """The model for an input, made at most once per channel count and rate. Raises UsageError."""
        key = (info.channels, info.rate if self._depends_on_rate() else None)
        if key not in self._made:
            self._made[key] = Model(self._config, self._pipeline, info)
        return self._made[key]

    def _depends_on_rate(self) -> bool:
        return len(self._pipeline.axes) == 1
