"""The size formula of one layer with its numbers put in, axis by axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mediaconv.nn.composed_maps import Whole
from mediaconv.nn.geometry import AxisMap, Transposed, Window
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.nn.summary.sliding import reaches, slides, tap_mask
from mediaconv.nn.summary.trace_rows import Row


def explain(row: Row, axes: Sequence[str]) -> str:
    """How a layer's output gets its size. axes: "channels" and the names of the others."""
    lines = [f"layer {row.name}: {row.layer}"]
    lines.append(f"  {axes[0]}: {row.before[0]} in, {row.after[0]} out")
    if row.moves:
        return "\n".join([*lines, *(f"  {line}" for line in row.moves)]) + "\n"
    mode = getattr(row.module, "padding_mode", "zeros")
    for axis, name in enumerate(axes[1:]):
        length, out = row.before[axis + 1], row.after[axis + 1]
        lines += [f"  {line}" for line in _axis(name, _uncropped(row, axis), length, out)]
    if isinstance(mode, str) and any("padding" in line for line in lines):
        filled = "minus infinity" if getattr(row.module, "fill", 0.0) == -math.inf else mode
        lines.append(f"  padding is filled with {filled}")
    return "\n".join(lines) + "\n"


def _uncropped(row: Row, axis: int) -> AxisMap:
    """The layer's map with its whole kernel: a masked layer's own is cropped to the taps that are left."""
    moved = axis_map(row.module, axis)
    if not slides(row.module) or not isinstance(moved, Window):
        return moved
    whole = reaches(row.module, tap_mask(row.module), row.before[1:], row.after[1:])[axis]
    return replace(moved, kernel=whole.kernel, left=whole.left, right=whole.right)


def _axis(name: str, moved: AxisMap, length: int, out: int) -> list[str]:
    moved = moved.inner if isinstance(moved, Whole) else moved
    if isinstance(moved, Window):
        return _window(name, moved, length, out)
    if isinstance(moved, Transposed):
        return _transposed(name, moved, length, out)
    if moved.total_stride == 1 and out == length:
        return [f"{name}: {length} in, {out} out; the size does not change"]
    return [f"{name}: {length} in, {out} out; {moved.total_stride} input steps an output step"]


def _window(name: str, w: Window, length: int, out: int) -> list[str]:
    rounding = "ceil" if w.ceil else "floor"
    return [
        f"{name}: {rounding}((length + padding left + padding right "
        "- dilation * (kernel - 1) - 1) / stride) + 1",
        f"{' ' * len(name)}  = {rounding}(({length} + {_signed(w.left)} + {_signed(w.right)} "
        f"- {w.dilation} * ({w.kernel} - 1) - 1) / {w.stride}) + 1 = {out}",
    ]


def _transposed(name: str, t: Transposed, length: int, out: int) -> list[str]:
    return [
        f"{name}: (length - 1) * stride + dilation * (kernel - 1) + 1 - cut left - cut right",
        f"{' ' * len(name)}  = ({length} - 1) * {t.stride} + {t.dilation} * ({t.kernel} - 1) + 1 - "
        f"{_signed(t.left)} - {_signed(t.right)} = {out}",
    ]


def _signed(value: int) -> str:
    return f"({value})" if value < 0 else str(value)
