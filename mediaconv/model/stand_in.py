"""What stands for a file where a stack is looked at without one: its layers tell channels and rate."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from mediaconv.config import RunConfig
from mediaconv.config.validation_context import ValidationContext
from mediaconv.errors import MediaconvError
from mediaconv.layers import BuildContext, walk
from mediaconv.layers.construct import build_sequence, iter_bound_layers
from mediaconv.layers.memory_budget import MemoryBudget, Signal
from mediaconv.pipeline import Pipeline, SourceInfo


def stand_in(config: RunConfig, pipeline: Pipeline) -> SourceInfo:
    """A typical input with the channels that the first layer states that states any, and a rate that fits."""
    typical = pipeline.typical_input()
    stated = next((n for _, s in walk(config.stack) if (n := getattr(s, "in_channels", None))), None)
    return assumed_info(config, pipeline, replace(typical, channels=stated or typical.channels))


def assumed_rate_hz(config: RunConfig, pipeline: Pipeline, channels: int, usual: float) -> float:
    """Steps a second at the stack's input: those with which the first model that states its rate gets it.

    usual: where no model states one.
    """
    if not any(_rate(spec) for _, spec in walk(config.stack)):
        return usual
    signal = Signal.of(channels, (None,) * len(pipeline.axes))
    file = ValidationContext.of(pipeline, causal=config.causal, time_axis=config.time_axis)
    try:
        stack = build_sequence(config.stack, BuildContext(signal, file, MemoryBudget()))
    except (MediaconvError, ValueError):  # told of where the stack is built, with its file and line
        return usual
    for bound in iter_bound_layers(config.stack, stack, rate_hz=1.0):
        if (rate := _rate(bound.spec)) and bound.rate_hz:
            return rate / bound.rate_hz
    return usual


def assumed_info(config: RunConfig, pipeline: Pipeline, info: SourceInfo) -> SourceInfo:
    """A typical input with that rate. One that `read` resamples, or that has no rate, stays as it is."""
    if info.rate is None or getattr(config.read, "sample_rate", None):
        return info
    rate = assumed_rate_hz(config, pipeline, info.channels, float(info.rate))
    return replace(info, rate=Fraction(rate).limit_denominator(1001))


def _rate(spec: object) -> float | None:
    return getattr(spec, "rate", None)
