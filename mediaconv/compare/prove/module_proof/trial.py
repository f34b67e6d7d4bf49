"""One module tried: at what length, on which inputs, whole and in chunks; what it read, beside the formula.

Decides what to feed to `probe`, and nothing of what follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from mediaconv.compare.prove.function_reads.coverage import Coverage, cover
from mediaconv.compare.prove.function_reads.probe import glance, measure
from mediaconv.compare.prove.function_reads.reads import Function, Order, Reads
from mediaconv.compare.prove.function_reads.time_budget import (
    SLOW_SECONDS,
    STRUCTURE_SECONDS,
    Budget,
    seconds_each,
    seconds_of,
)
from mediaconv.compare.prove.module_proof.lengths import (
    MOST_BYTES,
    SHORT_ENOUGH,
    ProbeShape,
    fitting,
    known_bytes,
    known_map,
    length_to_try,
    sizes_to_try,
    strides_of,
)
from mediaconv.compare.prove.precision.rounding import Rounding
from mediaconv.errors import UsageError
from mediaconv.nn import stream
from mediaconv.nn.summary.channel_reads import reads_map
from mediaconv.nn.summary.dependence import streaming_twin
from mediaconv.nn.summary.own_types import keeps_types
from mediaconv.nn.summary.receptive_field import exact_copy, open_copy

FAR = {1: 2**12, 2: 2**8, 3: 2**7}
"""Steps of a longer input that is glanced at, by the number of axes: a layer may read more than it says."""
FAR_VALUES = 2**19
GROWING = {1: (2**12, 2**14, 2**16, 2**18), 2: (128, 512, 1024), 3: (64, 256, 512)}
"""Lengths at which cuts are tried while time allows, by the number of axes."""
WIDER = {1: (), 2: (33, 130, 520), 3: (20, 65)}
"""Lengths of the other axes, likewise."""
RASTER_SIDE = 33
"""In reading order every position is a cut."""
MOST_GROWN = 2**21
"""Values of the largest of these inputs."""
LOUD = 30.0
PROVEN_SECONDS = 0.5
"""How long cuts are tried, at most, of what is proven by its structure."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Thousands of small calls: sharing each among threads costs far more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measured(
    module: nn.Module,
    probed: ProbeShape,
    *,
    seconds: float = 0.5,
    proven: Callable[[Sequence[int]], bool] | None = None,
) -> Trial:
    """Measure at a length that is enough by the formula; again where the first output reads to the end.

    Where nothing later was found positions are cut, at lengths that grow for what is left of so many seconds.
    proven: whether a module that takes a shape (C, ...) is proven by its structure, of which less is tried; a
        few looks alone where a call is slow.
    """
    budget = Budget(seconds)
    strides = strides_of(module, probed)
    length = length_to_try(module, probed, strides)
    sizes = sizes_to_try(module, probed, length)
    function = exact_copy(module)
    exact = probed.exact or all_known(module)
    rounding = Rounding(function, _in_float32(module), _as_it_is(probed, sizes)[0], exact=exact)
    order = Order(probed.order_axes, strides, strides[0].denominator)
    proven = cache(proven) if proven is not None else None
    x = _as_it_is(probed, sizes)[0]
    if proven is not None and seconds_each(function, x) > STRUCTURE_SECONDS and proven(tuple(x.shape[1:])):
        reads = Reads(order)
        glance(function, x, reads, rounding)
        if first_ahead(reads, probed)[0] == 0 and not rounding.seen:
            return Trial(reads, tuple(x.shape[1:]), (), Coverage(length=length), False, True)
    reads, shape, seams = _with_far(module, probed, order, sizes, rounding)
    covered, structure = Coverage(length=shape[1 + probed.order_axes[0]]), False
    if first_ahead(reads, probed)[0] == 0:
        structure = proven is not None and proven(shape)
        left = max(seconds / 2, budget.left)
        axis, dims = 1 + probed.order_axes[0], probed.dims
        values = math.prod(shape) // shape[axis]
        growing = (n for n in GROWING[dims] if n > shape[axis] and n * values <= MOST_GROWN)
        lengths = fitting(module, axis - 1, [8 * shape[axis], *growing])
        covered = cover(
            function,
            shape,
            reads,
            lengths=lengths,
            wider=_wider(module, probed, shape),
            rounding=rounding,
            seconds=min(left, PROVEN_SECONDS) if structure else left,
            finite_only=all_known(module),
        )
    return Trial(reads, shape, seams, covered, rounding.seen, structure and not rounding.seen)


def _wider(module: nn.Module, probed: ProbeShape, shape: Sequence[int]) -> list[list[int]]:
    """Shapes whose other axes than the first of the order are longer, in multiples of what they are too."""
    first = 1 + probed.order_axes[0]
    shapes = []
    for side in WIDER[probed.dims]:
        if len(probed.order_axes) > 1 and side > RASTER_SIDE:
            break
        for multiple in (False, True):
            sizes = list(shape)
            for a in range(1, len(shape)):
                if a != first and side > shape[a]:
                    n = side // shape[a] * shape[a] if multiple else side
                    sizes[a] = fitting(module, a - 1, [n])[0]
            if sizes != list(shape) and math.prod(sizes) <= MOST_GROWN:
                shapes.append(sizes)
    return shapes


@dataclass(frozen=True)
class Trial:
    """What was measured. shape: of the first input. rounded: whether later inputs change the last bits.

    structure: whether it is proven by its structure besides.
    """

    reads: Reads
    shape: tuple[int, ...]
    seams: tuple[int, ...]
    covered: Coverage
    rounded: bool
    structure: bool


def all_known(module: nn.Module) -> bool:
    """Whether every layer is one of mediaconv.nn or torch, whose taps of zero read nothing that is finite."""
    homes = ("mediaconv.nn.", "torch.nn.")
    return all(type(layer).__module__.startswith(homes) for layer in module.modules())


def _in_float32(module: nn.Module) -> Function | None:
    if keeps_types(module):
        return None
    coarse = exact_copy(module).float()
    return lambda x: coarse(x.float()).double()


def _with_far(
    module: nn.Module, probed: ProbeShape, order: Order, sizes: Sequence[int], rounding: Rounding
) -> tuple[Reads, tuple[int, ...], tuple[int, ...]]:
    reads, seams = _at_sizes(module, probed, order, sizes, rounding)
    latest = reads.latest
    if reads.end and latest is not None and latest[0] > 0:
        sizes = sizes_to_try(module, probed, 2 * sizes[probed.order_axes[0]])
        longer, seams = _at_sizes(module, probed, order, sizes, rounding)
        longer.end = longer.end and longer.latest is not None and longer.latest[0] > latest[0]
        return longer, (probed.channels, *sizes), seams
    reads.end = False
    _far(module, probed, reads, sizes, rounding)
    return reads, (probed.channels, *sizes), seams


def _far(
    module: nn.Module,
    probed: ProbeShape,
    reads: Reads,
    near: Sequence[int],
    rounding: Rounding,
) -> None:
    """Add what is read further ahead than the lengths tried so far."""
    axis, length = probed.order_axes[0], FAR[probed.dims]
    known = known_map(module, axis)
    if known is not None and known.latency == 0 and known.window_lookback > SHORT_ENOUGH:
        return
    if near[axis] >= length or probed.channels * math.prod(near) // near[axis] * length > FAR_VALUES:
        return
    if known_bytes(module, probed, length) > MOST_BYTES:
        return
    try:
        sizes = sizes_to_try(module, probed, length)
    except UsageError:
        return
    x = _open(probed, sizes)[0]
    opened = open_copy(module)
    seconds_of(opened, x)  # the first call takes longer
    if seconds_of(opened, x) <= SLOW_SECONDS:
        glance(opened, x, reads, rounding)


def _at_sizes(
    module: nn.Module, probed: ProbeShape, order: Order, sizes: Sequence[int], rounding: Rounding
) -> tuple[Reads, tuple[int, ...]]:
    """Measure the module as it is and with open weights, whole and in chunks."""
    length = sizes[probed.order_axes[0]]
    seams = (length // 3, length // 3 + 1, length // 2, 3 * length // 4)
    reads = Reads(order)
    trials = (
        (exact_copy(module), _as_it_is(probed, sizes)),
        (open_copy(module), _open(probed, sizes)),
    )
    seconds_of(trials[0][0], trials[0][1][0])  # the first call takes longer
    slow = seconds_of(trials[0][0], trials[0][1][0]) > SLOW_SECONDS
    for copy, inputs in trials[:1] if slow else trials:
        functions = [copy] if slow else _functions(copy, probed, seams)
        part = measure(functions, inputs[:1] if slow else inputs, order, seams, rounding)
        reads.end |= part.end
        for method, ahead in part.ahead.items():
            if ahead is not None:
                reads.note(method, ahead)
    return reads, seams


def _functions(module: nn.Module, probed: ProbeShape, seams: Sequence[int]) -> list[Function]:
    """The module called on the whole, and streamed in chunks where it streams."""
    functions: list[Function] = [module]
    if probed.order_axes[0] == 0 and known_map(module, 0) is not None:
        copy = stream(module).module
        functions.append(lambda x: _streamed(copy, x, seams))
    return functions


def _streamed(module: nn.Module, x: Tensor, seams: Sequence[int]) -> Tensor:
    running = stream(module)
    cuts = [0, *seams, x.shape[2]]
    parts = [running.push(x[:, :, lo:hi]) for lo, hi in pairwise(cuts)]
    return torch.cat([*parts, running.flush()], 2)


def _as_it_is(probed: ProbeShape, sizes: Sequence[int]) -> list[Tensor]:
    """Inputs for the weights as they are: noise around zero, low and loud."""
    generator = torch.Generator().manual_seed(4)
    shape = (1, probed.channels, *sizes)
    noise = torch.randn(shape, dtype=torch.float64, generator=generator)
    return [noise, LOUD * noise]


def _open(probed: ProbeShape, sizes: Sequence[int]) -> list[Tensor]:
    """Inputs for open weights: positive noise, and a ramp in which the latest is the largest."""
    generator = torch.Generator().manual_seed(5)
    shape = (1, probed.channels, *sizes)
    noise = torch.rand(shape, dtype=torch.float64, generator=generator)
    view = [1] * len(shape)
    ramp = torch.zeros(view, dtype=torch.float64)
    for axis in range(probed.dims):
        view = [1] * len(shape)
        view[axis + 2] = sizes[axis]
        weight = 1.0 if axis in probed.order_axes else 0.25
        ramp = ramp + weight * torch.linspace(0, 1, sizes[axis], dtype=torch.float64).view(view)
    return [noise, ramp + 0.01 * noise / max(sizes) + 0.5]


def formula_of(module: nn.Module, probed: ProbeShape, reads: Reads) -> tuple[int | None, bool]:
    """Look-ahead by the formula, and whether there is one: within a row, reading order has none."""
    _, axis = first_ahead(reads, probed)
    known = known_map(module, axis)
    if known is None or axis != probed.order_axes[0]:
        return None, False
    known = reads_map([streaming_twin(module)], axis, probed.channels)
    return None if math.isinf(known.latency) else int(known.latency), True


def first_ahead(reads: Reads, probed: ProbeShape) -> tuple[int | None, int]:
    """Steps ahead along the first axis of the order on which there are any, and that axis."""
    first = probed.order_axes[0]
    if reads.latest is None:
        return 0, first
    if reads.end:
        return None, first
    for axis, steps in zip(probed.order_axes, reads.latest, strict=True):
        if steps > 0:
            return steps, axis
        if steps < 0:
            break
    return 0, first


def leading(ahead: tuple[int, ...] | None) -> int | None:
    """An offset as a number of steps ahead: the first that is positive; 0 where nothing later is read."""
    for steps in ahead or ():
        if steps:
            return max(0, steps)
    return None if ahead is None else 0
