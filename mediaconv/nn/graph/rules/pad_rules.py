"""Padding along the stream as a step, and across other axes as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, size_factors
from mediaconv.nn.graph.graph_values import STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.window_rules import needs_stream
from mediaconv.nn.graph.steps.window_steps import Sliding

aten = torch.ops.aten


@dataclass(frozen=True)
class Padded:
    """A stream that a step pads: as it was, how much, the mode, the right padding by length.

    A convolution of it pads in its own step instead, which saves a copy of the stream; in a causal twin it is
    moved with this padding.
    """

    value: Value
    window: Window
    mode: str
    right: Any

    def joins(self, window: Window) -> bool:
        """Whether one step can do both: zeros add up, copies of the stream's ends and cuts do not."""
        own = (window.left, window.right)
        if own == (0, 0):
            return True
        return self.mode == "zeros" and self.right is None and min(self.window.left, self.window.right) >= 0

    def joined(self, window: Window) -> tuple[Window, dict[str, Any]]:
        """Both as one window, and the step's other settings."""
        left, right = self.window.left + window.left, self.window.right + window.right
        return replace(window, left=left, right=right), {"mode": self.mode, "right": self.right}


def number(an: Analysis, amount: Any) -> int:
    """What is padded in front; where it follows from the input's length, the capture is for its phase."""
    if not isinstance(amount, fx.Node):
        return int(amount)
    value = amount.meta["val"]
    return an.phase(value) if an.streams(value) else an.size(value)


PAD_MODES = {"constant": "zeros", "replicate": "replicate", "reflect": "reflect"}


@rule(
    aten.pad, aten.constant_pad_nd, aten.reflection_pad1d, aten.reflection_pad2d, aten.reflection_pad3d,
    aten.replication_pad1d, aten.replication_pad2d, aten.replication_pad3d,
)  # fmt: skip
def pad(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    amounts = list(a["pad"] if "pad" in a else a["padding"])
    name = str(node.target)
    mode = a.get("mode") or (
        "reflect" if "reflection" in name else "replicate" if "replication" in name else "constant"
    )
    value = a.get("value") or 0.0
    if mode not in PAD_MODES:
        raise RefusalError(f"padding of mode {mode} reads the end of the input at its start")
    while len(amounts) < 2 * len(x.dims):
        amounts += [0, 0]
    pairs = [(amounts[2 * i], amounts[2 * i + 1]) for i in range(len(x.dims))][::-1]
    left, right = pairs[x.dim]  # type: ignore[index]
    others = [(0, 0) if d == x.dim else p for d, p in enumerate(pairs)]
    if any(p != (0, 0) and BATCH in x.dims[d] for d, p in enumerate(others)):
        raise RefusalError("it pads the batch")
    if any(p != (0, 0) for p in others):
        x = _pad_others(an, node, a, x, others, mode, value)
    if (left, right) == (0, 0):
        return x
    x = an.sole(x)
    needs_stream(an, x)
    before = number(an, left)
    function, after = None, right
    if isinstance(right, fx.Node):
        after = an.size(right.meta["val"])
        if an.streams(right.meta["val"]):
            if an.into_past:  # moved to the start, where it is for one phase of the length
                after = an.phase(right.meta["val"])
            else:
                least, most, function = an.amount(right.meta["val"])
                after = most if least >= 0 else least  # what may be cut is waited for
    copies = mode != "constant"
    stated = window = Window(1, left=before, right=after, mirrored=mode == "reflect")
    if an.into_past and after > 0:
        window = replace(window, left=before + after, right=0)
    if an.into_past and mode == "reflect" and window.left > 0:
        raise RefusalError(
            "reflection at the start reads what comes later: a causal twin needs zeros or the edge there "
            "(a padding_mode, or pad_mode='constant' of stft)"
        )
    out = an.slot()
    step_ = Sliding(
        out, x.slot, x.dims, x.dtype, window, _copy if copies else _same, PAD_MODES[mode], value, function
    )
    an.steps.append(step_)
    if step_.fill == 0:
        an.padded[out] = Padded(x, stated, PAD_MODES[mode], function)
    length = None
    if function is not None:
        length = lambda total, each: each[0] - after + int(function((), 1, total, None))  # noqa: E731
    return Value(out, STREAMED, x.dims, x.dtype, an.after(x, window, length=length))


def _same(held: Tensor, e: list[Any]) -> Tensor:
    return held


def _copy(held: Tensor, e: list[Any]) -> Tensor:
    return held.clone()


def _pad_others(
    an: Analysis,
    node: fx.Node,
    a: dict[str, Any],
    x: Value,
    pairs: Sequence[tuple[Any, Any]],
    mode: str,
    value: Any,
) -> Value:
    dims = list(x.dims)
    flat: list[str] = []
    for d in reversed(range(len(dims))):
        flat += (an.code(amount, {}) for amount in pairs[d])
        if pairs[d] != (0, 0):
            dims[d] = size_factors(an.size(node.meta["val"].shape[d]))
    while len(flat) > 2 and flat[-2:] == ["0", "0"]:
        flat = flat[:-2]
    if mode != "constant":  # torch's other modes take one to three axes by the tensor's
        while len(flat) // 2 < len(dims) - 2:
            flat += ["0", "0"]
    function = an.name(F.pad)
    last = f", value={value!r}" if mode == "constant" else ""
    code = f"{function}(e[{x.slot}], [{', '.join(flat)}], {mode!r}{last})"
    return an.local(node, tuple(dims), {a["self"]: x}, code)
