"""Operations that move axes: views, permutations, slices and joins of axes other than the stream's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Along, Dims, regroup, size_factors
from mediaconv.nn.graph.graph_values import CONSTANT, STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.local_rules import refuse_longer_constants
from mediaconv.nn.graph.rules.time_rules import cat_stream, select_stream, slice_stream, split_stream
from mediaconv.nn.graph.steps.window_steps import Sliding

aten = torch.ops.aten


@rule(aten.view, aten.reshape, aten._unsafe_view, aten.flatten, aten.unflatten, aten._reshape_alias)
def view(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    value = node.meta["val"]
    sizes = [an.size(s) for s in value.shape]
    streamed = [an.streams(s) for s in value.shape]
    if x.kind != STREAMED:
        if x.dims[x.dim] != (STREAM,):  # type: ignore[index]
            raise RefusalError("it regroups a constant along the stream")
        length = 1
        sizes = [1 if s else n for s, n in zip(streamed, sizes, strict=True)]
    else:
        shape = a["self"].meta["val"].shape
        unit = Along.of(x.dims).unit(an.batch)
        length = an.size(shape[x.dim]) // unit
    dims, block = regroup(x.dims, sizes, streamed, an.batch, length)
    if block > 1:
        x = blocks(an, x, block)
    elif dims == x.dims:
        return x
    code = f"e[{x.slot}].reshape({an.shape_code(dims, _units(an, x, block))})"
    return an.local(node, dims, {a["self"]: x}, code)


def _units(an: Analysis, x: Value, block: int) -> str:
    positions = an.positions_code(x)
    return f"({positions}//{block})" if block > 1 else positions


def blocks(an: Analysis, x: Value, block: int) -> Value:
    """The same stream, coming in multiples of `block`; its map is that of the blocks."""
    x = an.materialized(x)
    out = an.slot()
    window = Window(block, block)
    name = "the model regroups blocks along the stream axis"
    step = Sliding(out, x.slot, x.dims, x.dtype, window, _itself, exact=name)
    if Along.of(x.dims).inner > 1 or not Along.of(x.dims).plain:
        raise RefusalError("it regroups a stream that is folded with other axes")
    an.steps.append(step)
    return Value(out, STREAMED, x.dims, x.dtype, an.after(x, window))


def _itself(held: Tensor, e: list[Any]) -> Tensor:
    return held


@rule(aten.permute, aten.transpose, aten.t, aten.movedim, aten.swapaxes, aten.mT, aten.adjoint)
def permute(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    n = len(x.dims)
    if "dims" in a:
        order = [d % n for d in a["dims"]]
    elif "dim0" in a:
        order = list(range(n))
        i, j = a["dim0"] % n, a["dim1"] % n
        order[i], order[j] = j, i
    elif node.target is aten.t.default:
        order = list(range(n))[::-1]
    else:
        raise RefusalError("a permutation that is not known")
    return an.local(node, tuple(x.dims[d] for d in order), {a["self"]: x})


@rule(aten.unsqueeze)
def unsqueeze(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    at = a["dim"] % (len(x.dims) + 1)
    return an.local(node, (*x.dims[:at], (), *x.dims[at:]), {a["self"]: x})


@rule(aten.squeeze)
def squeeze(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    dim = a.get("dim")
    n = len(x.dims)
    axes = range(n) if dim is None else [dim % n] if isinstance(dim, int) else [d % n for d in dim]
    gone = [d for d in axes if x.dims[d] == ()]
    code = f"e[{x.slot}].squeeze({tuple(gone)})" if gone else f"e[{x.slot}]"
    return an.local(node, tuple(d for i, d in enumerate(x.dims) if i not in gone), {a["self"]: x}, code)


@rule(aten.expand, aten.expand_copy)
def expand(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    value = node.meta["val"]
    new = len(value.shape) - len(x.dims)
    dims: list[tuple[int | str, ...]] = []
    for i, size in enumerate(value.shape):
        d = x.dims[i - new] if i >= new else ()
        if d == () and an.size(size) != 1:
            if an.streams(size):
                raise RefusalError("it makes a table over pairs of positions")
            d = an.sized_dims([size])[0]
        dims.append(d)
    code = f"e[{x.slot}].expand({an.shape_code(tuple(dims), an.positions_code(x))})"
    return an.local(node, tuple(dims), {a["self"]: x}, code)


@rule(aten.repeat)
def repeat(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    repeats = list(a["repeats"])
    new = len(repeats) - len(x.dims)
    dims: list[tuple[int | str, ...]] = []
    for i, times in enumerate(repeats):
        d = x.dims[i - new] if i >= new else ()
        if times == 1:
            dims.append(d)
        elif not isinstance(times, int) or STREAM in d:
            raise RefusalError("it repeats the stream")
        elif BATCH in d:
            raise RefusalError("it repeats the batch")
        else:
            size = times * (d[0] if d else 1)  # type: ignore[operator]
            dims.append((size,))
    return an.local(node, tuple(dims), {a["self"]: x})


@rule(aten.repeat_interleave)
def repeat_interleave(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    times, dim = a["repeats"], a.get("dim")
    if not isinstance(times, int) or dim is None:
        raise RefusalError("it repeats by a tensor")
    at = dim % len(x.dims)
    if BATCH in x.dims[at] and at != x.dim:
        raise RefusalError("it repeats the batch")
    d = (*x.dims[at], times) if times > 1 else x.dims[at]
    if STREAM not in d and len(d) == 2:
        d = (d[0] * d[1],)  # type: ignore[operator]
    return an.local(node, (*x.dims[:at], d, *x.dims[at + 1 :]), {a["self"]: x})


def resized(an: Analysis, x: Value, at: int, size: Any) -> Dims:
    """The dimensions with another size at one that is neither the stream's nor the batch's."""
    if BATCH in x.dims[at]:
        raise RefusalError("it takes some of the batch")
    return (*x.dims[:at], size_factors(an.size(size)), *x.dims[at + 1 :])


@rule(aten.slice, aten.narrow)
def slice_(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    at = a["dim"] % len(x.dims)
    if at == x.dim:
        return slice_stream(an, node, a)
    if BATCH in x.dims[at]:
        if an.size(node.meta["val"].shape[at]) == an.size(a["self"].meta["val"].shape[at]):
            return x
        raise RefusalError("it takes some of the batch")
    return an.local(node, resized(an, x, at, node.meta["val"].shape[at]), {a["self"]: x})


@rule(aten.select)
def select(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    at = a["dim"] % len(x.dims)
    if at == x.dim:
        return select_stream(an, node, a)
    if BATCH in x.dims[at]:
        raise RefusalError("it takes one item of the batch")
    return an.local(node, (*x.dims[:at], *x.dims[at + 1 :]), {a["self"]: x})


@rule(aten.index_select)
def index_select(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    at = a["dim"] % len(x.dims)
    if at == x.dim or an.value(a["index"]).kind == STREAMED:
        raise RefusalError("it picks positions of the stream axis")
    return an.local(node, resized(an, x, at, node.meta["val"].shape[at]), {a["self"]: x})


@rule(aten.index)
def index(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    chosen = [(i, n) for i, n in enumerate(a["indices"]) if n is not None]
    if len(chosen) == 1 and x.kind == CONSTANT and x.dim is None and an.value(chosen[0][1]).dim is not None:
        at, by = chosen[0]  # a table that is looked up at each position, as a codebook
        rows = an.value(by)
        return an.local(node, (*x.dims[:at], *rows.dims, *x.dims[at + 1 :]), {by: rows})
    if len(chosen) != 1 or chosen[0][0] == x.dim or an.value(chosen[0][1]).kind != CONSTANT:
        raise RefusalError("it picks positions by a table")
    at = chosen[0][0]
    if len(an.value(chosen[0][1]).dims) != 1:
        raise RefusalError("it picks positions by a table of several axes")
    return an.local(node, resized(an, x, at, node.meta["val"].shape[at]), {a["self"]: x})


@rule(aten.split, aten.split_with_sizes, aten.chunk, aten.unbind, aten.tensor_split)
def split(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    at = a["dim"] % len(x.dims)
    if at == x.dim:
        return split_stream(an, node, a)
    if BATCH in x.dims[at]:
        raise RefusalError("it cuts the batch")
    parts = an.local(node, x.dims, {a["self"]: x})
    out = []
    for i, part in enumerate(node.meta["val"]):
        if len(part.shape) < len(x.dims):
            dims = (*x.dims[:at], *x.dims[at + 1 :])
        else:
            dims = resized(an, x, at, part.shape[at])
        out.append(an.local(node, dims, {node: parts}, f"e[{parts.slot}][{i}]"))
    return out


@rule(aten.cat, aten.concat, aten.concatenate, aten.stack)
def cat(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    nodes = list(a["tensors"])
    values = [an.value(n) for n in nodes]
    stacked = node.target is aten.stack.default
    ndim = len(values[0].dims) + stacked
    at = (a["dim"] or 0) % ndim
    if not stacked and any(v.dim == at for v in values):
        return cat_stream(an, node, a)
    where = {v.dim for v in values if v.dim is not None}
    if len(where) > 1:
        raise RefusalError("its parts have the stream in different axes")
    streams = [v for v in values if v.dim is not None]
    if len({v.dims[v.dim] for v in streams}) > 1:  # type: ignore[index]
        values = [v if v.dim is None else an.refine(v, Along.of(v.dims).inner) for v in values]
        streams = [v for v in values if v.dim is not None]
    dim = where.pop()
    refuse_longer_constants(values, dim - len(values[0].dims))  # type: ignore[operator]
    aligned = an.align(values)
    like = next((v for v in aligned if v.kind == STREAMED), streams[0])
    codes, size = [], f"e[{like.slot}].shape[{dim}]"
    for v in aligned:
        code = f"e[{v.slot}]"
        if v.kind != STREAMED and like.kind == STREAMED:
            sizes = ", ".join(size if d == dim else "-1" for d in range(len(v.dims)))
            code = f"{code}.expand({sizes})"
        codes.append(code)
    base = list(like.dims)
    if stacked:
        base.insert(at, size_factors(len(values)))
    else:
        if any(BATCH in v.dims[at] for v in values):
            raise RefusalError("it joins along the batch")
        base[at] = size_factors(an.size(node.meta["val"].shape[at]))
    function = an.name(torch.stack if stacked else torch.cat)
    return an.local(
        node,
        tuple(base),
        dict(zip(nodes, aligned, strict=True)),
        f"{function}([{', '.join(codes)}], {at})",
    )


@rule(aten.pixel_shuffle, aten.pixel_unshuffle, aten.channel_shuffle, aten.native_channel_shuffle)
def shuffle(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    if x.dim is None or x.dim < len(x.dims) - (0 if "channel" in str(node.target) else 3):
        dims = list(x.dims)
        for d in range(len(dims) - 3, len(dims)):
            if d != x.dim and BATCH not in dims[d]:
                dims[d] = size_factors(an.size(node.meta["val"].shape[d]))
        return an.local(node, tuple(dims), {a["self"]: x})
    if "channel" in str(node.target) and x.dim != 1:
        return an.local(node, x.dims, {a["self"]: x})
    return _pixels(an, node, a)


def _pixels(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """A pixel shuffle of which one axis is the stream: the plain function on whole blocks."""
    x = an.sole(an.value(a["self"]))
    down = a.get("downscale_factor")
    dims = [(STREAM,) if an.streams(s) else an.sized_dims([s])[0] for s in node.meta["val"].shape]
    if x.dim == len(x.dims) - 3:
        raise RefusalError("it moves the stream axis into others")
    if down:
        x = blocks(an, x, down)
        return an.local(node, tuple(dims), {a["self"]: x})
    factor = a["upscale_factor"]
    dims[x.dim] = (STREAM, factor)  # type: ignore[index]
    return an.local(node, tuple(dims), {a["self"]: x})
