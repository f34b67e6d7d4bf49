"""Whether a module's outputs read later inputs, how far, and which layer does it: measured, beside the formula.

Knows modules, not files: `files` does the same from file to file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor, nn

from mediaconv.compare.probe import Function, Order, Reads, exact_copy, measure, open_copy
from mediaconv.errors import ComputeError
from mediaconv.nn import stream
from mediaconv.nn.layer import Streamable, axis_map, leaves

SHORTEST = {1: 60, 2: 24, 3: 24}
"""Fewest steps of the order's first axis that are tried, by the number of axes."""
MULTIPLE = 12
"""Lengths are multiples of it, so that layers that fold 2, 3 or 4 steps into one take them."""
SIDES = (6, 8, 12, 16, 24, 32, 48, 64)
LONGEST = 2**17


@dataclass(frozen=True)
class Leak:
    """A layer whose outputs read later inputs.

    layer: where it stands and what it is. look_ahead: in its own input steps; None: to the end.
    formula: what it says of itself; None: to the end, or nothing.
    """

    layer: str
    look_ahead: int | None
    formula: int | None


@dataclass(frozen=True)
class Proof:
    """What was measured of a module.

    causal: no output reads a later input, by either method.
    look_ahead: steps after its own time that an output reads; None where it reads to the end.
    unit: what a step is: the name of the axis along which it looks ahead.
    formula: the same by `mediaconv.nn.geometry`; None: to the end. known: whether there is a formula.
    by: look-ahead by each method alone.
    shape: of the input that was tried, channels first. seams: where chunks met.
    """

    causal: bool
    look_ahead: int | None
    unit: str
    formula: int | None
    known: bool
    by: dict[str, int | None]
    shape: tuple[int, ...]
    seams: tuple[int, ...]
    leaks: list[Leak] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether the measured number is the formula's."""
        return not self.known or self.look_ahead == self.formula


def prove(
    module: nn.Module,
    *,
    channels: int,
    dims: int,
    order_axes: Sequence[int] = (0,),
    axis_names: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> Proof:
    """Decide by gradient and by perturbation whether any output of a module reads a later input.

    channels, dims: of the input, (1, channels, ...) with `dims` axes after the channels.
    order_axes: the axis that is time; or all axes, for reading order.
    axis_names: of all axes, for the report.
    labels: what the layers are called, by their path in the module ("0.layers.1").

    Raises ComputeError where no input was found that the module takes.

    >>> from mediaconv.nn import CausalConv1d, Conv1d
    >>> prove(CausalConv1d(1, 1, 5), channels=1, dims=1).causal
    True
    >>> prove(Conv1d(1, 1, 5, padding="same"), channels=1, dims=1).look_ahead
    2
    """
    names = list(axis_names) or [f"axis {i}" for i in range(dims)]
    setting = _Setting(channels, dims, tuple(order_axes))
    with _one_thread():
        reads, shape, seams = _measured(module, setting)
        formula, known = _formula(module, setting, reads)
        ahead, axis = _first_ahead(reads, setting)
        leaks = _blame(module, setting, labels or {}) if ahead != 0 else []
    by = {method: _leading(found) for method, found in reads.ahead.items()}
    proof = Proof(
        causal=ahead == 0,
        look_ahead=ahead,
        unit=names[axis],
        formula=formula,
        known=known,
        by=by,
        shape=shape,
        seams=seams,
        leaks=leaks,
    )
    proof.notes.extend(_notes(proof))
    return proof


@contextmanager
def _one_thread() -> Iterator[None]:
    """Thousands of small calls: sharing each among threads costs far more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Setting:
    channels: int
    dims: int
    order_axes: tuple[int, ...]


def _measured(module: nn.Module, setting: _Setting) -> tuple[Reads, tuple[int, ...], tuple[int, ...]]:
    """Measure at a length that the formula makes enough, longer while the first output reads the last input."""
    reads, shape, seams = _at_length(module, setting, _length(module, setting))
    latest = reads.latest
    if reads.end and latest is not None and latest[0] > 0:
        longer, shape, seams = _at_length(module, setting, 2 * shape[1 + setting.order_axes[0]])
        longer.end = longer.end and longer.latest is not None and longer.latest[0] > latest[0]
        return longer, shape, seams
    reads.end = False
    return reads, shape, seams


def _length(module: nn.Module, setting: _Setting) -> int:
    """Steps of the order's first axis in which an output in the middle sees all that it reads."""
    axis = setting.order_axes[0]
    needed = SHORTEST[setting.dims]
    try:
        found = axis_map(module, axis)
    except TypeError:
        return needed
    if not found.whole:
        period = math.ceil(found.period * found.stride)
        sides = int(max(found.latency, found.look_back))
        needed = max(needed, 2 * sides + 8 * math.ceil(found.stride) + 2 * period)
    multiple = math.lcm(MULTIPLE, found.stride.numerator)
    return min(LONGEST, -(-needed // multiple) * multiple)


def _at_length(
    module: nn.Module, setting: _Setting, length: int
) -> tuple[Reads, tuple[int, ...], tuple[int, ...]]:
    """Measure the module as it is and with open weights, whole and in chunks."""
    sizes = _sizes(module, setting, length)
    strides = tuple(_stride(module, a, sizes) for a in setting.order_axes)
    order = Order(setting.order_axes, strides, strides[0].denominator)
    seams = (length // 3, length // 3 + 1, length // 2, 3 * length // 4)
    found = Reads(ahead={"gradient": None, "perturbation": None})
    trials = ((exact_copy(module), _as_it_is(setting, sizes)), (open_copy(module), _open(setting, sizes)))
    for twin, inputs in trials:
        part = measure(_functions(twin, setting, seams), inputs, order, seams)
        found.end |= part.end
        for method, ahead in part.ahead.items():
            if ahead is not None:
                found.note(method, ahead)
    return found, (setting.channels, *sizes), seams


def _functions(module: nn.Module, setting: _Setting, seams: Sequence[int]) -> list[Function]:
    """The module called on the whole, and streamed in chunks where it streams."""
    functions: list[Function] = [module]
    try:
        axis_map(module, 0)
    except TypeError:
        return functions
    if setting.order_axes[0] == 0:
        functions.append(lambda x: _streamed(module, x, seams))
    return functions


def _streamed(module: nn.Module, x: Tensor, seams: Sequence[int]) -> Tensor:
    running = stream(module)
    cuts = [0, *seams, x.shape[2]]
    parts = [running.push(x[:, :, lo:hi]) for lo, hi in zip(cuts, cuts[1:], strict=False)]
    return torch.cat([*parts, running.flush()], 2)


def _as_it_is(setting: _Setting, sizes: Sequence[int]) -> list[Tensor]:
    """An input for the weights as they are: noise around zero."""
    generator = torch.Generator().manual_seed(4)
    shape = (1, setting.channels, *sizes)
    return [torch.randn(shape, dtype=torch.float64, generator=generator)]


def _open(setting: _Setting, sizes: Sequence[int]) -> list[Tensor]:
    """Inputs for open weights: positive noise, and a ramp in which the latest is the largest."""
    generator = torch.Generator().manual_seed(5)
    shape = (1, setting.channels, *sizes)
    noise = torch.rand(shape, dtype=torch.float64, generator=generator)
    view = [1] * len(shape)
    ramp = torch.zeros(view, dtype=torch.float64)
    for axis in range(setting.dims):
        view = [1] * len(shape)
        view[axis + 2] = sizes[axis]
        weight = 1.0 if axis in setting.order_axes else 0.25
        ramp = ramp + weight * torch.linspace(0, 1, sizes[axis], dtype=torch.float64).view(view)
    return [noise, ramp + 0.01 * noise / max(sizes) + 0.5]


def _sizes(module: nn.Module, setting: _Setting, length: int) -> tuple[int, ...]:
    """Lengths of all axes: the order's first as asked, the others small. Raises ComputeError."""
    copy = exact_copy(module)
    reason = ""
    for side in SIDES:
        sizes = tuple(length if a == setting.order_axes[0] else side for a in range(setting.dims))
        try:
            with torch.no_grad():
                y = copy(torch.zeros(1, setting.channels, *sizes, dtype=torch.float64))
        except (ValueError, RuntimeError) as error:
            reason = f": {str(error).splitlines()[0]}"
            continue
        if y.numel() and (setting.dims == 1 or min(y.shape[2:]) > 1 or side == SIDES[-1]):
            return sizes
    raise ComputeError(f"no input was found that the stack takes, up to {SIDES[-1]} pixels a side{reason}")


def _stride(module: nn.Module, axis: int, sizes: Sequence[int]) -> Fraction:
    try:
        return axis_map(module, axis).stride
    except TypeError:
        channels = _first_channels(module)
        with torch.no_grad():
            y = exact_copy(module)(torch.zeros(1, channels, *sizes, dtype=torch.float64))
        return Fraction(sizes[axis], max(1, y.shape[axis + 2])).limit_denominator(64)


def _first_channels(module: nn.Module) -> int:
    return next((int(m.in_channels) for m in module.modules() if hasattr(m, "in_channels")), 1)


def _formula(module: nn.Module, setting: _Setting, reads: Reads) -> tuple[int | None, bool]:
    """Look-ahead by the formula, and whether there is one: within a row, reading order has none."""
    _, axis = _first_ahead(reads, setting)
    try:
        found = axis_map(module, axis).latency
    except TypeError:
        return None, False
    if axis != setting.order_axes[0]:
        return None, False
    return None if math.isinf(found) else int(found), True


def _first_ahead(reads: Reads, setting: _Setting) -> tuple[int | None, int]:
    """Steps ahead along the first axis of the order on which there are any, and that axis."""
    first = setting.order_axes[0]
    if reads.latest is None:
        return 0, first
    if reads.end:
        return None, first
    for axis, steps in zip(setting.order_axes, reads.latest, strict=True):
        if steps > 0:
            return steps, axis
        if steps < 0:
            break
    return 0, first


def _leading(ahead: tuple[int, ...] | None) -> int | None:
    """An offset as a number of steps ahead: the first that is positive; 0 where nothing later is read."""
    for steps in ahead or ():
        if steps:
            return max(0, steps)
    return None if ahead is None else 0


def _blame(module: nn.Module, setting: _Setting, labels: Mapping[str, str]) -> list[Leak]:
    """Every layer that looks ahead when it is run alone; the module itself where none of its layers does."""
    seen: dict[str, tuple[int, ...]] = {}
    copy = exact_copy(module)
    parts = list(_layers(copy))
    hooks = [layer.register_forward_hook(_remember(seen, name)) for name, layer in parts]
    try:
        _sizes_run(copy, setting)
    finally:
        for hook in hooks:
            hook.remove()
    leaks = []
    for name, layer in parts:
        if name not in seen or len(seen[name]) != setting.dims + 2:
            continue
        leak = _leak_of(
            layer, _Setting(seen[name][1], setting.dims, setting.order_axes), _label(name, layer, labels)
        )
        if leak is not None:
            leaks.append(leak)
    if leaks:
        return leaks
    own = _leak_of(copy, setting, f"{type(module).__name__} as a whole: none of its layers alone")
    return [own] if own is not None else []


def _layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Path and module of every layer proper; what holds layers in a way of its own counts as one."""
    if isinstance(module, Streamable) or not isinstance(module, nn.Sequential):
        yield from leaves(module, name)
        return
    for part, child in module.named_children():
        yield from _layers(child, f"{name}.{part}" if name else part)


def _sizes_run(copy: nn.Module, setting: _Setting) -> None:
    sizes = _sizes(copy, setting, _length(copy, setting))
    with torch.no_grad():
        copy(torch.zeros(1, setting.channels, *sizes, dtype=torch.float64))


def _remember(seen: dict[str, tuple[int, ...]], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple, output: object) -> None:
        if args and isinstance(args[0], Tensor):
            seen[name] = tuple(args[0].shape)

    return hook


def _leak_of(layer: nn.Module, setting: _Setting, label: str) -> Leak | None:
    reads, _, _ = _measured(layer, setting)
    ahead, _ = _first_ahead(reads, setting)
    if ahead == 0:
        return None
    formula, _ = _formula(layer, setting, reads)
    return Leak(label, ahead, formula)


def _label(name: str, layer: nn.Module, labels: Mapping[str, str]) -> str:
    place = labels.get(name, name)
    return f"{place} ({type(layer).__name__})" if place else type(layer).__name__


def _notes(proof: Proof) -> list[str]:
    """What a reader should know where the numbers differ."""
    if proof.agrees:
        return []
    formula = "to the end" if proof.formula is None else str(proof.formula)
    measured = "to the end" if proof.look_ahead is None else str(proof.look_ahead)
    if proof.look_ahead is None or (proof.formula is not None and proof.look_ahead > proof.formula):
        return [f"measured {measured}, but the layers claim {formula}: a layer reads more than it says"]
    return [
        f"measured {measured}, the formula allows {formula}: the weights that would read further are zero, "
        "or the layer does not use all that it may"
    ]
