"""At which lengths a module is tried, so that an output sees all that it reads, and what its stride is.

Of a module without a formula both are told by what lengths it takes and gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import torch
from torch import Tensor, nn

from mediaconv.compare.prove.function_reads.reads import MULTIPLE
from mediaconv.counted import counted
from mediaconv.errors import UsageError
from mediaconv.nn import AxisMap, Sequential, geometry
from mediaconv.nn.summary.dependence import streaming_twin
from mediaconv.nn.summary.fitting_length import fitting_length
from mediaconv.nn.summary.own_types import in_own_types
from mediaconv.nn.summary.receptive_field import exact_copy, unfolded_bytes

SHORTEST = {1: 60, 2: 24, 3: 24}
"""Fewest steps of the order's first axis that are tried, by the number of axes."""
FOLDS = (5, 16, 64, 256)
"""A length that is refused is tried again as the next multiple of these."""
MOST_BLOCK = 512
"""Steps of a block up to which modules without a formula are tried at its multiples."""
MOST_SIDE_BLOCK = 64
"""The same of modules with several axes, of a block along one of them."""
SIDES = (6, 8, 12, 16, 24, 32, 48, 64)
COMPOSITE = (42, 120, 210, 420)
"""Lengths of several axes for modules with blocks of 7, 10 or 15 along each."""
MOST_TRIED = 2**22
"""Positions of an input that is searched for."""
LONGEST = 2**17
SHORT_ENOUGH = 2**11
"""Steps of memory up to which an input is as long as it."""
MOST_BYTES = 2**28
"""What unfolding the longest kernel over an input may take; more is judged by structure alone."""
OUTPUTS = 8
"""Outputs, or jumps of their number, that are looked at."""
MOST_STEPS = 2**17


@dataclass(frozen=True)
class ProbeShape:
    """What is asked. exact: whether other last bits count as reading."""

    channels: int
    dims: int
    order_axes: tuple[int, ...]
    exact: bool = False


def strides_of(module: nn.Module, probed: ProbeShape) -> tuple[Fraction, ...]:
    """Input steps an output step, along each axis of the order."""
    strides = []
    for axis in probed.order_axes:
        known = known_map(module, axis)
        if known is None:
            shape = (probed.channels, *sizes_to_try(module, probed, SHORTEST[probed.dims]))
            strides.append(measured_stride(exact_copy(module), axis, shape))
        else:
            strides.append(known.total_stride)
    return tuple(strides)


def length_to_try(module: nn.Module, probed: ProbeShape, strides: Sequence[Fraction]) -> int:
    """Steps of the order's first axis in which an output in the middle sees all that it reads."""
    shortest = SHORTEST[probed.dims]
    known = known_map(module, probed.order_axes[0])
    if known is None:
        return min(LONGEST, max(shortest, 12 * math.ceil(strides[0])))
    multiple = math.lcm(MULTIPLE, known.total_stride.numerator, known.input_period)
    if multiple > LONGEST:
        multiple = known.input_period
    needed = needed_length(module, probed)
    length = -(-max(shortest, needed) // multiple) * multiple
    if known_bytes(module, probed, length) > MOST_BYTES:
        length = -(-needed // known.input_period) * known.input_period
    return min(LONGEST, length)


def needed_length(module: nn.Module, probed: ProbeShape) -> int:
    """Steps in which an output of a module with a formula sees all that it reads, and a few more."""
    known = geometry(module, probed.order_axes[0])
    if known.whole or (known.latency == 0 and known.window_lookback > SHORT_ENOUGH):
        return MULTIPLE  # a long memory takes long to run, and hides nothing: no layer says it reads ahead
    period = math.ceil(known.period * known.total_stride)
    return 2 * int(max(known.latency, known.window_lookback)) + 8 * math.ceil(known.total_stride) + 2 * period


def call_bytes(module: nn.Module, probed: ProbeShape, length: int) -> int:
    """Bytes that the largest step of a call takes at a length, by formula."""
    sizes = [length if axis == probed.order_axes[0] else SIDES[0] for axis in range(probed.dims)]
    layers = list(module) if isinstance(module, Sequential) else [module]
    return unfolded_bytes(layers, probed.channels, sizes)


def known_bytes(module: nn.Module, probed: ProbeShape, length: int) -> int:
    """The same of a module that may be unknown: nothing then."""
    try:
        return call_bytes(streaming_twin(module), probed, length)
    except (TypeError, ValueError):
        return 0


def sizes_to_try(module: nn.Module, probed: ProbeShape, length: int) -> tuple[int, ...]:
    """Lengths of all axes: the first of the order as asked or a little more, the others small.

    Raises UsageError where the module takes none.
    """
    copy = exact_copy(module)
    reason = ""
    pairs = _candidates(length, probed.dims)
    each = []
    for axis in range(probed.dims):
        wanted = [pair[axis != probed.order_axes[0]] for pair in pairs]
        distinct = list(dict.fromkeys(wanted))
        known = dict(zip(distinct, fitting(module, axis, distinct), strict=True))
        each.append([known[n] for n in wanted])
    for (_, side), sizes in zip(pairs, zip(*each, strict=True), strict=True):
        try:
            with torch.no_grad():
                y = copy(torch.zeros(1, probed.channels, *sizes, dtype=torch.float64))
        except (ValueError, RuntimeError) as error:
            reason = reason or f": {str(error).splitlines()[0]}"
            continue
        if not isinstance(y, Tensor) or y.ndim != probed.dims + 2:
            shape = f"a tensor of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
            raise UsageError(f"the stack returned {shape}, expected a tensor with {probed.dims + 2} axes")
        if y.numel() and (probed.dims == 1 or min(y.shape[2:]) > 1 or side >= SIDES[-1]):
            return sizes
    tried = f"of {counted(probed.channels, 'channels')} and {counted(length, 'steps')}"
    if probed.dims > 1:
        tried += f", up to {SIDES[-1]} pixels a side"
    raise UsageError(f"no input was found that the stack takes, {tried}{reason}")


def _candidates(length: int, dims: int) -> list[tuple[int, int]]:
    """Lengths of the order's first axis and of the others: as asked, the next ones for layers that fold more
    steps into one than `MULTIPLE` has room for, longer ones for modules without a formula that need them, and
    blocks of any size."""
    folds = (-(-length // fold) * fold for fold in (1, *FOLDS))
    longer = (n for n in (8 * length, 64 * length, 512 * length) if n <= LONGEST)
    along = list(dict.fromkeys([*folds, *longer]))
    if dims == 1:
        return [(n, 1) for n in dict.fromkeys([*along, *range(length + 1, MOST_BLOCK + length)])]
    composite = [n for n in COMPOSITE if n >= length]
    pairs = [
        *((n, side) for side, n in product(SIDES, along)),
        *((n, side) for side, n in product(COMPOSITE, [length, *composite])),
        *((n, SIDES[0]) for n in [*composite, *range(length + 1, length + MOST_SIDE_BLOCK)]),
        *((length, side) for side in range(SIDES[0], MOST_SIDE_BLOCK)),
    ]
    few = (pair for pair in pairs if pair[0] == length or pair[0] * pair[1] ** (dims - 1) <= MOST_TRIED)
    return list(dict.fromkeys(few))


def fitting(module: nn.Module, axis: int, lengths: Sequence[int]) -> list[int]:
    """Lengths, or the next ones that the reshapes of a module with a formula take."""
    try:
        streaming = streaming_twin(module)
    except (TypeError, ValueError):
        return list(lengths)
    return [fitting_length(streaming, axis, n) for n in lengths]


def known_map(module: nn.Module, axis: int) -> AxisMap | None:
    """What the outputs read, by formula; None for a module that neither streams nor can be converted."""
    try:
        return geometry(module, axis)
    except TypeError:
        return None


def example(module: nn.Module, probed: ProbeShape) -> Tensor:
    """An input that the module takes: zeros. Raises UsageError where none was found."""
    sizes = sizes_to_try(module, probed, length_to_try(module, probed, strides_of(module, probed)))
    return torch.zeros(1, probed.channels, *sizes, dtype=torch.float64)


def as_tried(module: nn.Module, probed: ProbeShape) -> nn.Module:
    """The module in float64 where it runs so, else in its own types."""

    def runs(module: nn.Module) -> bool:
        try:
            example(module, probed)
        except (UsageError, AttributeError):  # it takes none, or gives no tensor
            return False
        return True

    return in_own_types(module, runs)


def measured_stride(module: nn.Module, axis: int, shape: Sequence[int]) -> Fraction:
    """Input steps an output step along an axis.

    The number of outputs grows by `q` whenever the input grows by `p`: the stride is p/q. It is told by how
    many more outputs twice the input has, then made exact by where the number of outputs jumps.
    shape: (C, ...) of an input that the module takes.
    """
    count = _counter(module, axis, shape)
    length = shape[axis + 1]
    while (count(2 * length) or 0) - (count(length) or 0) < OUTPUTS and 2 * length < MOST_STEPS:
        length *= 2
    few, many = count(length), count(2 * length)
    if few is None or many is None or many == few:
        return Fraction(length, max(1, few or 1)).limit_denominator(64)
    rough = Fraction(length, many - few)
    if rough <= 1 or count(length + 1) is None:  # no jumps to look for: it takes some lengths alone
        return rough.limit_denominator(64)
    first, last = _jump(count, length, few + 1), _jump(count, length, few + OUTPUTS)
    if first is None or last is None:
        return rough.limit_denominator(64)
    return Fraction(last - first, OUTPUTS - 1).limit_denominator(64)


def _counter(module: nn.Module, axis: int, shape: Sequence[int]) -> Callable[[int], int | None]:
    """How many outputs an input of some steps has; None where the module does not take it."""
    known: dict[int, int | None] = {}

    @torch.no_grad()
    def count(length: int) -> int | None:
        if length not in known:
            sizes = list(shape)
            sizes[axis + 1] = length
            try:
                y = module(torch.zeros(1, *sizes, dtype=torch.float64))
            except (ValueError, RuntimeError):
                y = None
            known[length] = y.shape[axis + 2] if isinstance(y, Tensor) else None
        return known[length]

    return count


def _jump(count: Callable[[int], int | None], start: int, outputs: int) -> int | None:
    """The shortest input from `start` on, up to twice of it, that has so many outputs."""
    low, high = start, 2 * start
    while high - low > 1:
        middle = (low + high) // 2
        counted = count(middle)
        if counted is None:
            return None
        low, high = (low, middle) if counted >= outputs else (middle, high)
    return high
