"""Slices and joins along the stream: what knows where it begins and ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy
import torch
from torch import fx

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import size_factors
from mediaconv.nn.graph.graph_values import LATE, STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rules.window_rules import needs_stream
from mediaconv.nn.graph.steps.end_steps import Head, Joined, Tail
from mediaconv.nn.graph.steps.graph_step import Late
from mediaconv.nn.graph.steps.window_steps import Sliding
from mediaconv.nn.graph.symbols import expression

aten = torch.ops.aten


def _without(v: Value, number: int) -> tuple:
    dims = list(v.dims)
    dims[v.dim] = size_factors(number)  # type: ignore[index]
    return tuple(dims)


def offset(an: Analysis, bound: Any, length: Any, default: int) -> tuple[str, Any]:
    """A bound of a slice as ("start", n) from the begin, ("end", n) before the end, or ("moving", ...)."""
    if isinstance(bound, fx.Node):
        bound = bound.meta["val"]
    if bound is None:
        return ("start", 0) if default == 0 else ("end", 0)
    if not an.streams(bound):
        number = an.size(bound)
        if number < 0:
            return "end", -number
        return ("end", 0) if number > 2**60 else ("start", number)
    at = expression(bound)
    if an.size(bound) < 0:  # counted from the end; a size of the stream before it may make that a fixed place
        at = expression(length) + at
        if getattr(at, "is_Integer", isinstance(at, int)):
            return "start", max(0, int(at))
    rest: Any = expression(length) - at
    rest = rest if isinstance(rest, int) else rest.simplify() if hasattr(rest, "simplify") else rest
    if getattr(rest, "is_Integer", isinstance(rest, int)):
        return ("end", int(rest)) if int(rest) >= 0 else ("end", 0)
    if default == 1:
        cut = sympy.Max(0, rest)  # an end past the last position cuts nothing
        try:
            least, most, function = an.amount(cut)
        except RefusalError:
            return _at_phase(an, at, cut)
        return ("end", most) if least == most else ("moving", (most, function, cut))
    return _at_phase(an, at, rest)


def _at_phase(an: Analysis, bound: Any, rest: Any) -> tuple[str, Any]:
    """A bound that repeats with the input's length, counted from the start or the end."""
    try:
        at = an.phase(bound)
        return ("start", at) if at >= 0 else ("end", -at)
    except RefusalError:
        pass
    try:
        return "end", max(0, an.phase(rest))
    except RefusalError:
        raise RefusalError("it cuts at a place that moves with the input's length") from None


def piece(an: Analysis, x: Value, low: tuple[str, Any], high: tuple[str, Any], step: int) -> Value:
    """Positions of a stream from one bound to another, as a stream or as one late value."""
    x = an.sole(x)
    needs_stream(an, x)
    out = an.slot()
    assert x.node is not None
    if high[0] == "moving" and (low[0] != "start" or step != 1):
        high = ("end", an.phase(high[1][2]))
    if high[0] == "moving":
        most, function, _ = high[1]
        window = Window(1, left=-low[1], right=-most)
        code = an.function(f"-({function.code})")
        waits = replace(window, right=min(0, x.node.following - most))
        cut = Sliding(out, x.slot, x.dims, x.dtype, waits, an.function("h", "h, e"), right=code)
        an.steps.append(cut)

        def length(total: int, each: list[int]) -> int:
            return each[0] + most - int(function((), 1, total, None))

        return Value(out, STREAMED, x.dims, x.dtype, an.after(x, window, length=length))
    if low[0] == high[0] == "start":
        if step != 1:
            raise RefusalError("it takes every few of the first positions")
        count = max(0, high[1] - low[1])
        an.steps.append(Head(out, x.slot, x.dims, x.dtype, low[1], max(low[1], high[1])))
        an.heads[out] = (x.node, high[1])
        return Value(out, LATE, _without(x, count), x.dtype)
    if low[0] == "end":
        if high[0] != "end" or step != 1:
            raise RefusalError("it cuts between places of which one moves with the input's length")
        an.steps.append(Tail(out, x.slot, x.dims, x.dtype, low[1], low[1] - high[1]))
        return Value(out, LATE, _without(x, low[1] - high[1]), x.dtype, at_end=True)
    if low[1] == high[1] == 0 and step == 1:
        an.slots -= 1
        return x
    window = Window(1, step, 1, -low[1], -high[1])
    if an.into_past and x.slot in an.untrimmed:
        window = Window(1, step, 1, 0, -high[1] - low[1])
    every = an.function(f"h[{':, ' * x.dim}::{step}]", "h, e")  # type: ignore[operator]
    waits, right = window, None
    if x.node.following and window.right < 0:
        waits = replace(window, right=min(0, x.node.following + window.right))
        right = an.function(str(window.right))
    an.steps.append(Sliding(out, x.slot, x.dims, x.dtype, waits, every, right=right))
    return Value(out, STREAMED, x.dims, x.dtype, an.after(x, window))


def needs_first(an: Analysis, length: Any, high: tuple[str, Any]) -> None:
    """Note that so many first positions must be there: shorter inputs are refused by name."""
    if high[0] == "start" and high[1] > 1:
        an.conditions.append(sympy.Ge(expression(length), high[1]))


def slice_stream(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    size = node.meta["val"].shape[x.dim]
    if x.kind != STREAMED:
        return x if an.streams(size) else _fixed(an, x, size, node)
    length = a["self"].meta["val"].shape[x.dim]
    step = a.get("step", 1)
    if not isinstance(step, int):
        raise RefusalError("its step is not a number")
    low = offset(an, a.get("start"), length, 0)
    high = offset(an, a.get("end"), length, 1)
    if an.streams(size):
        low, high = _open(size, length, low, high)
    if (low, high, step) == (("start", 0), ("end", 0), 1):  # as `n[:, None]` has it
        return x
    if low[0] == "start":
        needs_first(an, length, high)
    return piece(an, x, low, high, step)


def _open(size: Any, length: Any, low: tuple[str, Any], high: tuple[str, Any]) -> tuple[Any, Any]:
    """The bounds of a slice whose size grows with the stream, where numbers that lie past the other end mean
    "all", as in `x[2:10**9]`: the export holds while they do, which is one of its conditions.
    """
    if low[0] == high[0] == "start":
        return low, ("end", 0)
    if low[0] == high[0] == "end":
        return ("start", 0), high
    if low[0] == "end" and high[0] == "start" and expression(size) == expression(length):
        return ("start", 0), ("end", 0)
    return low, high


def _fixed(an: Analysis, x: Value, size: Any, node: fx.Node) -> Value:
    number = an.size(size)
    sizes = ", ".join(str(number) if d == x.dim else "-1" for d in range(len(x.dims)))
    v = replace(x, dims=_without(x, number))
    return an.local(node, v.dims, {node: x}, f"e[{x.slot}].expand({sizes})")


def select_stream(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["self"])
    if x.kind != STREAMED:
        return an.local(node, (*x.dims[: x.dim], *x.dims[x.dim + 1 :]), {a["self"]: x})  # type: ignore[operator,misc]
    index = a["index"]
    at: int = x.dim  # type: ignore[assignment]
    if not isinstance(index, int):
        low = offset(an, index, a["self"].meta["val"].shape[at], 0)
        if low[0] == "start":
            raise RefusalError("it picks a position that moves with the input's length")
        index = -low[1]
    low = ("start", index) if index >= 0 else ("end", -index)
    high = ("start", index + 1) if index >= 0 else ("end", -index - 1)
    needs_first(an, a["self"].meta["val"].shape[at], high)
    v = piece(an, x, low, high, 1)
    dims = (*v.dims[:at], *v.dims[at + 1 :])
    return an.local(node, dims, {node: v}, f"e[{v.slot}].select({at}, 0)")


def split_stream(an: Analysis, node: fx.Node, a: dict[str, Any]) -> list[Value]:
    x = an.value(a["self"])
    sizes = a.get("split_sizes", a.get("split_size"))
    if not isinstance(sizes, list | tuple):
        raise RefusalError("it cuts the stream axis into segments")
    out: list[Value] = []
    start = 0
    for i, size in enumerate(sizes):
        value = size.meta["val"] if isinstance(size, fx.Node) else size
        if an.streams(value):
            rest = sum(an.size(s.meta["val"] if isinstance(s, fx.Node) else s) for s in sizes[i + 1 :])
            if any(an.streams(s.meta["val"]) for s in sizes[i + 1 :] if isinstance(s, fx.Node)):
                raise RefusalError("it cuts the stream axis into segments")
            out.append(piece(an, x, ("start", start), ("end", rest), 1))
            for s in sizes[i + 1 :]:
                count = an.size(s.meta["val"] if isinstance(s, fx.Node) else s)
                out.append(piece(an, x, ("end", rest), ("end", rest - count), 1))
                rest -= count
            return out
        out.append(piece(an, x, ("start", start), ("start", start + an.size(value)), 1))
        start += an.size(value)
    return out


def cat_stream(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    values = [an.value(n) for n in a["tensors"]]
    dim = next(v.dim for v in values if v.dim is not None)
    return joined(an, node, values, [n.meta["val"].shape[dim] for n in a["tensors"]])


def joined(an: Analysis, node: fx.Node, values: list[Value], lengths: list[Any]) -> Value:
    """Values one after the other along the stream, one of them a stream. lengths: theirs along it."""
    streams = [i for i, v in enumerate(values) if v.kind == STREAMED]
    if len(streams) != 1:
        raise RefusalError("it puts one stream after another's end")
    at = streams[0]
    for i, v in enumerate(values[:at]):
        if v.dim is not None:  # a constant of a length that follows from the stream's, as padding in front
            count = an.phase(lengths[i])
            sizes = ", ".join(str(count) if d == v.dim else "-1" for d in range(len(v.dims)))
            dims = _without(v, count)
            values[i] = an.local(node, dims, {node: replace(v, dims=dims)}, f"e[{v.slot}].expand({sizes})")
            lengths[i] = count
    x = an.sole(values[at])
    dim: int = x.dim  # type: ignore[assignment]
    moving: list[tuple[int, Any]] = []
    tails, after = [], 0
    for v, length in zip(values[at + 1 :], lengths[at + 1 :], strict=True):
        if v.dim is None:
            after += an.size(length)
            tails.append(v.slot)
        else:  # a constant of a length that follows from the stream's, as padding to a multiple
            _, most, function = an.amount(length)
            moving.append((most, function))
            after += most
            sizes = ", ".join(function.code if d == dim else "-1" for d in range(len(v.dims)))
            tails.append(an.slot())
            expand = an.function(f"e[{v.slot}].expand({sizes})")
            an.steps.append(Late(tails[-1], expand, (v.slot,), True))
    before = sum(an.size(length) for length in lengths[:at])
    heads = [v for v, length in zip(values[:at], lengths[:at], strict=True) if an.size(length)]
    out = an.slot()
    an.steps.append(Joined(out, x.slot, x.dims, x.dtype, tuple(v.slot for v in heads), tuple(tails)))
    waits = any(v.at_end for v in heads)
    if waits:
        an.note_whole()

    def total_length(total: int, each: list[int]) -> int:
        return each[0] + sum(int(function((), 1, total, None)) - most for most, function in moving)

    window = Window(1, left=before, right=after)
    first = an.heads_of(v.slot for v in heads)
    joined = an.after(x, window, whole=waits, heads=first, length=total_length if moving else None)
    return Value(out, STREAMED, x.dims, node.meta["val"].dtype, joined)
