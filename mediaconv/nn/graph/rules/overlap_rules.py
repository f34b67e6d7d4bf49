"""Frames along the stream that are added where they overlap: inverse spectra, `fold`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import fx

from mediaconv.nn.geometry import Transposed
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import STREAM, size_factors
from mediaconv.nn.graph.graph_values import CONSTANT, STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.selection_rules import by_item
from mediaconv.nn.graph.rules.time_rules import piece
from mediaconv.nn.graph.rules.window_rules import needs_stream, per_axis
from mediaconv.nn.graph.steps.overlap_step import OverlapAdd
from mediaconv.nn.graph.symbols import expression

aten = torch.ops.aten


@rule(aten.unfold_backward)
def overlap(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """Frames (..., positions, ..., size), as the inverse of a spectrum has them, to a signal."""
    x_node, size, hop = a["grad_in"], a["size"], a["step"]
    x = an.value(x_node)
    at = a["dim"] % (len(x.dims) - 1)
    if at != x.dim:
        raise RefusalError("it adds frames that lie beside the stream: use torch.nn.functional.fold")
    x = _as_stream(an, node, x, x_node.meta["val"].shape[at])
    _check_length(node.meta["val"].shape[at], x_node.meta["val"].shape[at], size, hop)
    return _added(an, x, size, hop, node.meta["val"].dtype)


@rule(aten.col2im)
def fold(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """`fold` over blocks that lie along the stream, one beside the other axis; else over each item."""
    x_node = a["self"]
    x = an.value(x_node)
    blocks = len(x.dims) - 1
    if x.dim != blocks:
        return by_item(an, node, a)
    sizes = node.meta["val"].shape[-2:]
    along = [i for i in range(2) if an.streams(sizes[i])]
    if len(along) != 1:
        raise RefusalError("it folds blocks of both axes along the stream")
    (i,) = along
    other = 1 - i
    kernel, hop, padding, dilation = (
        per_axis(a[name], 2) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    if dilation[i] != 1 or padding[other] or dilation[other] != 1 or an.size(sizes[other]) != kernel[other]:
        raise RefusalError("it folds dilated blocks, or several across the axis beside the stream")
    length = expression(sizes[i]) + 2 * padding[i]
    count = x_node.meta["val"].shape[blocks]
    x = _as_stream(an, node, x, count)
    _check_length(length, count, kernel[i], hop[i])
    channels = an.size(node.meta["val"].shape[-3])
    # (..., C * kernel, blocks) to (..., C, the other axis, blocks, kernel along the stream)
    split = f"e[{x.slot}].unflatten({blocks - 1}, ({channels}, {kernel[0]}, {kernel[1]}))"
    last = blocks if i == 0 else blocks + 1
    ordered = f"{split}.movedim({last}, -1)"
    dims = (
        *x.dims[: blocks - 1],
        size_factors(channels),
        size_factors(kernel[other]),
        (STREAM,),
        size_factors(kernel[i]),
    )
    frames = an.local(node, dims, {node: x}, ordered)
    y = _added(an, frames, kernel[i], hop[i], node.meta["val"].dtype)
    if padding[i]:
        y = piece(an, y, ("start", padding[i]), ("end", padding[i]), 1)
    if i == 1:
        return y
    dims = (*y.dims[:-2], y.dims[-1], y.dims[-2])
    return an.local(node, dims, {node: y}, f"e[{y.slot}].mT")


def _added(an: Analysis, x: Value, size: int, hop: int, dtype: torch.dtype) -> Value:
    if hop > size:
        raise RefusalError(f"frames of {size} are {hop} apart: nothing is between them")
    out, dims = an.slot(), x.dims[:-1]
    an.steps.append(OverlapAdd(out, x.slot, dims, dtype, size, hop))
    return Value(out, STREAMED, dims, dtype, an.after(x, Transposed(size, hop), following=size - hop))


def _check_length(length: Any, count: Any, size: int, hop: int) -> None:
    """Raises RefusalError for a result that is cut or goes on after the last frame."""
    rest = expression(length) - ((expression(count) - 1) * hop + size)
    if getattr(rest, "expand", lambda: rest)() != 0:
        raise RefusalError(
            f"it adds frames up to another length than theirs, (frames - 1) * {hop} + {size}: "
            "add them all, then slice or pad"
        )


def _as_stream(an: Analysis, node: fx.Node, x: Value, size: Any) -> Value:
    """The frames in step with the stream; those that are alike at all positions as many as there are."""
    if x.kind == STREAMED:
        x = an.sole(x)
        needs_stream(an, x)
        return x
    if x.kind != CONSTANT or x.dim is None:
        raise RefusalError("it adds frames that are known at the end alone")
    like = next(
        (
            (n, v)
            for n, v in reversed(an.values.items())
            if isinstance(v, Value)
            and v.kind == STREAMED
            and v.node is not an.counted
            and v.dims[v.dim] == (STREAM,)  # type: ignore[index]
            and expression(n.meta["val"].shape[v.dim]) == expression(size)
        ),
        None,
    )
    if like is None:
        raise RefusalError("it adds frames that are all alike, and no stream tells how many there are")
    other = like[1]
    sizes = ", ".join(
        f"e[{other.slot}].shape[{other.dim}]" if d == x.dim else "-1" for d in range(len(x.dims))
    )
    dims = (*x.dims[: x.dim], (STREAM,), *x.dims[x.dim + 1 :])
    y = an.local(node, dims, {node: x, like[0]: other}, f"e[{x.slot}].expand({sizes})")
    return replace(y, dtype=x.dtype)
