"""What an output owes to all that came before: running sums and the like, LSTM, GRU and RNN layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from mediaconv.nn.backends.packed_recurrence import PackedLSTM
from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Dims, size_factors
from mediaconv.nn.graph.graph_values import CONSTANT, LATE, STREAMED, Value
from mediaconv.nn.graph.maps import MapNode
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.local_rules import held
from mediaconv.nn.graph.rules.window_rules import needs_stream
from mediaconv.nn.graph.steps.graph_step import Late
from mediaconv.nn.graph.steps.recurrent_steps import Recurrent, RunningExtreme, RunningTotal
from mediaconv.nn.graph.symbols import expression

aten = torch.ops.aten


@rule("running total")
def running_total(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """A cumulative sum or product along the stream."""
    x = an.value(a["self"])
    dtype = node.meta["val"].dtype
    alike = x.kind == CONSTANT and x.dims[x.dim] == (STREAM,)  # type: ignore[index]
    if alike and node.target is aten.cumsum.default:
        shape = ", ".join("-1" if d == x.dim else "1" for d in range(len(x.dims)))
        code = f"(e[{x.slot}]*(e[{an.positions}]+1).reshape({shape})).to({an.name(dtype)})"
        return an.from_positions(code, x.dims, dtype, expression(node.meta["val"].shape[x.dim]))
    x = an.sole(x)
    needs_stream(an, x)
    out = an.slot()
    an.steps.append(RunningTotal(out, x.slot, x.dims, x.dtype, node.target._opname, dtype))  # type: ignore[union-attr]
    return Value(out, STREAMED, x.dims, dtype, an.after(x, IDENTITY, past=True))


@rule("running extreme")
def running_extreme(an: Analysis, node: fx.Node, a: dict[str, Any]) -> list[Value]:
    """The largest or least so far along the stream, and where it was."""
    x = an.sole(an.value(a["self"]))
    needs_stream(an, x)
    out, at = an.slot(), an.slot()
    an.steps.append(RunningExtreme(out, x.slot, x.dims, x.dtype, node.target._opname, at))  # type: ignore[union-attr]
    values, indices = node.meta["val"]
    node_map = an.after(x, IDENTITY, past=True)
    return [
        Value(out, STREAMED, x.dims, values.dtype, node_map),
        Value(at, STREAMED, x.dims, indices.dtype, node_map),
    ]


@rule(torch.ops.mediaconv.recurrent)
def recurrent(an: Analysis, node: fx.Node, a: dict[str, Any]) -> list[Value]:
    x = an.value(a["x"])
    batch_at = 0 if a["batch_first"] else 1
    if len(x.dims) != 3:
        raise RefusalError("a recurrence whose input has no batch")
    if BATCH not in x.dims[batch_at] and not an.single:
        raise RefusalError(
            "a recurrence from item to item of the batch: their order would be part of the result"
        )
    if x.dim == batch_at:
        return _beside_the_stream(an, node, a, batch_at)
    if x.dim != 1 - batch_at:
        raise RefusalError("a recurrence over another axis, with the stream as its features")
    if x.dims[x.dim] != (STREAM,):
        x = an.sole(x)
    needs_stream(an, x)
    starts = [an.value(s) for s in a["state"]]
    if any(s.at_end for s in starts):
        raise RefusalError("a recurrence that starts from a value of the input's end")
    if any(s.kind == STREAMED for s in starts):
        raise RefusalError("a recurrence that starts from a stream")
    if any(s.kind == LATE for s in starts):
        x, *starts = an.align([x, *starts])
    if a["bidirectional"]:
        x = held(an, x)
    return _along_the_stream(an, node, a, x, starts)


def _along_the_stream(
    an: Analysis, node: fx.Node, a: dict[str, Any], x: Value, starts: list[Value]
) -> list[Value]:
    """A recurrence over the stream, one for each entry of its batch: for each pixel where they are in it."""
    batch_at = 0 if a["batch_first"] else 1
    options = (a["biases"], a["layers"], a["bidirectional"], a["batch_first"])
    out = an.slot()
    ends = [an.slot() for _ in starts]
    values = [an.value(w) for w in a["weights"]]
    weights = tuple(v.slot for v in values)
    packed = None
    if a["kind"] == "lstm" and not a["bidirectional"] and all(v.kind == CONSTANT for v in values):
        packed = an.slot()
        listed = ", ".join(f"e[{w}]" for w in weights)
        keeper = an.captured.keeper(PackedLSTM, a["weights"], biases=a["biases"])
        code = f"{an.name(keeper)}({listed})"
        an.constants.append(Late(packed, an.function(code), (), False))
    firsts = tuple(s.slot for s in starts)
    an.steps.append(
        Recurrent(out, x.slot, x.dims, x.dtype, a["kind"], firsts, tuple(ends), weights, options, packed)
    )
    assert x.node is not None
    node_map = x.node if a["bidirectional"] else MapNode(((x.node, IDENTITY),), past=True)
    states = [
        Value(slot, LATE, _state_dims(an, x, batch_at, v), v.dtype, at_end=True)
        for slot, v in zip(ends, node.meta["val"][1:], strict=True)
    ]
    return [Value(out, STREAMED, _result_dims(an, node, x), x.dtype, node_map), *states]


def _beside_the_stream(an: Analysis, node: fx.Node, a: dict[str, Any], batch_at: int) -> list[Value]:
    """A recurrence over another axis, from its start at each position of the stream."""
    x, *starts = an.align([an.value(a["x"]), *(an.value(s) for s in a["state"])])
    codes = []
    for s in starts:
        if s.dim not in (None, 1) or (s.kind == STREAMED and s.dims[1] != x.dims[batch_at]):
            raise RefusalError("a recurrence that starts from what has the stream in another axis")
        rows = f"e[{x.slot}].shape[{batch_at}]"
        codes.append(f"e[{s.slot}]" if s.kind == STREAMED else f"e[{s.slot}].expand(-1, {rows}, -1)")
    state = "[" + ", ".join(f"{code}.contiguous()" for code in codes) + "]"
    values = {a["x"]: x, **dict(zip(a["state"], starts, strict=True))}
    y = an.local(node, x.dims, values, an.call_code(node, values, state=state))
    dims = [_result_dims(an, node, x)]
    dims += (_state_dims(an, x, batch_at, v) for v in node.meta["val"][1:])
    return [an.local(node, d, {node: y}, f"e[{y.slot}][{i}]") for i, d in enumerate(dims)]


def _result_dims(an: Analysis, node: fx.Node, x: Value) -> Dims:
    return (*x.dims[:2], *an.sized_dims(node.meta["val"][0].shape[-1:]))


def _state_dims(an: Analysis, x: Value, batch_at: int, state: Any) -> Dims:
    """Of a last state: (layers, batch, features), the batch as the input has it."""
    return (size_factors(an.size(state.shape[0])), x.dims[batch_at], size_factors(an.size(state.shape[2])))
