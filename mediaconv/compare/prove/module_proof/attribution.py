"""Which layer looks ahead: every layer of a module run alone. Measures by `trial`, decides nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mediaconv.compare.prove.module_proof.lengths import ProbeShape, as_tried, example
from mediaconv.compare.prove.module_proof.structure import by_layers
from mediaconv.compare.prove.module_proof.trial import first_ahead, formula_of, measured
from mediaconv.errors import UsageError
from mediaconv.nn.streaming.protocol import Streamable, each_child, layer_kind, leaves
from mediaconv.nn.summary.receptive_field import exact_copy


@dataclass(frozen=True)
class Leak:
    """A layer whose outputs read later inputs.

    layer: where it stands and what it is. lookahead: in its own input steps; None: to the end.
    formula: what it says of itself; None: to the end, or nothing.
    """

    layer: str
    lookahead: int | None
    formula: int | None


CHANNELS_FIRST = ("conv", "pooling", "instancenorm", "padding", "upsampling")
"""Modules of torch.nn whose layers take (N, C, ...); in others, such as Linear, time may be another axis."""

Shapes = tuple[tuple[int, ...], tuple[int, ...]]
"""Of what went into a layer and of what came out."""


def leaking_layers(
    module: nn.Module,
    probed: ProbeShape,
    labels: Mapping[str, str],
    whole: tuple[int | None, int | None],
) -> list[Leak]:
    """Every layer that looks ahead when it is run alone; the module itself where none of its layers does.

    whole: what was measured of the module and what its formula says, which is so of an only layer.
    """
    only = list(_layers(module))
    if len(only) == 1 and isinstance(only[0][1], Streamable):
        return [Leak(label_of(*only[0], labels), *whole)]
    seen: dict[str, Shapes] = {}
    copy = exact_copy(module)
    parts = list(_layers(copy))
    inner = {name: list(_inside(layer, name)) for name, layer in parts}
    watched = [*parts, *(part for parts_of in inner.values() for part in parts_of)]
    x = example(copy, probed)  # before there are hooks, under which nothing is known of a layer
    hooks = [layer.register_forward_hook(_remember(seen, name)) for name, layer in watched]
    try:
        with torch.no_grad():
            copy(x)
    finally:
        for hook in hooks:
            hook.remove()

    def leak_of(name: str, layer: nn.Module) -> Leak | None:
        taken, _ = seen.get(name, ((), ()))
        if len(taken) != probed.dims + 2:
            return None
        return _leak_of(layer, replace(probed, channels=taken[1]), label_of(name, layer, labels))

    def keeps_time(name: str) -> bool:
        """What shortens time may pad elsewhere: alone, its outputs stand at other times than in the model."""
        taken, returned = seen.get(name, ((), ()))
        dim = probed.order_axes[0] + 2
        return len(taken) == len(returned) == probed.dims + 2 and returned[dim] >= taken[dim]

    leaks: list[Leak] = []
    for name, layer in parts:
        leak = leak_of(name, layer)
        if leak is not None:
            leaks += _innermost([part for part in inner[name] if keeps_time(part[0])], leak_of) or [leak]
    if leaks:
        return leaks
    own = _leak_of(copy, probed, f"{type(module).__name__} as a whole: none of its layers alone")
    return [own] if own is not None else []


def _innermost(
    parts: Sequence[tuple[str, nn.Module]], leak_of: Callable[[str, nn.Module], Leak | None]
) -> list[Leak]:
    """The leaks of the smallest parts that look ahead when they are run alone."""
    leaks: dict[str, Leak] = {}
    for name, layer in reversed(parts):  # what is inside a part comes after it
        if any(deeper.startswith(f"{name}.") for deeper in leaks):
            continue
        try:
            leak = leak_of(name, layer)
        except (UsageError, RuntimeError, ValueError):  # it may want more than a tensor, or a fixed size
            continue
        if leak is not None:
            leaks[name] = leak
    return list(leaks.values())[::-1]


def _layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Path and module of every layer proper; what holds layers in a way of its own counts as one."""
    if isinstance(module, Streamable) or not isinstance(module, nn.Sequential):
        yield from leaves(module, name)
        return
    for part, child in each_child(module):
        yield from _layers(child, f"{name}.{part}" if name else part)


def _inside(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The parts, at any depth, of a layer that holds them in a way of its own, if they may be run alone."""
    if isinstance(module, Streamable):
        return
    for path, part in module.named_modules(remove_duplicate=False):
        home = type(part).__module__
        of_torch = home.startswith("torch.nn") and not isinstance(part, nn.GroupNorm)
        if path and not (of_torch and home.rpartition(".")[2] not in CHANNELS_FIRST):
            yield (f"{name}.{path}" if name else path), part


def _remember(seen: dict[str, Shapes], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple, output: object) -> None:
        if args and isinstance(args[0], Tensor):
            seen[name] = tuple(args[0].shape), tuple(output.shape) if isinstance(output, Tensor) else ()

    return hook


def _leak_of(layer: nn.Module, probed: ProbeShape, label: str) -> Leak | None:
    if by_layers(layer, probed):
        return None
    layer = as_tried(layer, probed)
    reads = measured(layer, probed).reads
    ahead, _ = first_ahead(reads, probed)
    if ahead == 0:
        return None
    formula, _ = formula_of(layer, probed, reads)
    return Leak(label, ahead, formula)


def label_of(name: str, layer: nn.Module, labels: Mapping[str, str]) -> str:
    """What a layer is called: its own label, otherwise that of the layer it lies in and its path there."""
    parts = name.split(".")
    holders = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
    holder = next((path for path in holders if path in labels), "")
    label = labels[holder] + name[len(holder) :] if holder else name
    return f"{label} ({layer_kind(layer)})" if label else layer_kind(layer)
