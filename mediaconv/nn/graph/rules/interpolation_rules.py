"""Interpolation along the stream by whole factors, to a half, a quarter, ...; across other axes as it was.

Other resizing reads no window that is the same everywhere: its input is held to the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import STREAM
from mediaconv.nn.graph.graph_values import STREAMED, Value
from mediaconv.nn.graph.lengths.conditions import Conditions
from mediaconv.nn.graph.lengths.length_words import described
from mediaconv.nn.graph.maps import GraphMap
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.into_past import padded_before, shortened
from mediaconv.nn.graph.rules.window_rules import layered, slide, window_dims
from mediaconv.nn.graph.steps.end_steps import Held
from mediaconv.nn.graph.steps.graph_step import Local
from mediaconv.nn.graph.symbols import evaluate, expression
from mediaconv.nn.layers import resize

aten = torch.ops.aten
LONG_STEPS = 1 << 20
"""How much longer than the example a long input is."""


@rule(
    aten.upsample_nearest1d, aten.upsample_nearest2d, aten.upsample_nearest3d, aten._upsample_nearest_exact1d,
    aten._upsample_nearest_exact2d, aten._upsample_nearest_exact3d, aten.upsample_linear1d,
    aten.upsample_bilinear2d, aten.upsample_trilinear3d, aten.upsample_bicubic2d,
    aten._upsample_bilinear2d_aa,
)  # fmt: skip
def interpolate(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x_node: fx.Node = a["input"] if "input" in a else a["self"]
    x = an.value(x_node)
    value = node.meta["val"]
    if x.dim == 0:
        sizes = f"[{', '.join(an.size_code(s) for s in value.shape[2:])}]"
        if any(an.streams(s) for s in value.shape[2:]):
            raise RefusalError("its size depends on the stream's")
        code = an.call_code(node, {x_node: x}) if a.get("output_size") is None else None
        code = code or an.call_code(node, {x_node: x}, output_size=sizes)
        return an.local(node, window_dims(an, node, x), {x_node: x}, code)
    if x.dim == 1:
        raise RefusalError("the stream is its channels")
    try:
        return _by_windows(an, node, a, x_node)
    except NoWindowError as why:
        if an.into_past:
            raise
        return _of_whole(an, node, x_node, str(why))


class NoWindowError(RefusalError):
    """An interpolation of which an output reads no window that is the same everywhere and at every length."""


def _of_whole(an: Analysis, node: fx.Node, x_node: fx.Node, why: str) -> Value:
    """The model's own interpolation, of the whole at the end."""
    x = an.sole(an.value(x_node))
    out, slot = an.slot(), an.slot()
    an.note_whole(why)
    an.steps.append(Held(slot, x.slot, x.dims, x.dtype))
    code = an.call_code(node, {x_node: replace(x, slot=slot)})
    an.steps.append(Local(out, an.function(code), slot))
    value = node.meta["val"]
    size = expression(value.shape[x.dim])  # type: ignore[index]
    return Value(out, STREAMED, window_dims(an, node, x), value.dtype, an.made_at_end(size))


def _by_windows(an: Analysis, node: fx.Node, a: dict[str, Any], x_node: fx.Node) -> Value:
    x = an.sole(an.value(x_node))
    value = node.meta["val"]
    n = len(x.dims) - 2
    now = x_node.meta["val"].shape
    scales = []
    for d in range(2, n + 2):
        before, after = an.size(now[d]), an.size(value.shape[d])
        if after < before and d == x.dim:
            return _reduced(an, node, x, a, x_node)
        if after % before and d == x.dim:
            raise NoWindowError(_uneven(an, now[d], value.shape[d]))
        scales.append(after // before if after % before == 0 else 0)
    if a.get("align_corners"):
        raise NoWindowError("align_corners=True depends on the whole length")
    axis = x.dim - 2  # type: ignore[operator]
    factors = a.get("scale_factors")
    if factors is not None and factors[axis] != scales[axis]:
        raise NoWindowError(f"it resizes the stream axis by {factors[axis]:.4g}, no whole factor")
    scale = scales[axis]
    if "nearest" in str(node.target):
        return _nearest(an, node, x, value, scale, factors is None)
    if "bicubic" in str(node.target) or "_aa" in str(node.target):
        raise NoWindowError("bicubic and antialiased interpolation are not known along the stream")
    if 0 in scales:
        raise NoWindowError("it resizes by factors of which one is not whole")
    layer = (
        resize.Upsample1d(scale, "linear")
        if n == 1
        else getattr(resize, f"Upsample{n}d")(tuple(scales), "linear")
    )
    if an.into_past:
        y = shortened(an, layered(an, node, padded_before(an, x, 1, 1, mode="replicate"), layer), scale)
    else:
        y = layered(an, node, x, layer)
    return y if factors is not None else bounded(an, node, y, value.shape[x.dim], scale)


def _uneven(an: Analysis, before: Any, after: Any) -> str:
    """Why a size is no whole factor times another, and at which lengths it is."""
    ratio = an.size(after) / an.size(before)
    why = f"it resizes the stream axis by {ratio:.4g} here, no whole factor"
    even = sympy.Eq(expression(after), _long_factor(an, before, after) * expression(before))
    lengths = Conditions([even], an.captured.sizes, an.stream_dim)
    words = described(lengths, range(len(lengths.all)), an.shape)
    return why if words.startswith(("T ", "1 ")) else f"{why} (at lengths {words} it is one)"


def _long_factor(an: Analysis, before: Any, after: Any) -> int:
    """The whole factor that is nearest to how many times as large a size is as another at long lengths: a
    short one may be off by more than a half.
    """
    sizes = an.captured.sizes
    lengths = list(an.shape)
    lengths[an.stream_dim] += LONG_STEPS * sizes[an.stream_dim].factor
    known = {
        str(size.symbol): size.value(length)
        for size, length in zip(sizes, lengths, strict=True)
        if size.symbol
    }
    factor: int = round(evaluate(expression(after), known) / evaluate(expression(before), known))
    return factor


def _reduced(an: Analysis, node: fx.Node, x: Value, a: dict[str, Any], x_node: fx.Node) -> Value:
    """Interpolation to a half, a quarter, ...: an output reads inputs of those that it stands for alone."""
    axis = x.dim - 2  # type: ignore[operator]
    factors = a.get("scale_factors")
    parts = round(1 / factors[axis]) if factors else 0
    one = "nearest" in str(node.target) and "exact" not in str(node.target)
    if not factors or parts.bit_count() != 1 or factors[axis] * parts != 1:
        raise NoWindowError(
            "it resizes the stream axis to less, to another tensor's size or by another factor than 1/2, "
            "1/4, ... (a convolution or pool with a stride does this at every length)"
        )
    if a.get("align_corners") or "bicubic" in str(node.target) or "_aa" in str(node.target):
        raise NoWindowError("align_corners=True, bicubic and antialiased interpolation read past a window")
    window = Window(1, parts, right=1 - parts) if one else Window(parts, parts)
    if an.into_past and not one:
        raise RefusalError("it means inputs of which the last come later")
    code = an.call_code(node, {x_node: x}).replace(f"e[{x.slot}]", "h", 1)
    scaled = an.function(f"{an.name(_padded_to)}(h, {x.dim}, {parts})" if one else "h", "h")
    code = code.replace("(h,", f"({an.name(scaled)}(h),", 1)
    return slide(an, node, x, window, an.function(code, "h, e"))


def _padded_to(h: Tensor, dim: int, parts: int) -> Tensor:
    """Whole parts: the last output's inputs after the one that it reads are missing."""
    missing = -h.shape[dim] % parts
    return torch.cat(
        [h, h.narrow(dim, 0, 1).expand(*[missing if d == dim else -1 for d in range(h.ndim)])], dim
    )


def _nearest(an: Analysis, node: fx.Node, x: Value, value: Tensor, scale: int, sized: bool) -> Value:
    dims = list(window_dims(an, node, x))
    at: int = x.dim  # type: ignore[assignment]
    sizes = [
        an.size_code(s) if d != at else f"e[{x.slot}].shape[{at}]*{scale}" for d, s in enumerate(value.shape)
    ]
    exact = "nearest-exact" if "exact" in str(node.target) else "nearest"
    code = f"{an.name(F.interpolate)}(e[{x.slot}], [{', '.join(sizes[2:])}], mode={exact!r})"
    if scale > 1:
        dims[at] = (STREAM, scale)
    y = an.local(node, tuple(dims), {node: x}, code)
    return bounded(an, node, an.sole(y), value.shape[at], scale) if sized else y


def bounded(an: Analysis, node: fx.Node, y: Value, size: Any, scale: int) -> Value:
    """A size that was asked for must be the factor times the input's: lengths where it is not are refused."""
    if _as_asked(an, y, size):
        return y
    if scale < 2:
        raise NoWindowError("it resizes the stream axis to another tensor's size, by no whole factor")
    before = expression((node.args[0]).meta["val"].shape[y.dim])  # type: ignore[union-attr,index]
    an.conditions.append(sympy.Eq(expression(size), scale * before))
    return y


def _as_asked(an: Analysis, y: Value, size: Any) -> bool:
    """Whether a value has the size that was asked for, at lengths of every remainder."""
    expr = an.function(an.size_code(size))
    total = an.size(an.captured.x.meta["val"].shape[an.stream_dim])
    lengths = GraphMap(y.node).output_length  # type: ignore[arg-type]
    step = an.captured.sizes[an.stream_dim].factor
    try:
        return all(lengths(t) == int(expr((), 1, t, None)) for t in range(total, total + 40 * step, step))
    except ValueError:  # what it is made of has such conditions itself
        return False
