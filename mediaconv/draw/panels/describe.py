"""A convolution in words: its name, and its parameters in one line."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mediaconv.nn.layers.padding_rules import causal_axes
from mediaconv.nn.summary.sliding import is_transposed, reaches, tap_mask

_WORDS = (("kernel", "kernel_size"), ("stride", "stride"), ("dilation", "dilation"))


def describe(layer: nn.Module) -> tuple[str, str]:
    """A layer's name and its parameters, in two lines.

    >>> from mediaconv.nn import CausalConv1d
    >>> describe(CausalConv1d(1, 2, 3, dilation=2))
    ('CausalConv1d (pad)', 'kernel 3 · stride 1 · dilation 2 · padding 4 left, 0 right · channels 1 to 2')
    """
    name = type(layer).__name__
    mode = getattr(layer, "mode", None)
    kernel = tuple(layer.kernel_size)  # type: ignore[arg-type]
    if mode == "raster":
        name += f" (raster, type {layer.raster_type})"
    elif layer.causal:
        time = {2: ("rows", "columns")}.get(len(kernel))
        axes = [time[axis] for axis in causal_axes(layer.time_axis, 2)] if time else []  # type: ignore[arg-type]
        where = f", time along the {' and '.join(axes)}" if axes else ""
        name += f" ({mode or 'causal'}{where})"
    parts = [f"{word} {_times(getattr(layer, key))}" for word, key in _WORDS]
    parts.append(f"{'cut' if is_transposed(layer) else 'padding'} {_padding_text(layer)}")
    if layer.groups != 1:
        parts.append(f"groups {layer.groups}")
    parts.append(f"channels {layer.in_channels} to {layer.out_channels}")
    return name, " · ".join(parts)


def _times(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))


def _padding_text(layer: nn.Module) -> str:
    dims = len(layer.kernel_size)  # type: ignore[arg-type]
    axes = reaches(layer, tap_mask(layer), (1,) * dims, (1,) * dims)
    mode = str(getattr(layer, "padding_mode", "zeros"))
    suffix = "" if mode == "zeros" else f" ({mode})"
    if dims == 1:
        return f"{axes[0].left} left, {axes[0].right} right{suffix}"
    return " × ".join(f"{a.left}+{a.right}" for a in axes) + suffix
