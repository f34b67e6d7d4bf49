"""The receptive field of a stack along each axis, by formula and measured by gradient.

Measured is the function alone: every weight is made positive, so that nothing cancels, and layers that
change a position by itself alone are left out, so that nothing saturates. The formula may say more than is
read, never less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.weight_norm import WeightNorm

import mediaconv.nn as mnn
from mediaconv.errors import ComputeError
from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.copying import copy_module
from mediaconv.nn.geometry import AxisMap, Window
from mediaconv.nn.streaming.protocol import (
    axis_map,
    each_child,
    is_pointwise,
    layer_kind,
    leaves,
    output_channels,
)
from mediaconv.nn.summary.channel_reads import reads_map
from mediaconv.nn.summary.fitting_length import fitting_length
from mediaconv.nn.summary.own_types import in_own_types, keeps_types
from mediaconv.nn.summary.sliding import slides

Number = int | float

MOST_OUTPUTS = 16
"""Outputs of a period up to which each is measured."""
SMALL = 0.01
"""Inputs so much smaller are tried too where some reads are not seen: a model may clip its values at 1."""
_MAX_BYTES = 2**30
"""What unfolding the longest kernel over the input may take; more is not measured."""


@dataclass(frozen=True)
class Reach:
    """Receptive field, latency and look-back of a stack along one axis; math.inf: all of the input."""

    receptive_field: Number
    latency: Number
    lookback: Number


@dataclass(frozen=True)
class Level:
    """What one output reads of what lies between two layers. name: of the layer below, "input" for the first.

    measured: positions whose gradient is not zero. formula: positions by the layers' maps. stride: steps of
    the stack's input a step.
    """

    name: str
    measured: tuple[int, ...]
    formula: tuple[int, ...]
    stride: float
    map: AxisMap | None


@dataclass(frozen=True)
class Cone:
    """One axis: its numbers by both methods, and every level from the input to the output looked at.

    measured: None where it would take too much memory.
    """

    axis: str
    formula: Reach
    measured: Reach | None
    stride: float
    output: int
    levels: tuple[Level, ...]


def receptive(stack: nn.Module, *, axes: Sequence[str], channels: int) -> list[Cone]:
    """The cone of a stack along every axis. axes: their names, after the channels.

    Raises ComputeError where more is read than the formula says, UsageError for a stack that takes no input.
    """
    opened = _opened(in_own_types(stack, lambda module: _runs(module, len(axes), channels)))
    cones = [_cone(opened, axis, axes, channels) for axis in range(len(axes))]
    for cone in cones:
        if cone.measured is None:
            continue
        pairs = zip(_numbers(cone.measured), _numbers(cone.formula), strict=True)
        if any(m > f for m, f in pairs):
            raise ComputeError(
                f"receptive field along {cone.axis}: measured {_numbers(cone.measured)}, by formula "
                f"{_numbers(cone.formula)} (receptive field, latency, look-back): a layer reads what it does "
                "not declare"
            )
    return cones


def _runs(stack: nn.Module, dims: int, channels: int) -> bool:
    """Whether a stack can be called with float64."""
    module = _opened(stack)
    sizes = [_enough(module, axis) for axis in range(dims)]
    if unfolded_bytes(module, channels, sizes) > _MAX_BYTES:
        return True  # it is not called
    try:
        with torch.no_grad():
            module(torch.zeros(1, channels, *sizes, dtype=torch.float64))
    except RuntimeError:
        return False
    return True


def _numbers(reach: Reach) -> tuple[Number, Number, Number]:
    return reach.receptive_field, reach.latency, reach.lookback


def _opened(stack: nn.Module) -> nn.Sequential:
    """A float64 copy whose weights are positive, without layers that only change a position by itself."""
    copy = open_copy(stack, keep_zeros=False).requires_grad_(False)
    copy = copy if isinstance(copy, nn.Sequential) else mnn.Sequential(copy)
    _without_pointwise(copy)
    return copy


def exact_copy(module: nn.Module) -> nn.Module:
    """The module in float64 and evaluation mode, on the CPU; the original is left as it is.

    Weights under a weight norm or another parametrization become plain ones, so that layers are known. What
    `in_own_types` makes keeps its types inside.
    """
    copy = copy_module(module).cpu().eval()
    copy = copy if keeps_types(copy) else copy.double()
    for part in copy.modules():
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                nn.utils.remove_weight_norm(part, hook.name)
        if parametrize.is_parametrized(part):
            # not remove_parametrizations: it takes the weight out of the class, which the original shares
            weights = {name: getattr(part, name).detach() for name in part.parametrizations}  # type: ignore[union-attr]
            part.__class__ = type(part).__bases__[0]
            del part.parametrizations
            for name, weight in weights.items():
                part.register_parameter(name, nn.Parameter(weight))
    return copy


@torch.no_grad()
def open_copy(module: nn.Module, *, keep_zeros: bool = True) -> nn.Module:
    """A copy whose weights hide nothing: every parameter that is not zero is a positive number of its own.

    Nothing cancels, no unit is dead, and what is multiplied by a zero stays unread unless `keep_zeros` is
    False. Biases become small.
    """
    copy = exact_copy(module)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in copy.named_parameters():
        if not parameter.is_floating_point() or not parameter.numel():
            continue
        fan_in = parameter.numel() / parameter.shape[0] if parameter.ndim > 1 else 1.0
        scale = 0.01 if name.endswith("bias") else 1 / fan_in
        drawn = torch.rand(parameter.shape, dtype=parameter.dtype, generator=generator) + 0.5
        hidden = (parameter == 0) & keep_zeros
        parameter.copy_((drawn * scale).masked_fill(hidden, 0.0))
    return copy


def read_positions(
    target: Tensor, inputs: Sequence[Tensor], axes: Sequence[int], *, rounded: float = 0.0
) -> list[Tensor]:
    """For each of the tensors the positions along some axes, (n, len(axes)), that the sum of `target` reads.

    inputs: (N, C, ...), with a graph to `target`, which is kept. axes: after the channels, in order.
    rounded: gradients so small, relative to the largest, count as none.
    """
    gradients = torch.autograd.grad(target.sum(), inputs, retain_graph=True, allow_unused=True)
    none = torch.zeros(0, len(axes), dtype=torch.long)
    return [
        none if g is None else read_along(g.abs() > rounded * g.abs().max(), axes).nonzero()
        for g in gradients
    ]


def read_along(flags: Tensor, axes: Sequence[int]) -> Tensor:
    """Whether any is set at each position along some axes after the channels; the axes in their order."""
    return flags.any(dim=[d for d in range(flags.ndim) if d - 2 not in axes])


def _without_pointwise(module: nn.Module) -> None:
    for name, child in each_child(module):
        alone = is_pointwise(child) or isinstance(child, mnn.ChannelLayerNorm | mnn.RMSNorm)
        if alone and not isinstance(child, nn.GLU):
            setattr(module, name, nn.Identity())
        elif not isinstance(child, mnn.Gate):
            _without_pointwise(child)


def _cone(stack: nn.Sequential, axis: int, axes: Sequence[str], channels: int) -> Cone:
    whole = Chain(tuple(axis_map(layer, axis) for layer in stack))
    by_channel = reads_map(list(stack), axis, channels)
    formula = Reach(by_channel.receptive_field, by_channel.latency, by_channel.lookback)
    first, length = (0, 8) if whole.whole else _middle(whole)
    length = _blocks(stack, axis, length)
    sizes = [length if a == axis else _enough(stack, a) for a in range(len(axes))]
    reads: list[set[int]] = [set() for _ in range(len(stack) + 1)]
    if unfolded_bytes(stack, channels, sizes) > _MAX_BYTES:
        levels = _levels(stack, axis, first, reads)
        return Cone(axes[axis], formula, None, float(whole.total_stride), first, levels)
    spans: list[tuple[int, int, int]] = []
    outputs = [first] if whole.whole else [first + j for j in outputs_to_try(whole)]
    inputs = _inputs([1, channels, *sizes], axis)
    each = _reads(stack, inputs, axis, outputs)
    if any(read[0] < _by_formula(whole, output) for output, read in zip(outputs, each, strict=True)):
        small = _reads(stack, [SMALL * x for x in inputs], axis, outputs)
        each = [[a | b for a, b in zip(*pair, strict=True)] for pair in zip(each, small, strict=True)]
    reads = each[0]
    for output, read in zip(outputs, each, strict=True):
        if read[0]:
            spans.append((min(read[0]), max(read[0]), math.floor(output * whole.total_stride)))
    if whole.whole and reads[0] == set(range(length)):
        measured = Reach(math.inf, math.inf, math.inf)
    else:
        measured = Reach(
            max((high - low + 1 for low, high, _ in spans), default=0),
            max((high - now for _, high, now in spans), default=0),
            max((now - low for low, _, now in spans), default=0),
        )
        measured = Reach(measured.receptive_field, max(0, measured.latency), max(0, measured.lookback))
        if whole.past and all(low == 0 for low, _, _ in spans):
            measured = Reach(math.inf, measured.latency, math.inf)
    levels = _levels(stack, axis, first, reads)
    return Cone(axes[axis], formula, measured, float(whole.total_stride), first, levels)


def _by_formula(above: AxisMap, output: int) -> set[int]:
    """Positions that one output reads by the layers' maps; none where it reads the whole input."""
    if above.whole:
        return set()
    window = above.reads(np.array([output])).tolist()
    return set(range(max(window) + 1)) if above.past and window else set(window)


def unfolded_bytes(stack: Iterable[nn.Module], channels: int, sizes: Sequence[int]) -> int:
    """Bytes of the largest unfolded input of a convolution of some layers, in float64, padding included."""
    largest = 0
    for layer in stack:
        maps = [axis_map(layer, axis) for axis in range(len(sizes))]
        after = [m.output_length(n) for m, n in zip(maps, sizes, strict=True)]
        for _, inner in leaves(layer):
            taps = math.prod(getattr(inner, "kernel_size", ())) if slides(inner) else 1
            spans = [axis_map(inner, axis) for axis in range(len(sizes))]
            padded = [
                n + max(0, m.left) + max(0, m.right) if isinstance(m, Window) else n
                for m, n in zip(spans, sizes, strict=True)
            ]
            largest = max(largest, 8 * channels * taps * math.prod(map(max, padded, after)))
        channels, sizes = output_channels(layer, channels), after
    return largest


def _levels(stack: nn.Sequential, axis: int, output: int, reads: Sequence[set[int]]) -> tuple[Level, ...]:
    names = ["input", *(f"{name} {layer_kind(layer)}" for name, layer in each_child(stack))]
    maps = [axis_map(layer, axis) for layer in stack]
    levels = []
    for index, read in enumerate(reads):
        if index and isinstance(stack[index - 1], nn.Identity):
            continue
        above = Chain(tuple(maps[index:]))
        formula = tuple(sorted(_by_formula(above, output)))
        stride = float(Chain(tuple(maps[:index])).total_stride)
        below = maps[index - 1] if index else None
        levels.append(Level(names[index], tuple(sorted(read)), formula, stride, below))
    return tuple(levels)


def _middle(whole: AxisMap) -> tuple[int, int]:
    """An output whose reads lie inside the input, and the input's length."""
    margin = int(max(whole.window_lookback, whole.window_field) + whole.latency) + 2 * whole.input_period
    first = math.ceil((margin + 1) / whole.total_stride / whole.period) * whole.period
    return first, math.ceil((first + whole.period) * whole.total_stride) + margin + whole.input_period


def _enough(stack: nn.Sequential, axis: int) -> int:
    """A length of another axis at which some window lies inside the input."""
    across = Chain(tuple(axis_map(layer, axis) for layer in stack))
    enough = 8 if across.whole else int(across.window_field + 2 * across.input_period)
    return _blocks(stack, axis, enough)


def _blocks(stack: nn.Sequential, axis: int, length: int) -> int:
    """The next length of whole periods, or after it the first that a reshape of the stack takes."""
    period = Chain(tuple(axis_map(layer, axis) for layer in stack)).input_period
    return fitting_length(stack, axis, -(-length // period) * period)


def _inputs(shape: Sequence[int], axis: int) -> list[Tensor]:
    """Noise, and two ramps: a maximum reads the last input of the one and the first of the other."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(list(shape), generator=generator, dtype=torch.float64)
    view = [1] * len(shape)
    view[axis + 2] = shape[axis + 2]
    ramp = torch.linspace(0, 1, shape[axis + 2], dtype=torch.float64).view(view)
    small = 0.01 * noise / shape[axis + 2]
    return [noise + 0.5, ramp + small + 0.5, 1.5 - ramp + small]


def _reads(
    stack: nn.Sequential, inputs: Sequence[Tensor], axis: int, outputs: Sequence[int]
) -> list[list[set[int]]]:
    """Of each output: positions along the axis, at every level, that it depends on for any of the inputs."""
    every: list[list[set[int]]] = [[set() for _ in range(len(stack) + 1)] for _ in outputs]
    for x in inputs:
        held = [x.clone().requires_grad_()]
        for layer in stack:
            held.append(layer(held[-1]))
        for output, levels in zip(outputs, every, strict=True):
            target = held[-1].select(axis + 2, output)
            for level, read in zip(levels, read_positions(target, held[:-1], [axis]), strict=False):
                level |= set(read[:, 0].tolist())
            levels[-1].add(output)
    return every


def outputs_to_try(whole: AxisMap) -> list[int]:
    """All outputs of a period; of a long one the first, the last, and those that read furthest by formula."""
    if whole.period <= MOST_OUTPUTS:
        return list(range(whole.period))
    tried = {0, whole.period // 2, whole.period - 1}
    try:
        spans = whole.all_spans()
    except ValueError:  # too many to look at each
        return sorted(tried)
    now = np.arange(len(spans.low)) * whole.total_stride.numerator // whole.total_stride.denominator
    reads = spans.low <= spans.high
    for distance in (spans.high - now, now - spans.low, spans.high - spans.low):
        tried.add(int(np.where(reads, distance, -1).argmax()))
    return sorted(tried)
