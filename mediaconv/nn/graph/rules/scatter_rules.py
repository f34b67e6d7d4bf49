"""Assignments to a part of a tensor, `y[:, :2, 1:] = x[:, :2, :-1]`, as the export writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import fx

from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, size_factors
from mediaconv.nn.graph.graph_values import CONSTANT, STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.local_rules import broadcast
from mediaconv.nn.graph.rules.selection_rules import brought_in_step
from mediaconv.nn.graph.rules.time_rules import joined, offset, piece

aten = torch.ops.aten


@rule(aten.copy)
def copied(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """The values of one tensor in the shape and type of another."""
    dims, values = broadcast(an, node)
    like, src = values[a["self"]], values.get(a["src"])
    if like.kind == STREAMED or src is None:
        return an.local(node, dims, values)
    sizes = an.shape_code(dims, an.positions_code(src))
    dtype = an.name(node.meta["val"].dtype)
    code = f"e[{src.slot}].to({dtype}).expand({sizes})"
    return an.local(node, dims, {a["src"]: src}, code)


@rule(aten.slice_scatter)
def slice_scatter(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    at = a["dim"] % len(x.dims)
    src = an.value(a["src"])
    if at in (x.dim, src.dim):
        if a["step"] != 1:
            raise RefusalError("it assigns to every few positions of the stream axis")
        length = a["self"].meta["val"].shape[at]
        low, high = offset(an, a["start"], length, 0), offset(an, a["end"], length, 1)
        return _assigned(an, node, x, src, at, low, high)
    if BATCH in x.dims[at]:
        if an.size(a["src"].meta["val"].shape[at]) != an.size(a["self"].meta["val"].shape[at]):
            raise RefusalError("it assigns to some of the batch")
        return src
    return _beside(an, node, a)


@rule(aten.select_scatter)
def select_scatter(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x, index = an.value(a["self"]), a["index"]
    at = a["dim"] % len(x.dims)
    if at != x.dim:
        if BATCH in x.dims[at]:
            raise RefusalError("it assigns to some of the batch")
        return _beside(an, node, a)
    if not isinstance(index, int):
        raise RefusalError("it assigns to a position that moves with the input's length")
    src = an.value(a["src"])
    if src.dim is not None:
        raise RefusalError("it assigns along another axis than the stream's")
    src = _with_axis(an, node, src, at)
    low = ("start", index) if index >= 0 else ("end", -index)
    high = ("start", index + 1) if index >= 0 else ("end", -index - 1)
    return _assigned(an, node, x, src, at, low, high)


def _with_axis(an: Analysis, node: fx.Node, x: Value, at: int) -> Value:
    """A value with an axis of one position more, as what it is assigned to has it."""
    return an.local(node, (*x.dims[:at], (), *x.dims[at:]), {node: x}, f"e[{x.slot}].unsqueeze({at})")


def _beside(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """An assignment along an axis other than the stream's: at each position."""
    whole, part, at = a["self"], a["src"], a["dim"] % len(an.value(a["self"]).dims)
    given = {n: an.value(n) for n in (whole, part)}
    one = len(given[part].dims) < len(given[whole].dims)  # assigned to one position, whose axis it lacks
    if one:
        given[part] = _with_axis(an, node, given[part], at)
    x, src = given[whole], given[part]
    if STREAMED in (x.kind, src.kind):
        given = brought_in_step(an, node, given)
        x, src = given[whole], given[part]
        if any(BATCH in d and x.dims[i] != d for i, d in enumerate(src.dims)):
            raise RefusalError("it assigns a batch to one item")
    elif x.kind != CONSTANT or src.kind != CONSTANT:
        raise RefusalError("it assigns what is known at the end alone")
    dims = x.dims if x.dim is not None else (*src.dims[:at], x.dims[at], *src.dims[at + 1 :])
    if one:
        lacking = (*src.dims[:at], *src.dims[at + 1 :])
        given[part] = an.local(node, lacking, {part: src}, f"e[{src.slot}].squeeze({at})")
    return an.local(node, dims, given)


def _assigned(
    an: Analysis,
    node: fx.Node,
    x: Value,
    src: Value,
    at: int,
    low: tuple[str, Any],
    high: tuple[str, Any],
) -> Value:
    """Positions from `low` to `high` replaced: what is before, the new ones, what is after."""
    if high[0] == "moving":
        raise RefusalError("it assigns up to a position that moves with the input's length")
    if x.kind != STREAMED and src.kind != STREAMED:
        raise RefusalError("it assigns to some positions of a constant")
    before, after = low[1], high[1]
    values: list[Value] = []
    lengths: list[int] = []
    if low[0] == "start" and before:
        values.append(_first(an, node, x, at, before))
        lengths.append(before)
    if low[0] == "end":
        values.append(piece(an, x, ("start", 0), ("end", before), 1) if x.kind == STREAMED else x)
        lengths.append(0)
    values.append(src)
    lengths.append(before - after if low[0] == high[0] == "end" else max(0, after - before))
    if high[0] == "start":
        values.append(piece(an, x, ("start", after), ("end", 0), 1) if x.kind == STREAMED else x)
        lengths.append(0)
    elif after:
        values.append(_last(an, node, x, at, after))
        lengths.append(after)
    streams = [v for v in values if v.kind == STREAMED]
    if len(streams) != 1 or any(v.dim is not None and v.kind != STREAMED for v in values):
        raise RefusalError("it assigns a constant to a part of the stream that has no fixed length")
    if len(values) == 1 and values[0].dtype == node.meta["val"].dtype:
        return values[0]
    return joined(an, node, values, lengths)


def _first(an: Analysis, node: fx.Node, x: Value, at: int, count: int) -> Value:
    if x.kind == STREAMED:
        return piece(an, x, ("start", 0), ("start", count), 1)
    return _fixed(an, node, x, at, count)


def _last(an: Analysis, node: fx.Node, x: Value, at: int, count: int) -> Value:
    if x.kind == STREAMED:
        return piece(an, x, ("end", count), ("end", 0), 1)
    return _fixed(an, node, x, at, count)


def _fixed(an: Analysis, node: fx.Node, x: Value, at: int, count: int) -> Value:
    """So many positions of a constant that is the same at all."""
    dims = (*x.dims[:at], size_factors(count), *x.dims[at + 1 :])
    sizes = ", ".join(str(count) if d == at else "-1" for d in range(len(x.dims)))
    return an.local(node, dims, {node: replace(x, dims=dims)}, f"e[{x.slot}].expand({sizes})")
