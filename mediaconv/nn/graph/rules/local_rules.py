"""Operations at one position: elementwise with broadcasting, and work across axes other than the stream's.

Where such work spans the stream axis (a norm or a mean over time), its input is held to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.composed_maps import IDENTITY, Whole
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Along, Dims, size_factors
from mediaconv.nn.graph.graph_values import LATE, STREAMED, Value
from mediaconv.nn.graph.refusal import FinalRefusalError, RefusalError
from mediaconv.nn.graph.rule_registry import RULES, rule, typed_like
from mediaconv.nn.graph.steps.end_steps import Held
from mediaconv.nn.graph.steps.graph_step import Late

aten = torch.ops.aten

UNBOUNDED = (
    "it reads the whole input, unbounded. opaque(module, lookback, lookahead) where its reach is bounded, or "
    "hold=True (in YAML a key of model), which computes it at the end"
)

MIXED = (
    "it mixes the items of the batch, so that each would depend on the others: let it work within an item, "
    "over the other axes alone (a module that takes (..., F, T) takes x.unsqueeze(1), where the batch is "
    "apart)"
)


def tensor_nodes(an: Analysis, node: fx.Node) -> list[fx.Node]:
    """The node's tensor inputs, each once."""
    return [n for n in node.all_input_nodes if isinstance(an.values.get(n), Value)]


def broadcast(an: Analysis, node: fx.Node) -> tuple[Dims, dict[fx.Node, Value]]:
    """Dimensions of an elementwise result, and its inputs with streams in step."""
    nodes = tensor_nodes(an, node)
    values = [an.values[n] for n in nodes]
    ndim = max(len(v.dims) for v in values)
    streams = [v for v in values if v.dim is not None]
    at = {v.dim - len(v.dims) for v in streams}
    if len(at) > 1:
        raise RefusalError("it combines the stream axis with another axis, as attention does")
    if an.arguments_depend(node):
        raise RefusalError("it computes with the input's length: only the end tells it")
    back = at.pop()
    if len(_folds(streams, back)) > 1:
        values = [v if v.dim is None else an.refine(v, Along.of(v.dims).inner) for v in values]
        streams = [v for v in values if v.dim is not None]
        if len(_folds(streams, back)) > 1:
            raise RefusalError("its inputs fold the stream axis in different ways")
    refuse_longer_constants(values, back)
    dims = list(broadcast_dims(values, range(-ndim, 0)))
    dims[back] = next(iter(_folds(streams, back)), dims[back])
    return tuple(dims), dict(zip(nodes, an.align(values), strict=True))


def _folds(streams: Iterable[Value], back: int) -> set[tuple[int | str, ...]]:
    """How values fold the stream; what is the same at every position meets any, for it is one step long."""
    return {v.dims[back] for v in streams if v.kind == STREAMED or v.dims[back] != (STREAM,)}


def refuse_longer_constants(values: Iterable[Value], back: int) -> None:
    """Raises RefusalError for a constant of more than one position where others have the stream.

    back: that dimension, counted from the last, as -1.
    """
    for v in values:
        if v.dim is None and len(v.dims) >= -back and v.dims[back] != ():
            raise RefusalError("a constant that is longer than one step meets the stream axis")


def broadcast_dims(values: Sequence[Value], backs: Iterable[int]) -> Dims:
    """What dimensions, counted from the last, become where one position is repeated to meet more."""
    dims: list[tuple[int | str, ...]] = []
    for back in backs:
        each = [v.dims[back] for v in values if len(v.dims) >= -back and v.dims[back] != ()]
        named = [f for f in each if STREAM in f or BATCH in f]
        dims.append((named or each or [()])[0])
    return tuple(dims)


@rule(
    "pointwise", aten.dropout, aten.alias, aten.clone, aten.contiguous, aten.detach, aten._to_copy, aten.to,
    aten.type_as, aten.zeros_like, aten.ones_like, aten.full_like, aten.masked_fill, aten.where, aten.prelu,
    aten.lift_fresh_copy, aten.lerp, aten.addcmul, aten.addcdiv, aten.clamp, aten.rsub, aten.heaviside,
    aten.hardtanh, aten.hardswish, aten.hardsigmoid, aten.leaky_relu, aten.nan_to_num, aten.fill, aten.rrelu,
    aten.feature_dropout, aten.alpha_dropout, aten.feature_alpha_dropout, aten.selu, aten.relu6, aten.mish,
    aten.native_dropout, aten.rrelu_with_noise, aten.complex, aten.polar, aten.floor_divide, aten.empty_like,
    aten._conj_physical,
)  # fmt: skip
def pointwise(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    if a.get("train") or a.get("training"):
        raise FinalRefusalError("it is random in training mode: call .eval() first")
    if node.target is aten.prelu.default:
        return _prelu(an, node, a)
    if getattr(node.target, "overloadpacket", None) in SAME:
        x = an.value(node.args[0])
        if node.meta["val"].dtype == x.dtype and x.kind == STREAMED:
            return x
    if typed_like(node.target) is not None:
        x = an.value(a["self"])
        return an.local(node, x.dims, {a["self"]: x}, f"e[{x.slot}].to({an.name(node.meta['val'].dtype)})")
    dims, values = broadcast(an, node)
    return an.local(node, dims, values)


def _prelu(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    if x.dim == 1 and an.value(a["weight"]).dims != ((),):
        raise RefusalError("it has a weight for each position of the stream axis")
    return an.local(node, x.dims, {a["self"]: x})


RULES["pointwise"] = pointwise
SAME = (
    aten.dropout,
    aten.alias,
    aten.clone,
    aten.contiguous,
    aten.detach,
    aten.feature_dropout,
    aten.alpha_dropout,
    aten.type_as,
)
"""Operations that give their first input's values, where they do not change its type."""


def held(an: Analysis, v: Value) -> Value:
    """The whole of a stream, given at the end."""
    if v.node is an.counted:
        return an.materialized(v)
    an.note_whole()
    out = an.slot()
    an.steps.append(Held(out, v.slot, v.dims, v.dtype))
    return replace(v, slot=out, node=an.after(v, Whole(IDENTITY), whole=True))


def over_whole(an: Analysis, node: fx.Node, x_node: fx.Node, dims: Dims) -> Value:
    """The node's own operation on the whole stream: a stream given at the end, or a late value."""
    values = {x_node: held(an, an.value(x_node))}
    if any(STREAM in d for d in dims):
        return an.local(node, dims, values)
    out = an.slot()
    v = values[x_node]
    an.steps.append(Late(out, an.function(an.call_code(node, values)), (v.slot,), True, dims))
    return Value(out, LATE, dims, node.meta["val"].dtype, at_end=True)


def worked(an: Analysis, node: fx.Node, x_node: fx.Node, axes: Sequence[int], dims: Dims) -> Any:
    """An operation that works across some axes of its first input and keeps the others."""
    x = an.value(x_node)
    axes = [axis % len(x.dims) for axis in axes]
    if any(BATCH in x.dims[axis] for axis in axes):
        raise RefusalError(MIXED)
    if x.dim in axes:
        if x.kind != STREAMED:
            raise RefusalError("it works along the stream axis of a constant")
        return over_whole(an, node, x_node, dims)
    late = [an.values[n] for n in tensor_nodes(an, node) if an.values[n].kind == LATE]
    (x, *_) = an.align([x, *late])
    return an.local(node, dims, {x_node: x})


_TOTALS = (aten.cumsum.default, aten.cumprod.default, aten.logcumsumexp.default)


def _tensors_only(node: fx.Node) -> bool:
    return isinstance(node.meta["val"], Tensor)


@rule(
    aten.softmax, aten._softmax, aten.log_softmax, aten._log_softmax, aten.cumsum, aten.cumprod,
    aten.logcumsumexp,
)  # fmt: skip
def along_one(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    if node.target in _TOTALS and a["dim"] % len(x.dims) == x.dim:
        return RULES["running total"](an, node, a)
    return worked(an, node, a["self"], [a["dim"]], x.dims)


@rule(aten.flip)
def flip(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    return worked(an, node, a["self"], a["dims"], an.value(a["self"]).dims)


@rule(aten.roll)
def roll(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    return worked(an, node, a["self"], a["dims"] or range(len(x.dims)), x.dims)


@rule(aten._fft_r2c, aten._fft_c2r, aten._fft_c2c)
def transform(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    """A Fourier transform of each position's frame; along the stream it has frequencies for positions."""
    x = an.value(a["self"])
    axes = [axis % len(x.dims) for axis in a["dim"]]
    if x.dim in axes:
        raise RefusalError("a Fourier transform along the stream axis: " + UNBOUNDED)
    dims = list(x.dims)
    for at in axes:
        dims[at] = size_factors(an.size(node.meta["val"].shape[at]))
    return worked(an, node, a["self"], axes, tuple(dims))


@rule(aten.view_as_real, aten.view_as_complex)
def complex_pairs(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    if node.target is aten.view_as_real.default:
        return an.local(node, (*x.dims, (2,)), {a["self"]: x})
    code = f"torch.view_as_complex(e[{x.slot}].contiguous())"  # a chunk may lie otherwise than the whole
    return an.local(node, x.dims[:-1], {a["self"]: x}, code)


@rule(aten.glu)
def glu(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["self"])
    at = a["dim"] % len(x.dims)
    if at == x.dim:
        raise RefusalError("it halves the stream axis")
    size = size_factors(an.size(node.meta["val"].shape[at]))
    return worked(an, node, a["self"], [at], (*x.dims[:at], size, *x.dims[at + 1 :]))


@rule(
    aten.mean, aten.sum, aten.amax, aten.amin, aten.var, aten.std, aten.argmax, aten.argmin, aten.prod,
    aten.linalg_vector_norm, aten.norm, aten.logsumexp, aten.any, aten.all, aten.nansum,
    aten.count_nonzero,
)  # fmt: skip
def reduced(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    name = "x" if "x" in a else "self"
    x = an.value(a[name])
    dim = a.get("dim")
    axes = list(range(len(x.dims))) if dim in (None, []) else [dim] if isinstance(dim, int) else list(dim)
    axes = [axis % len(x.dims) for axis in axes]
    kept = a.get("keepdim", False)
    dims = tuple(() if i in axes else d for i, d in enumerate(x.dims) if kept or i not in axes)
    return worked(an, node, a[name], axes, dims)


@rule(aten.layer_norm, aten.rms_norm, aten.native_layer_norm, aten._fused_rms_norm)
def last_axes_norm(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["input"])
    n = len(a["normalized_shape"])
    out = worked(an, node, a["input"], range(-n, 0), x.dims)
    return out if _tensors_only(node) else [an.local(node, x.dims, {node: out}, f"e[{out.slot}][0]")]


@rule(aten.group_norm, aten.native_group_norm, aten.instance_norm)
def group_norm(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["input"])
    if node.target is aten.instance_norm.default and not a["use_input_stats"]:
        return batch_norm(an, node, a)
    out = worked(an, node, a["input"], range(1, len(x.dims)), x.dims)
    return out if _tensors_only(node) else [an.local(node, x.dims, {node: out}, f"e[{out.slot}][0]")]


@rule(
    aten.batch_norm, aten._native_batch_norm_legit_no_training, aten.native_batch_norm, aten.cudnn_batch_norm,
    aten._batch_norm_no_update,
)  # fmt: skip
def batch_norm(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["input"])
    if a.get("training"):
        raise FinalRefusalError("its statistics are those of the batch in training mode: call .eval() first")
    if a.get("running_mean") is None:
        out = worked(an, node, a["input"], [*range(1, len(x.dims))], x.dims)
    elif x.dim == 1:
        raise RefusalError("it has a weight for each position of the stream axis")
    else:
        out = an.local(node, x.dims, {a["input"]: x})
    return out if _tensors_only(node) else [an.local(node, x.dims, {node: out}, f"e[{out.slot}][0]")]
