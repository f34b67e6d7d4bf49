"""Questions to a whole model: what its outputs read, which layers look ahead, which cannot stream.

A model may have torch's own layers in it: known ones are converted before they are asked.
"""

from __future__ import annotations

from torch import nn

from mediaconv.nn.convert import convert
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import (
    BATCH_NORMS,
    RANDOM,
    Streamable,
    axis_map,
    count_axes,
    is_pointwise,
    leaves,
)

MOST_AXES = 3


def streams(module: nn.Module) -> bool:
    """Whether all of a module streams as it is."""
    return all(isinstance(layer, Streamable) or is_pointwise(layer) for _, layer in leaves(module))


def streaming_twin(module: nn.Module) -> nn.Module:
    """The module itself where all of it streams, else its twin, to be asked and not to be run.

    Raises TypeError naming a layer that neither streams nor is known.
    """
    return module if streams(module) else convert(module)


def geometry(module: nn.Module, axis: int = 0) -> AxisMap:
    """Latency, look-back, receptive field, stride and output length of any stack along any axis.

    module: layers of this package, torch's own that `to_streaming` knows, or both.
    axis: counts the axes after the channels: 0 is samples, frames or rows.
    Raises TypeError naming a layer that cannot stream, ValueError for an axis that is not there.

    >>> from mediaconv.nn import Conv2d
    >>> geometry(Conv2d(1, 1, (3, 5), padding="same"), axis=1).receptive_field
    5
    """
    module = streaming_twin(module)
    most = count_axes(module) or MOST_AXES
    if not 0 <= axis < most:
        raise ValueError(f"axis: got {axis}, expected 0 to {most - 1}; it counts the axes after the channels")
    return axis_map(module, axis)


def noncausal_layers(module: nn.Module, axis: int = 0) -> list[tuple[str, nn.Module, int | float]]:
    """Every layer that reads the future along an axis: its path, itself and how many of its inputs ahead.

    `math.inf` is a layer that needs the whole input (a norm over time). What `alignment="block"` reads,
    up to stride-1 inputs, was asked for and is not listed.
    """
    layers = []
    for name, layer in leaves(streaming_twin(module)):
        ahead = axis_map(layer, axis).latency
        allowed = axis_map(layer, axis).total_stride - 1 if getattr(layer, "alignment", "") == "block" else 0
        if ahead > allowed:
            layers.append((name, layer, ahead))
    return layers


def check_eval(module: nn.Module) -> None:
    """Raise ValueError for a layer whose training mode cannot stream: dropout, or statistics of the batch."""
    for name, layer in leaves(module):
        if not layer.training:
            continue
        random = isinstance(layer, RANDOM) and getattr(layer, "p", 1) > 0
        if random or isinstance(layer, BATCH_NORMS):
            where = f"{name}: " if name else ""
            raise ValueError(
                f"{where}{type(layer).__name__} in training mode cannot stream: call .eval() first"
            )
