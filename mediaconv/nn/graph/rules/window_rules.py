"""Windows along the stream: convolutions, pools, unfolding; across other axes as they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from mediaconv.nn.backends.packed_weight import PackedTransposedWeight, PackedWeight, convolve_packed
from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Dims, size_factors
from mediaconv.nn.graph.graph_values import CONSTANT, STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.into_past import moved_window, padded_before, trimmed, uncut
from mediaconv.nn.graph.rules.local_rules import over_whole
from mediaconv.nn.graph.steps.graph_step import Late
from mediaconv.nn.graph.steps.window_steps import Layered, Sliding
from mediaconv.nn.layers import pooling, transposed
from mediaconv.nn.streaming.protocol import Streamable

aten = torch.ops.aten


def per_axis(value: Any, dims: int) -> list[int]:
    """One number an axis."""
    values = [value] if isinstance(value, int) else list(value)
    return values * dims if len(values) == 1 else values


def window_dims(an: Analysis, node: fx.Node, x: Value) -> Dims:
    """Dimensions of a windowed result: sizes as the graph has them, batch and stream where they were."""
    out: list[tuple[int | str, ...]] = []
    value = node.meta["val"]
    value = value if isinstance(value, Tensor) else value[0]
    for d, size in enumerate(value.shape):
        if d == 0 and not (an.single or BATCH in x.dims[0] or STREAM in x.dims[0]):
            raise RefusalError("its input has no batch")
        if d == 0 or d == x.dim:
            out.append(x.dims[d])
        elif BATCH in x.dims[d]:
            raise RefusalError("it works across the batch")
        else:
            out.append(size_factors(an.size(size)))
    return tuple(out)


def needs_stream(an: Analysis, x: Value) -> None:
    if x.kind != STREAMED:
        raise RefusalError("a window over a constant along the stream")


@rule(aten.conv1d, aten.conv2d, aten.conv3d)
def convolution(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x, w = an.value(a["input"]), an.value(a["weight"])
    n = len(w.dims) - 2
    if len(x.dims) != n + 2:
        raise RefusalError("its input has no batch")
    if x.dims[0] == () and BATCH in x.dims[1]:
        return _of_each_channel(an, node, a, an.sole(x), w)
    if any(a[name] is not None and an.value(a[name]).kind != CONSTANT for name in ("weight", "bias")):
        raise RefusalError("its weight is computed from the stream")
    if x.dim == 0:
        return an.local(node, window_dims(an, node, x), {a["input"]: x})
    if x.dim == 1:
        raise RefusalError("it mixes all positions of the stream axis as channels")
    x = an.sole(x)
    needs_stream(an, x)
    kernel = [int(s) for s in a["weight"].meta["val"].shape[2:]]
    stride, dilation = per_axis(a["stride"], n), per_axis(a["dilation"], n)
    pads: list[tuple[int, int]] = []
    for i in range(n):
        total = dilation[i] * (kernel[i] - 1)
        if a["padding"] == "same":
            pads.append((total // 2, total - total // 2))
        elif isinstance(a["padding"], str):
            pads.append((0, 0))
        else:
            pads.append(_given(an, per_axis(a["padding"], n)[i]))
    axis = x.dim - 2  # type: ignore[operator]
    window = Window(kernel[axis], stride[axis], dilation[axis], *pads[axis])
    padded = an.padded.get(x.slot)
    if an.into_past:
        if padded is not None and padded.mode == "zeros" and padded.joins(window):
            window, x = padded.joined(window)[0], padded.value
        window, padded = moved_window(an, node, window), None
    local = kernel[axis] == stride[axis] == 1 and window.left == window.right == 0
    step_window, more = window, {}
    if padded is not None and padded.joins(window):
        step_window, more = padded.joined(window)
    uneven = [amount for i in reversed(range(n)) for amount in ((0, 0) if i == axis else pads[i])]
    even = all(left == right for i, (left, right) in enumerate(pads) if i != axis)
    padding = [0 if i == axis or not even else pads[i][0] for i in range(n)]
    packed = _packed(an, a["weight"], PackedWeight)
    names = {
        "convolve": convolve_packed,
        "pad": F.pad,
        "uneven": uneven,
        "rest": (stride, padding, dilation, a["groups"]),
    }
    prefix = {key: an.name(thing) for key, thing in names.items()}
    held = f"e[{x.slot}]" if local else "h"
    held = held if even else f"{prefix['pad']}({held}, {prefix['uneven']})"
    bias = "None" if a["bias"] is None else f"e[{an.value(a['bias']).slot}]"
    code = f"{prefix['convolve']}({held}, e[{w.slot}], {bias}, e[{packed}], *{prefix['rest']})"
    if local:
        return an.local(node, window_dims(an, node, x), {a["input"]: x}, code)
    apply = an.function(code, "h, e")
    if padded is None or step_window is window:
        return slide(an, node, x, window, apply)
    out = an.slot()
    an.steps.append(Sliding(out, padded.value.slot, x.dims, x.dtype, step_window, apply, **more))
    return Value(out, STREAMED, window_dims(an, node, x), node.meta["val"].dtype, an.after(x, window))


def _of_each_channel(an: Analysis, node: fx.Node, a: dict[str, Any], x: Value, w: Value) -> Value:
    """A convolution of each channel by itself, where the items of the batch are folded into the channels."""
    shape, groups = a["weight"].meta["val"].shape, a["groups"]
    groups = groups.meta["val"] if isinstance(groups, fx.Node) else groups
    counts = {an.size(s) for s in (groups, shape[0], a["input"].meta["val"].shape[1])}
    n = len(w.dims) - 2
    if n != 1 or len(counts) > 1 or a["bias"] is not None or isinstance(a["padding"], str):
        raise RefusalError("a convolution that mixes the items of the batch, which are folded into channels")
    pad = per_axis(a["padding"], n)[0]
    window = Window(int(shape[2]), per_axis(a["stride"], n)[0], per_axis(a["dilation"], n)[0], pad, pad)
    if an.into_past:
        window = moved_window(an, node, window)
    code = f"{an.name(F.conv1d)}(h, e[{w.slot}], None, {window.stride}, 0, {window.dilation}, h.shape[1])"
    out = an.slot()
    an.steps.append(Sliding(out, x.slot, x.dims, x.dtype, window, an.function(code, "h, e")))
    return Value(out, STREAMED, x.dims, node.meta["val"].dtype, an.after(x, window))


def _given(an: Analysis, amount: Any) -> tuple[int, int]:
    """Padding on both sides, which may follow from sizes of the input."""
    if isinstance(amount, fx.Node):
        value = amount.meta["val"]
        amount = an.phase(value) if an.streams(value) else an.size(value)
    return amount, amount


def _packed(an: Analysis, weight: fx.Node, kind: type[PackedWeight]) -> int:
    """The slot of a weight that is kept in oneDNN's order, for all streams of the capture."""
    out, keeper = an.slot(), an.name(an.captured.keeper(kind, [weight]))
    an.constants.append(Late(out, an.function(f"{keeper}(e[{an.value(weight).slot}])"), (), False))
    return out


def slide(an: Analysis, node: fx.Node, x: Value, window: Window, apply: Any, **more: Any) -> Value:
    """A step of windows over a value whose stream dimension is the stream's alone."""
    out = an.slot()
    an.steps.append(Sliding(out, x.slot, x.dims, x.dtype, window, apply, **more))
    return Value(out, STREAMED, window_dims(an, node, x), node.meta["val"].dtype, an.after(x, window))


def layered(
    an: Analysis, node: fx.Node, x: Value, layer: Streamable, weights: dict[str, int] | None = None
) -> Value:
    """A step of one of this package's layers."""
    needs_stream(an, x)
    out = an.slot()
    an.steps.append(Layered(out, x.slot, x.dims, x.dtype, layer, weights or {}))
    value = node.meta["val"]
    dtype = value.dtype if isinstance(value, Tensor) else value[0].dtype
    node_map = an.after(x, layer.axis_map(x.dim - 2))  # type: ignore[operator]
    return Value(out, STREAMED, window_dims(an, node, x), dtype, node_map)


@rule(aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d)
def transposed_convolution(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x, w = an.value(a["input"]), an.value(a["weight"])
    n = len(w.dims) - 2
    if len(x.dims) != n + 2 or x.dim == 1:
        raise RefusalError("its input has no batch, or the stream as its channels")
    if x.dim == 0:
        return an.local(node, window_dims(an, node, x), {a["input"]: x})
    x = an.sole(x)
    shape = [int(s) for s in a["weight"].meta["val"].shape]
    kind = getattr(transposed, f"ConvTranspose{n}d")
    numbers = [per_axis(a[name], n) for name in ("stride", "padding", "output_padding")]
    cut = uncut(an, numbers, x.dim - 2)  # type: ignore[operator]
    biased = a["bias"] is not None
    layer = kind(
        shape[0], shape[1] * a["groups"], tuple(shape[2:]), *numbers, a["groups"], biased,
        per_axis(a["dilation"], n), device="meta",
    )  # fmt: skip
    weights = {"weight": w.slot}
    if w.kind == CONSTANT:
        weights["packed"] = _packed(an, a["weight"], PackedTransposedWeight)
    del layer._parameters["weight"]
    if biased:
        del layer._parameters["bias"]
        weights["bias"] = an.value(a["bias"]).slot
    y = layered(an, node, x, layer, weights)
    return trimmed(an, y, cut) if an.into_past else y


@rule(aten.convolution)
def any_convolution(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """Either, as programs that are taken apart to the core operations have it."""
    return transposed_convolution(an, node, a) if a["transposed"] else convolution(an, node, a)


@rule(
    aten.max_pool1d, aten.max_pool2d, aten.max_pool3d, aten.max_pool2d_with_indices,
    aten.max_pool3d_with_indices, aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d,
)  # fmt: skip
def pool(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    name = str(node.target)
    n = int(name[name.index("pool") + 4])
    x = an.value(a["self"])
    if len(x.dims) != n + 2:
        raise RefusalError("its input has no batch")
    several = not isinstance(node.meta["val"], Tensor)
    if x.dim in (0, 1):  # of each channel by itself
        y = an.local(node, window_dims(an, node, x), {a["self"]: x})
        return [an.local(node, y.dims, {node: y}, f"e[{y.slot}][0]")] if several else y
    x = an.sole(x)
    kernel = per_axis(a["kernel_size"], n)
    stride = per_axis(a["stride"] or kernel, n)
    padding = per_axis(a["padding"], n)
    if an.into_past:
        at = x.dim - 2  # type: ignore[operator]
        extent = (kernel[at] - 1) * (per_axis(a["dilation"], n)[at] if "max" in name else 1) + 1
        x = padded_before(an, x, extent - 1, 2 * padding[at], float("-inf") if "max" in name else 0.0)
        padding = [0 if d == at else p for d, p in enumerate(padding)]
    if "max" in name:
        kind = getattr(pooling, f"MaxPool{n}d")
        layer = kind(
            tuple(kernel), tuple(stride), padding, tuple(per_axis(a["dilation"], n)), False, a["ceil_mode"]
        )
    else:
        kind = getattr(pooling, f"AvgPool{n}d")
        numbers = (kernel, stride, padding) if n > 1 else (kernel[0], stride[0], padding[0])
        more = (a["divisor_override"],) if n > 1 else ()
        layer = kind(*numbers, a["ceil_mode"], a["count_include_pad"], *more)
    y = layered(an, node, x, layer)
    return [y] if several else y


@rule(
    aten.adaptive_avg_pool1d,
    aten.adaptive_avg_pool2d,
    aten.adaptive_avg_pool3d,
    aten._adaptive_avg_pool2d,
    aten._adaptive_avg_pool3d,
)
def adaptive(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    n = len(per_axis(a["output_size"], 1))
    at = x.dim - len(x.dims)  # type: ignore[operator]
    if at < -n:
        dims = list(x.dims)
        for d in range(-n, 0):
            dims[d] = size_factors(an.size(node.meta["val"].shape[d]))
        return an.local(node, tuple(dims), {a["self"]: x})
    dims = [
        d if i < len(x.dims) - n else an.sized_dims(node.meta["val"].shape)[i] for i, d in enumerate(x.dims)
    ]
    return over_whole(an, node, a["self"], tuple(dims))


@rule(aten.unfold)
def unfold(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    at = a["dimension"] % len(x.dims)
    number = size_factors(a["size"])
    if at != x.dim:
        if BATCH in x.dims[at]:
            raise RefusalError("it works across the batch")
        size = size_factors(an.size(node.meta["val"].shape[at]))
        dims = (*x.dims[:at], size, *x.dims[at + 1 :], number)
        return an.local(node, dims, {a["self"]: x})
    x = an.sole(x)
    needs_stream(an, x)
    out, window = an.slot(), Window(a["size"], a["step"])
    code = f"h.unfold({at}, {a['size']}, {a['step']}).clone()"
    an.steps.append(Sliding(out, x.slot, x.dims, x.dtype, window, an.function(code, "h, e")))
    return Value(out, STREAMED, (*x.dims, number), x.dtype, an.after(x, window))
