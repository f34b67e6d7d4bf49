"""A stack of a configuration as one module, and each layer where it lies in it. Weights come later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import nn

import mediaconv.nn as mnn
from mediaconv.errors import UsageError
from mediaconv.layers.layer_spec import BuildContext, LayerSpec
from mediaconv.nn.streaming.protocol import axis_map

_LONG = 2**26
"""Longer than any layer's window, so that no branch ends for want of input."""
_LENGTHS = 240
"""Lengths tried: strides of up to so many agree for one of them where they ever do."""


@dataclass(frozen=True)
class BoundLayer:
    """A layer where it lies in a stack.

    name: of its module in the stack ("1.layers.0"). rate_hz: steps of the stream axis a second at its input.
    """

    spec: LayerSpec
    module: nn.Module
    name: str
    rate_hz: float | None


def build_layer(spec: LayerSpec, context: BuildContext) -> nn.Module:
    """The module of one layer, with torch's own weights. Raises UsageError naming the layer."""
    path = f"{context.path}.{spec.name}"
    try:
        context.budget.add_weights(spec.weight_count(context), path)
        module = spec.build(context)
        context.signal.after(module)
        if any(layers for _, layers, _ in spec.inner()):
            _check_lengths(module, context.dims)
        else:
            context.budget.add_layer(module, context.signal, path)
    except (ValueError, RuntimeError, TypeError) as error:
        if "allocate memory" in str(error):
            raise UsageError(f"{path}: its weight does not fit in this machine's memory") from error
        raise UsageError(f"{path}: {error}") from error
    return module


def _check_lengths(module: nn.Module, dims: int) -> None:
    """Raise ValueError where branches of a module give unequal lengths for each of many inputs."""
    for axis in range(dims):
        reads = axis_map(module, axis)
        for length in range(_LONG, _LONG + _LENGTHS):
            try:
                reads.output_length(length)
                break
            except ValueError:
                if length == _LONG + _LENGTHS - 1:
                    raise


def build_sequence(layers: Sequence[LayerSpec], context: BuildContext) -> mnn.Sequential:
    """Layers one after the other, channels following from what comes before."""
    modules: list[nn.Module] = []
    signal = context.signal
    for i, spec in enumerate(layers):
        module = build_layer(spec, replace(context, signal=signal, path=f"{context.path}[{i}]"))
        signal = signal.after(module)
        modules.append(module)
    return mnn.Sequential(*modules)


def iter_bound_layers(
    layers: Sequence[LayerSpec], modules: nn.Module, *, prefix: str = "", rate_hz: float | None = None
) -> Iterator[BoundLayer]:
    """Layers of a configuration beside their modules; those inside a layer follow the one that holds them."""
    for spec, (key, module) in zip(layers, modules.named_children(), strict=True):
        name = prefix + key
        yield BoundLayer(spec, module, name, rate_hz)
        for _, inner, part in spec.inner():
            if inner:
                inside = module.get_submodule(part)
                yield from iter_bound_layers(inner, inside, prefix=f"{name}.{part}.", rate_hz=rate_hz)
        if rate_hz is not None:
            rate_hz /= float(axis_map(module).total_stride)
