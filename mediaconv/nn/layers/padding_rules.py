"""How a layer pads: its window along each axis from kernel, stride, dilation and padding. No tensors here."""

from __future__ import annotations

from collections.abc import Sequence

from mediaconv.nn.geometry import Window, same_padding

Ints = int | Sequence[int]
Padding = str | int | Sequence[int | str]

ALIGNMENTS = ("strict", "block")


def standard_windows(
    kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding: Padding
) -> list[Window]:
    """Windows of a standard layer.

    padding: "same" (left `(e-1)//2`, right the rest, with any stride), "valid", a number, or one of these
    per axis.
    """
    dims = len(kernel)
    each: Sequence[int | str] = [padding] * dims if isinstance(padding, str | int) else list(padding)
    if len(each) != dims:
        raise ValueError(f"padding: got {len(each)} entries, expected one or {dims}, one per axis")
    windows = []
    for k, s, d, p in zip(kernel, stride, dilation, each, strict=True):
        if p == "same":
            left, right = same_padding(k, d)
        elif p == "valid":
            left = right = 0
        elif isinstance(p, str):
            raise ValueError(
                f"padding: got {p!r}, expected 'same', 'valid', a number, or one of these per axis"
            )
        else:
            left = right = p
        if min(k, s, d) < 1 or left < 0:
            raise ValueError(
                f"kernel_size {k}, stride {s}, dilation {d}: expected at least 1; padding {left}: at least 0"
            )
        windows.append(Window(k, s, d, left, right))
    return windows


def causal_window(kernel: int, stride: int, dilation: int, *, mode: str, alignment: str = "strict") -> Window:
    """The window along the causal axis, before masking: `pad`, or `mask` with its standard padding.

    alignment: `strict` (output j sees inputs <= j*stride) or `block` (<= j*stride + stride - 1).
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f"alignment: got {alignment!r}, expected one of {', '.join(ALIGNMENTS)}")
    extent = (kernel - 1) * dilation + 1
    if mode != "pad":
        return Window(kernel, stride, dilation, *same_padding(kernel, dilation))
    if alignment == "block":
        return Window(kernel, stride, dilation, extent - stride, stride - 1)
    return Window(kernel, stride, dilation, extent - 1, 0)


def causal_axes(time_axis: Ints, dims: int, padding: Padding = "same") -> tuple[int, ...]:
    """The causal axes, checked. Raises ValueError where one is not there or its padding is a number."""
    axes = (time_axis,) if isinstance(time_axis, int) else tuple(time_axis)
    each = [padding] * dims if isinstance(padding, str | int) else list(padding)
    for axis in axes:
        if not 0 <= axis < dims:
            raise ValueError(f"time_axis: got {time_axis}, expected 0 to {dims - 1}")
        if len(each) == dims and not isinstance(each[axis], str):
            raise ValueError(
                f"padding: got {each[axis]!r} on causal axis {axis}, whose padding follows from the kernel; "
                "use 'same'"
            )
    return axes
