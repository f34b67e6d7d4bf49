"""Choices at each position: orders, entries picked and written by an index, bounds, what a mask replaces.

Along axes other than the stream's; an order along the stream needs the whole and is held to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Dims, size_factors
from mediaconv.nn.graph.graph_values import CONSTANT, LATE, STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import RULES, rule
from mediaconv.nn.graph.rules.local_rules import MIXED, broadcast, held, reduced, tensor_nodes
from mediaconv.nn.graph.steps.graph_step import Late

aten = torch.ops.aten


@rule(
    aten.max, aten.min, aten.topk, aten.sort, aten.var_mean, aten.std_mean, aten.median, aten.nanmedian,
    aten.kthvalue, aten.mode, aten.aminmax, aten.cummax, aten.cummin,
)  # fmt: skip
def several(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    """Several results of one axis or more, as the largest and where it is."""
    if isinstance(node.meta["val"], torch.Tensor):
        return RULES["pointwise"](an, node, a) if a.get("other") is not None else reduced(an, node, a)
    x = an.value(a["self"])
    axes = a.get("dim", -1)
    axes = [axes] if isinstance(axes, int) else list(axes or range(len(x.dims)))
    axes = [axis % len(x.dims) for axis in axes]
    if any(BATCH in x.dims[axis] for axis in axes):
        raise RefusalError(MIXED)
    first = node.meta["val"][0]
    dims: Dims
    if len(first.shape) == len(x.dims):
        dims = tuple(
            x.dims[i] if i not in axes or (i == x.dim and an.streams(s)) else size_factors(an.size(s))
            for i, s in enumerate(first.shape)
        )
    else:
        dims = tuple(d for i, d in enumerate(x.dims) if i not in axes)
    if x.dim in axes and node.target in (aten.cummax.default, aten.cummin.default):
        return RULES["running extreme"](an, node, a)
    if x.dim in axes:
        return _of_whole(an, node, a["self"], dims)
    return _each(an, node, dims, an.local(node, dims, {a["self"]: x}))


def _each(an: Analysis, node: fx.Node, dims: Dims, both: Value) -> list[Value]:
    return [
        replace(an.local(node, dims, {node: both}, f"e[{both.slot}][{i}]"), dtype=v.dtype)
        for i, v in enumerate(node.meta["val"])
    ]


def _of_whole(an: Analysis, node: fx.Node, x_node: fx.Node, dims: Dims) -> list[Value]:
    """Several results of the whole stream: streams given at the end, or late values."""
    x = an.value(x_node)
    if x.kind != STREAMED or x.dims[x.dim] != (STREAM,):  # type: ignore[index]
        raise RefusalError("it works across the stream and the axes folded into it")
    x = held(an, x)
    if any(STREAM in d for d in dims):
        return _each(an, node, dims, an.local(node, dims, {x_node: x}))
    out = an.slot()
    an.steps.append(Late(out, an.function(an.call_code(node, {x_node: x})), (x.slot,), True))
    return an.items(node, out, LATE, True)


# --- by an index -------------------------------------------------------------------------------------------


def in_step(an: Analysis, node: fx.Node, nodes: Iterable[fx.Node]) -> dict[fx.Node, Value]:
    """The values of nodes that do not broadcast: streams in step, constants as long as their chunks."""
    return brought_in_step(an, node, {n: an.value(n) for n in nodes})


def brought_in_step(an: Analysis, node: fx.Node, given: dict[fx.Node, Value]) -> dict[fx.Node, Value]:
    """Values as `in_step` gives those of nodes."""
    values = dict(zip(given, an.align(list(given.values())), strict=True))
    like = next((v for v in values.values() if v.kind == STREAMED), None)
    if like is None:
        return values
    dim: int = like.dim  # type: ignore[assignment]
    for n, v in values.items():
        if v.dim != dim or len(v.dims) != len(like.dims):
            raise RefusalError("its tensors have the stream in different axes")
        if v.kind == STREAMED:
            if v.dims[dim] != like.dims[dim]:
                raise RefusalError("its inputs fold the stream axis in different ways")
            continue
        sizes = ", ".join(f"e[{like.slot}].shape[{dim}]" if d == dim else "-1" for d in range(len(v.dims)))
        dims = (*v.dims[:dim], like.dims[dim], *v.dims[dim + 1 :])
        values[n] = an.local(node, dims, {n: v, node: like}, f"e[{v.slot}].expand({sizes})")
    return values


@rule(aten.gather)
def gather(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    at = a["dim"] % len(an.value(a["self"]).dims)
    values = in_step(an, node, [a["self"], a["index"]])
    x, index = values[a["self"]], values[a["index"]]
    _beside_the_stream(x, at)
    _same_but(x, index, at)
    return an.local(node, index.dims, values)


@rule(aten.scatter, aten.scatter_add, aten.scatter_reduce)
def scatter(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    names = [n for n in ("self", "index", "src") if isinstance(a.get(n), fx.Node)]
    if isinstance(a.get("value"), fx.Node):
        raise RefusalError("it writes a value that is computed")
    at = a["dim"] % len(an.value(a["self"]).dims)
    values = in_step(an, node, [a[n] for n in names])
    x = values[a["self"]]
    _beside_the_stream(x, at)
    for name in names[1:]:
        _same_but(x, values[a[name]], at)
    return an.local(node, x.dims, values)


def _beside_the_stream(x: Value, at: int) -> None:
    if at == x.dim:
        raise RefusalError("it picks or writes positions of the stream axis")
    if BATCH in x.dims[at]:
        raise RefusalError("it picks or writes items of the batch")


def _same_but(x: Value, other: Value, at: int) -> None:
    """Raises RefusalError where the other tensor takes a part of the stream or of the batch."""
    for d, (mine, theirs) in enumerate(zip(x.dims, other.dims, strict=True)):
        if d != at and mine != theirs and {BATCH, STREAM} & {*mine, *theirs}:
            raise RefusalError("its index is of some items of the batch alone")


@rule(aten.index_add, aten.index_copy, aten.index_fill, aten.index_reduce)
def index_write(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    at = a["dim"] % len(x.dims)
    _beside_the_stream(x, at)
    if an.value(a["index"]).kind != CONSTANT:
        raise RefusalError("it writes where the stream tells")
    if isinstance(a.get("value"), fx.Node):
        raise RefusalError("it writes a value that is computed")
    written = [a["source"]] if isinstance(a.get("source"), fx.Node) else []
    values = in_step(an, node, [a["self"], *written])
    for n in written:
        _same_but(values[a["self"]], values[n], at)
    return an.local(node, values[a["self"]].dims, values)


@rule(aten.index_put)
def index_put(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """`x[mask] = value`, or entries of one axis by a table."""
    x_node, value_node = a["self"], a["values"]
    x, value = an.value(x_node), an.value(value_node)
    chosen = [(i, n) for i, n in enumerate(a["indices"]) if n is not None]
    if len(chosen) != 1:
        raise RefusalError("it writes to positions by a table of several axes")
    (at, by), index = chosen[0], an.value(chosen[0][1])
    if index.dtype == torch.bool:
        if at or len(index.dims) != len(x.dims) or value.kind != CONSTANT or any(d != () for d in value.dims):
            raise RefusalError("it writes by a mask what differs from position to position")
        if a["accumulate"]:
            raise RefusalError("it adds by a mask")
        values = in_step(an, node, [x_node, by])
        _same_but(values[x_node], values[by], -1)
        mask, kept = values[by].slot, values[x_node].slot
        code = f"{an.name(torch.where)}(e[{mask}], e[{value.slot}].reshape(()), e[{kept}])"
        return an.local(node, values[x_node].dims, values, code)
    _beside_the_stream(x, at)
    if index.kind != CONSTANT or len(index.dims) != 1:
        raise RefusalError("it writes to positions by a table of several axes")
    if value.dim is None:
        return an.local(node, x.dims, dict(zip([x_node], an.align([x]), strict=True)))
    values = in_step(an, node, [x_node, value_node])
    _same_but(values[x_node], values[value_node], at)
    return an.local(node, values[x_node].dims, values)


# --- by bounds and in products -----------------------------------------------------------------------------


@rule(aten.bucketize, aten.searchsorted)
def between_bounds(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """Where each value stands among bounds that are fixed."""
    bounds = an.value(a.get("boundaries", a.get("sorted_sequence")))
    x_node = a["self"]
    if bounds.kind != CONSTANT or len(bounds.dims) != 1 or not isinstance(x_node, fx.Node):
        raise RefusalError("its bounds are computed from the stream")
    x = an.value(x_node)
    return an.local(node, x.dims, {x_node: x})


@rule(aten.isin)
def is_in(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x_node, table = a.get("elements"), a.get("test_elements")
    if not isinstance(x_node, fx.Node) or (isinstance(table, fx.Node) and an.value(table).kind != CONSTANT):
        raise RefusalError("it looks for constants in the whole stream")
    x = an.value(x_node)
    return an.local(node, x.dims, {x_node: x})


@rule(aten.linalg_cross)
def cross(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    dims, values = broadcast(an, node)
    x = an.value(a["self"])
    like = next(v for v in values.values() if v.dim is not None)
    if a["dim"] % len(dims) == like.dim + len(dims) - len(like.dims):  # type: ignore[operator]
        raise RefusalError("a cross product of three positions of the stream")
    return an.local(node, (*dims[: len(dims) - len(x.dims)], *dims[len(dims) - len(x.dims) :]), values)


@rule(
    aten.mse_loss, aten.huber_loss, aten.smooth_l1_loss, aten.soft_margin_loss, aten.binary_cross_entropy,
    aten.binary_cross_entropy_with_logits,
)  # fmt: skip
def difference(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    if a["reduction"] != 0:
        raise RefusalError("it is a loss over the whole input and the batch: reduction='none' streams")
    return RULES["pointwise"](an, node, a)


@rule(aten.log_sigmoid_forward)
def log_sigmoid(an: Analysis, node: fx.Node, a: dict[str, Any]) -> list[Value]:
    """The second result is kept for the gradient alone."""
    x = an.value(a["self"])
    both = an.local(node, x.dims, {a["self"]: x})
    return [an.local(node, x.dims, {node: both}, f"e[{both.slot}][0]")]


@rule(aten.diagonal)
def diagonal(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    pair = [a[name] % len(x.dims) for name in ("dim1", "dim2")]
    if any(STREAM in x.dims[d] or BATCH in x.dims[d] for d in pair):
        raise RefusalError("the diagonal of a table over positions of the stream or items of the batch")
    last = size_factors(an.size(node.meta["val"].shape[-1]))
    return an.local(node, (*(d for i, d in enumerate(x.dims) if i not in pair), last), {a["self"]: x})


@rule(
    aten.triu, aten.tril, aten.linalg_inv_ex, aten._linalg_det, aten.linalg_cholesky_ex, aten.linalg_qr,
    aten._linalg_svd, aten._linalg_eigh, aten._linalg_slogdet, aten.linalg_matrix_exp, aten.linalg_eigh,
    aten.linalg_lu_factor_ex, aten.linalg_lu, aten.linalg_pinv,
)  # fmt: skip
def matrices(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    """Work on the matrix in the last two axes, at each position."""
    x_node: fx.Node = a.get("self", a.get("A", a.get("input")))  # type: ignore[assignment]
    x = an.value(x_node)
    if any(STREAM in d or BATCH in d for d in x.dims[-2:]):
        raise RefusalError("it works on a matrix of which an axis is the stream's or the batch")
    before = len(x.dims) - 2

    def dims(value: torch.Tensor) -> Dims:
        return (*x.dims[:before], *(size_factors(an.size(s)) for s in value.shape[before:]))

    results = node.meta["val"]
    if isinstance(results, torch.Tensor):
        return an.local(node, dims(results), {x_node: x})
    every = an.local(node, x.dims, {x_node: x})
    return [
        replace(an.local(node, dims(v), {node: every}, f"e[{every.slot}][{i}]"), dtype=v.dtype)
        for i, v in enumerate(results)
    ]


# --- each item of the batch by itself ----------------------------------------------------------------------


@rule(
    aten.grid_sampler_2d, aten.grid_sampler_3d, aten.grid_sampler, aten.im2col,
    aten.adaptive_max_pool2d, aten.adaptive_max_pool3d, aten.max_unpool2d, aten.max_unpool3d,
    aten.affine_grid_generator,
)  # fmt: skip
def by_item(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    """Operations on each item of dimension 0 by itself, with the positions of the stream as such items."""
    nodes = tensor_nodes(an, node)
    values = {n: an.value(n) for n in nodes}
    if any(v.dim not in (0, None) for v in values.values()):
        raise RefusalError(
            "what it reads along the stream axis is not known: opaque(module, lookback, lookahead, stride) "
            "where its window is known; over frames folded into the batch it streams"
        )
    streamed = [n for n, v in values.items() if v.dim == 0]
    values |= in_step(an, node, streamed)
    first = values[streamed[0]].dims[0]
    results = node.meta["val"]

    def dims(value: torch.Tensor) -> Dims:
        return (first, *(size_factors(an.size(s)) for s in value.shape[1:]))

    if any(an.streams(s) for v in _listed(results) for s in v.shape[1:]):
        raise RefusalError("its size depends on the stream's")
    if isinstance(results, torch.Tensor):
        changes = {}
        if isinstance(a.get("size"), list | tuple):  # of an affine grid: as many as there are here
            sizes = (an.size_code(s.meta["val"] if isinstance(s, fx.Node) else s) for s in a["size"][1:])
            changes["size"] = f"[e[{values[streamed[0]].slot}].shape[0], {', '.join(sizes)}]"
        return an.local(node, dims(results), values, an.call_code(node, values, **changes))
    every = an.local(node, values[streamed[0]].dims, values)
    return [
        replace(an.local(node, dims(v), {node: every}, f"e[{every.slot}][{i}]"), dtype=v.dtype)
        for i, v in enumerate(results)
    ]


def _listed(results: Any) -> Sequence[torch.Tensor]:
    return [results] if isinstance(results, torch.Tensor) else results
