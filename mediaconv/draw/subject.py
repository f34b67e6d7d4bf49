"""What the drawing commands look at: a configuration's stack, and the first part of an input file.

Files are opened by the pipeline. Nothing is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.config import RunConfig
from mediaconv.errors import ReadError, UsageError
from mediaconv.model.binding import bind
from mediaconv.model.build import build_stack
from mediaconv.model.stand_in import assumed_rate_hz
from mediaconv.nn.streaming.protocol import axis_map, leaves
from mediaconv.nn.summary.sliding import slides
from mediaconv.pipeline import Pipeline, find
from mediaconv.run.jobs.discover import first_file

_RATE_HZ = 48_000
"""Of a sound where no file tells it: kernels with a cut-off in Hz need one; no shape depends on it."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A stack with what comes before it.

    x: (C, ...) as the stack gets it, float64 where `precision` is, else float32; None where no file was
    given. notes: what of it was read.
    """

    config: RunConfig
    pipeline: Pipeline
    stack: mnn.Sequential
    channels: int
    x: Tensor | None = None
    notes: tuple[str, ...] = ()


def subject(
    config: RunConfig,
    *,
    input: Path | None = None,
    channels: int | None = None,
    lengths: Sequence[int] | None = None,
) -> Subject:
    """The stack of a configuration, for an input file or for inputs of `channels`.

    lengths: steps of each axis that are needed at the stack's input; the file is read so far.
    Without both, channels are those of the configuration's input where that is one file on this machine.
    Raises UsageError, ReadError.
    """
    pipeline = find(config.pipeline)
    if channels is not None and channels < 1:
        raise UsageError(f"channels: got {channels}, expected an integer >= 1")
    if input is None:
        stated = getattr(config.stack[0], "in_channels", None)
        count = (
            channels or stated or _channels_of_input(config, pipeline) or pipeline.typical_input().channels
        )
        stack = build_stack(
            config, pipeline, channels=count, rate_hz=assumed_rate_hz(config, pipeline, count, _RATE_HZ)
        )
        return Subject(config, pipeline, stack, count)
    input = first_file(config, pipeline, input)
    with pipeline.open(input, config.read, config.limits) as source:
        info = source.info
        bound = bind(config, pipeline, info)
        stack, prelude = bound.stack, bound.prelude
        wanted = _wanted(prelude, stack, lengths)
        x, cut = _read(source, wanted)
        x = x.to(torch.float64 if config.precision == "float64" else torch.float32)
    if prelude is not None:
        with torch.no_grad():
            x = prelude(x[None])[0]
    notes = []
    if cut:
        shape = ", ".join(f"{axis} {n}" for n, axis in zip(x.shape[1:], pipeline.axes, strict=True))
        notes.append(f"the first part of {input.name} ({shape})")
    else:
        notes.append(input.name)
    return Subject(config, pipeline, stack, info.channels, x, tuple(notes))


def _channels_of_input(config: RunConfig, pipeline: Pipeline) -> int | None:
    """Channels of the one local file that a configuration names; None where it is another thing or broken."""
    try:
        if not Path(config.input).is_file():
            return None
        with pipeline.open(Path(config.input), config.read, config.limits) as source:
            return source.info.channels
    except (OSError, ValueError, ReadError):
        return None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A stack for one file, and what it gets of it: after the pipeline's own layers, such as resampling.

    lengths: along each axis. rate_hz: steps of the stream axis a second; None where the axis is not time.
    """

    file: Path
    stack: mnn.Sequential
    channels: int
    lengths: list[int]
    rate_hz: float | None
    channel_names: tuple[str, ...]


def fitted(config: RunConfig, input: Path) -> Fitted:
    """The stack for an input file, or for a folder's first. Raises UsageError, ReadError."""
    pipeline = find(config.pipeline)
    input = first_file(config, pipeline, input)
    with pipeline.open(input, config.read, config.limits) as source:
        info = source.info
        lengths = list(info.shape)
        if None in lengths:
            chunks = [chunk.data.shape[:-1] for chunk in source.chunks(4096)]
            lengths = [sum(shape[0] for shape in chunks), *chunks[0][1:]]
    bound = bind(config, pipeline, info)
    if bound.prelude is not None:
        lengths = [axis_map(bound.prelude, axis).output_length(int(n or 0)) for axis, n in enumerate(lengths)]
    sizes = [int(n or 0) for n in lengths]
    return Fitted(input, bound.stack, info.channels, sizes, bound.rate_hz, info.channel_names)


def layer_named(stack: nn.Module, name: str | None) -> tuple[str, nn.Module]:
    """A convolution of the stack by number or dotted name (`2`, `1.layers.0`); by default the first.

    Raises UsageError listing those there are.
    """
    sliding = [(path, module) for path, module in leaves(stack) if slides(module)]
    if not sliding:
        raise UsageError("stack: no layer of it can be drawn sliding; that is conv and conv_transpose")
    if name is None:
        return sliding[0]
    for path, module in sliding:
        if path == name or path.startswith(f"{name}."):
            return path, module
    there = ", ".join(f"{path} ({type(module).__name__})" for path, module in sliding)
    raise UsageError(f"layer: got {name!r}; these can be drawn: {there}")


def input_of(stack: nn.Module, layer: nn.Module, x: Tensor) -> Tensor:
    """What reaches a layer of the stack when `x`, (C, ...), comes in: (C', ...) float64."""
    caught: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, args: caught.append(args[0].detach().clone()))
    try:
        with torch.no_grad():
            stack.double()(x.double()[None])
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"stack: this input does not fit it: {error}") from error
    finally:
        hook.remove()
    return caught[0][0]


def _wanted(
    prelude: nn.Module | None, stack: nn.Module, lengths: Sequence[int] | None
) -> list[int | None] | None:
    """Raw steps per axis that the wanted steps at any layer of the stack depend on; None: all."""
    if lengths is None:
        return None
    wanted: list[int | None] = []
    for axis, length in enumerate(lengths):
        whole = axis_map(stack, axis)
        if whole.whole:
            wanted.append(None)
            continue
        finest = math.prod(max(1.0, float(axis_map(m, axis).total_stride)) for _, m in leaves(stack))
        steps = length * finest + 2 * float(whole.window_field)
        if prelude is not None:
            before = axis_map(prelude, axis)
            steps = steps * max(1.0, float(before.total_stride)) + float(before.window_field)
        wanted.append(math.ceil(steps))
    return wanted


def _read(source: object, wanted: Sequence[int | None] | None) -> tuple[Tensor, bool]:
    """The samples as (C, ...) float32 in the signal's range, and whether some were left out."""
    most = None if wanted is None else wanted[0]
    parts: list[Tensor] = []
    count, cut = 0, False
    size = {1: 65_536, 2: 512, 3: 8}[len(source.info.shape)]  # type: ignore[attr-defined]
    for chunk in source.chunks(min(size, most or size)):  # type: ignore[attr-defined]
        whole = chunk.data
        limits = [None if most is None else most - count, *(wanted[1:] if wanted else ())]
        data = whole[tuple(slice(limit) for limit in limits)]
        cut = cut or data.shape != whole.shape
        if not len(data) and len(whole):
            break
        parts.append(torch.from_numpy(data.astype(np.float32)))
        count += len(data)
    x = torch.cat(parts) / source.info.scale  # type: ignore[attr-defined]
    return x.movedim(-1, 0).contiguous(), cut
