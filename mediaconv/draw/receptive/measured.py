"""The receptive field of a stack along each axis, by formula and measured by gradient. They must agree.

Measured is the function alone: every weight is made positive, so that nothing cancels, and layers that
change a position by itself alone are left out, so that nothing saturates. Drawn elsewhere (`cone`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.errors import ComputeError
from mediaconv.nn.copying import copy_module
from mediaconv.nn.geometry import AxisMap, Chain
from mediaconv.nn.streaming.protocol import axis_map, each_child, is_pointwise, leaves

Number = int | float

_BOUNDED = (mnn.DeformConv2d, mnn.DeformConv3d, mnn.CausalDeformConv2d, mnn.CausalDeformConv3d)
"""Layers that read no more than their formula says, and mostly less."""


@dataclass(frozen=True)
class Reach:
    """Receptive field, latency and look-back of a stack along one axis; math.inf: all of the input."""

    receptive_field: Number
    latency: Number
    look_back: Number


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
    """One axis: its numbers by both methods, and every level from the input to the output looked at."""

    axis: str
    formula: Reach
    measured: Reach
    stride: float
    output: int
    levels: tuple[Level, ...]


def receptive(stack: nn.Module, *, axes: Sequence[str], channels: int) -> list[Cone]:
    """The cone of a stack along every axis. axes: their names, after the channels.

    Raises ComputeError where what is measured differs from the formula.
    """
    opened = _opened(stack)
    cones = [_cone(opened, axis, axes, channels) for axis in range(len(axes))]
    bounded = any(isinstance(layer, _BOUNDED) for _, layer in leaves(stack))
    for cone in cones:
        pairs = zip(_numbers(cone.measured), _numbers(cone.formula), strict=True)
        if not all(m <= f if bounded else m == f for m, f in pairs):
            raise ComputeError(
                f"receptive field along {cone.axis}: measured {_numbers(cone.measured)}, by formula "
                f"{_numbers(cone.formula)} (receptive field, latency, look-back): a layer reads what it does "
                "not declare, or declares what it does not read"
            )
    return cones


def _numbers(reach: Reach) -> tuple[Number, Number, Number]:
    return reach.receptive_field, reach.latency, reach.look_back


def _opened(stack: nn.Module) -> nn.Sequential:
    """A float64 copy whose weights are positive, without layers that only change a position by itself."""
    twin = copy_module(stack).cpu().double().eval()
    twin = twin if isinstance(twin, nn.Sequential) else mnn.Sequential(twin)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            scale = 0.01 if name.endswith("bias") else 1 / max(1, fan_in)
            parameter.copy_(
                scale * (0.5 + torch.rand(parameter.shape, generator=generator, dtype=torch.float64))
            )
    _without_pointwise(twin)
    return twin


def _without_pointwise(module: nn.Module) -> None:
    for name, child in each_child(module):
        alone = is_pointwise(child) or isinstance(child, mnn.ChannelLayerNorm | mnn.RMSNorm)
        if alone and not isinstance(child, nn.GLU):
            setattr(module, name, nn.Identity())
        elif not isinstance(child, mnn.Gate):
            _without_pointwise(child)


def _cone(stack: nn.Sequential, axis: int, axes: Sequence[str], channels: int) -> Cone:
    whole = Chain(tuple(axis_map(layer, axis) for layer in stack))
    formula = Reach(whole.receptive_field, whole.latency, whole.look_back)
    first, length = (0, 8) if whole.whole else _middle(whole)
    sizes = [length if a == axis else _enough(stack, a) for a in range(len(axes))]
    found: list[set[int]] = [set() for _ in range(len(stack) + 1)]
    spans: list[tuple[int, int, int]] = []
    for output in range(first, first + (1 if whole.whole else whole.period)):
        read = _reads(stack, _inputs([1, channels, *sizes], axis), axis, output)
        if output == first:
            found = read
        if read[0]:
            spans.append((min(read[0]), max(read[0]), math.floor(output * whole.stride)))
    if whole.whole and found[0] == set(range(length)):
        measured = Reach(math.inf, math.inf, math.inf)
    else:
        measured = Reach(
            max((high - low + 1 for low, high, _ in spans), default=0),
            max((high - now for _, high, now in spans), default=0),
            max((now - low for low, _, now in spans), default=0),
        )
        measured = Reach(measured.receptive_field, max(0, measured.latency), max(0, measured.look_back))
    return Cone(axes[axis], formula, measured, float(whole.stride), first, _levels(stack, axis, first, found))


def _levels(stack: nn.Sequential, axis: int, output: int, found: Sequence[set[int]]) -> tuple[Level, ...]:
    names = ["input", *(f"{name} {type(layer).__name__}" for name, layer in each_child(stack))]
    maps = [axis_map(layer, axis) for layer in stack]
    levels = []
    for place, read in enumerate(found):
        if place and isinstance(stack[place - 1], nn.Identity):
            continue
        above = Chain(tuple(maps[place:]))
        formula = () if above.whole else tuple(int(i) for i in above.reads(torch.tensor([output]).numpy()))
        stride = float(Chain(tuple(maps[:place])).stride)
        below = maps[place - 1] if place else None
        levels.append(Level(names[place], tuple(sorted(read)), formula, stride, below))
    return tuple(levels)


def _middle(whole: AxisMap) -> tuple[int, int]:
    """An output whose reads lie inside the input, and the input's length."""
    margin = int(max(whole.look_back, whole.receptive_field) + whole.latency) + 2 * whole.grain
    first = math.ceil((margin + 1) / whole.stride / whole.period) * whole.period
    length = math.ceil((first + whole.period) * whole.stride) + margin + whole.grain
    return first, _blocks(length, whole)


def _enough(stack: nn.Sequential, axis: int) -> int:
    """A length of another axis at which some window lies inside the input."""
    across = Chain(tuple(axis_map(layer, axis) for layer in stack))
    return _blocks(8 if across.whole else int(across.receptive_field + 2 * across.grain), across)


def _blocks(length: int, whole: AxisMap) -> int:
    """The next length of whole blocks, which a reshape takes alone."""
    return -(-length // whole.grain) * whole.grain


def _inputs(shape: Sequence[int], axis: int) -> list[Tensor]:
    """Noise, and two ramps: a maximum reads the last input of the one and the first of the other."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(list(shape), generator=generator, dtype=torch.float64)
    view = [1] * len(shape)
    view[axis + 2] = shape[axis + 2]
    ramp = torch.linspace(0, 1, shape[axis + 2], dtype=torch.float64).view(view)
    small = 0.01 * noise / shape[axis + 2]
    return [noise + 0.5, ramp + small + 0.5, 1.5 - ramp + small]


def _reads(stack: nn.Sequential, inputs: Sequence[Tensor], axis: int, output: int) -> list[set[int]]:
    """Positions along the axis, at every level, that the output depends on for any of the inputs."""
    found: list[set[int]] = [set() for _ in range(len(stack) + 1)]
    for x in inputs:
        held = [x.clone().requires_grad_()]
        for layer in stack:
            held.append(layer(held[-1]))
        target = held[-1].select(axis + 2, output).sum()
        gradients = torch.autograd.grad(target, held[:-1], allow_unused=True)
        for place, gradient in enumerate(gradients):
            if gradient is not None:
                hit = (gradient != 0).movedim(axis + 2, 0).flatten(1).any(1)
                found[place] |= set(hit.nonzero()[:, 0].tolist())
        found[-1].add(output)
    return found
