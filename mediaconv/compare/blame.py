"""Which layer looks ahead: every layer of a module run alone. Measures by `trial`, decides nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mediaconv.compare.probe import exact_copy
from mediaconv.compare.trial import Setting, example, first_ahead, formula_of, measured
from mediaconv.nn.layer import Streamable, leaves


@dataclass(frozen=True)
class Leak:
    """A layer whose outputs read later inputs.

    layer: where it stands and what it is. look_ahead: in its own input steps; None: to the end.
    formula: what it says of itself; None: to the end, or nothing.
    """

    layer: str
    look_ahead: int | None
    formula: int | None


def blame(module: nn.Module, setting: Setting, labels: Mapping[str, str]) -> list[Leak]:
    """Every layer that looks ahead when it is run alone; the module itself where none of its layers does."""
    seen: dict[str, tuple[int, ...]] = {}
    copy = exact_copy(module)
    parts = list(_layers(copy))
    hooks = [layer.register_forward_hook(_remember(seen, name)) for name, layer in parts]
    try:
        run_once(copy, setting)
    finally:
        for hook in hooks:
            hook.remove()
    leaks = []
    for name, layer in parts:
        if name not in seen or len(seen[name]) != setting.dims + 2:
            continue
        leak = _leak_of(
            layer, Setting(seen[name][1], setting.dims, setting.order_axes), _label(name, layer, labels)
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


def run_once(copy: nn.Module, setting: Setting) -> None:
    with torch.no_grad():
        copy(example(copy, setting))


def _remember(seen: dict[str, tuple[int, ...]], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple, output: object) -> None:
        if args and isinstance(args[0], Tensor):
            seen[name] = tuple(args[0].shape)

    return hook


def _leak_of(layer: nn.Module, setting: Setting, label: str) -> Leak | None:
    reads, _, _ = measured(layer, setting)
    ahead, _ = first_ahead(reads, setting)
    if ahead == 0:
        return None
    formula, _ = formula_of(layer, setting, reads)
    return Leak(label, ahead, formula)


def _label(name: str, layer: nn.Module, labels: Mapping[str, str]) -> str:
    place = labels.get(name, name)
    return f"{place} ({type(layer).__name__})" if place else type(layer).__name__
