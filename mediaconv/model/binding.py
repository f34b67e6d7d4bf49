"""A configuration bound to an input: the stack for its channels and rate, and what comes before the stack."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

import mediaconv.nn as mnn
from mediaconv.config import RunConfig
from mediaconv.errors import UsageError
from mediaconv.model.build import build_stack
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.pipeline import Pipeline, SourceInfo


@dataclass(frozen=True, eq=False)
class Bound:
    """A stack made for an input.

    prelude: the pipeline's layers before it (resampling), or None.
    rate_hz: steps of the stream axis a second at the stack's input; None where the axis is not time.
    """

    stack: mnn.Sequential
    prelude: nn.Module | None
    rate_hz: float | None

    @property
    def module(self) -> nn.Module:
        """All that is computed, from the input's samples on."""
        return self.stack if self.prelude is None else mnn.Sequential(self.prelude, self.stack)


def bind(
    config: RunConfig, pipeline: Pipeline, info: SourceInfo, *, module: nn.Module | None = None
) -> Bound:
    """The stack of a configuration for an input, in evaluation mode, on the CPU.

    module: a streaming module that takes the place of the configuration's stack.
    Raises UsageError where layers, weights or options do not fit each other or the input.
    """
    prelude = pipeline.prelude(info, config.read)
    rate = float(info.rate) if info.rate else None
    if prelude is not None and rate is not None:
        rate /= float(axis_map(prelude).total_stride)
    shape = info.shape
    if prelude is not None:
        maps = (axis_map(prelude, axis) for axis in range(len(shape)))
        shape = tuple(None if n is None else m.output_length(n) for m, n in zip(maps, shape, strict=True))
    if module is None:
        module = build_stack(config, pipeline, channels=info.channels, rate_hz=rate, shape=shape)
    elif shape[0] is not None:
        try:
            module = mnn.for_length(module, shape[0])
        except ValueError as error:
            raise UsageError(f"model: {error}") from error
    stack = module if isinstance(module, mnn.Sequential) else mnn.Sequential(module)
    return Bound(stack, prelude, rate)
