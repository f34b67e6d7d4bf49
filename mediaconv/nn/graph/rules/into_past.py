"""The causal twin of a captured model: every window along the stream moved into the past, same weights.

What pads on the right pads on the left, what a transposed convolution cuts off at its start is cut off at its
end, a pool reads what came. Lengths stay. Whether nothing reads ahead any more is told by the graph's map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, fx

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.graph_values import Value
from mediaconv.nn.graph.steps.window_steps import Sliding


def moved_window(an: Analysis, node: fx.Node, window: Window) -> Window:
    """A convolution's window where the twin has it; one without padding of its own stays."""
    if not an.into_past:
        return window
    total, past = window.left + window.right, window.extent - 1
    if total and total >= window.extent - window.stride:
        left = max(total, past)
        return Window(window.kernel, window.stride, window.dilation, left, total - left)
    if past:
        an.ahead[node] = f"its {window.extent} steps have {total} of padding"
    return window


def uncut(an: Analysis, numbers: Sequence[list[int]], axis: int) -> int:
    """Let a transposed convolution cut nothing; how much is to be cut at its end. numbers are changed."""
    if not an.into_past:
        return 0
    _, padding, output_padding = numbers
    cut = 2 * padding[axis] - output_padding[axis]
    padding[axis], output_padding[axis] = 0, max(0, -cut)
    return max(0, cut)


def trimmed(an: Analysis, y: Value, cut: int) -> Value:
    """A transposed convolution's result, cut at its end; a slice that follows cuts there, too."""
    y = _slid(an, y, Window(1, left=0, right=-cut)) if cut else y
    an.untrimmed.add(y.slot)
    return y


def padded_before(
    an: Analysis, x: Value, left: int, total: int, fill: float = 0.0, mode: str = "zeros"
) -> Value:
    """A stream padded at its start, its end padded or cut so that `total` steps are added in all."""
    return _slid(an, x, Window(1, left=left, right=total - left), fill, mode) if left or total else x


def shortened(an: Analysis, y: Value, steps: int) -> Value:
    """A stream without its last steps."""
    return _slid(an, y, Window(1, left=0, right=-steps))


def _slid(an: Analysis, x: Value, window: Window, fill: float = 0.0, mode: str = "zeros") -> Value:
    out = an.slot()
    an.steps.append(Sliding(out, x.slot, x.dims, x.dtype, window, _copied, mode, fill))
    return replace(x, slot=out, node=an.after(x, window))


def _copied(held: Tensor, e: list[Any]) -> Tensor:
    return held.clone()
