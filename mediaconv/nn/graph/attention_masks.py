"""Masks of attention over the stream: tables over pairs of positions that follow from the length alone.

A mask is computed as the model computes it, at lengths far beyond the numbers in its computation, and taken
where it is the same along every diagonal, for each of so many phases of the query's position: then what a
query may read depends on the distance and on its phase. Masks in blocks have a phase for each place in one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import typed_like
from mediaconv.nn.graph.symbols import evaluate, expression

MOST = 1500
"""The largest number in a mask's computation, as the window of attention, for which it is computed."""
_LONG = 2000
"""Positions of the second table at least, so that windows which are products of numbers are seen."""
_CLOSED = -1e4
"""A number added to a score that leaves nothing of it."""
_LEAST = -1e8
"""Numbers below it are such: no window is as long."""
_FEW = 16
"""Entries of a constant that are taken for numbers of a computation."""
attention = torch.ops.aten.scaled_dot_product_attention.default


@dataclass(frozen=True)
class Diagonals:
    """A table over pairs of positions by the distance of key from query, for each phase of the query.

    values: (phases, ..., distances), `ahead` of them after the query's own; beyond both ends as at the end.
    """

    values: Tensor
    ahead: int

    def block(self, start: int, end: int, low: int, high: int) -> Tensor:
        """The table for queries from `start` to `end` and keys from `low` to `high`: (..., queries, keys)."""
        last = self.values.shape[-1] - 1
        queries = torch.arange(start, end)[:, None]
        at = (torch.arange(low, high)[None] - queries + (last - self.ahead)).clamp(0, last)
        phases = self.values.shape[0]
        if phases == 1:
            return self.values[0][..., at]
        return self.values.movedim(0, -2)[..., queries % phases, at]

    def cut(self, back: int, ahead: int) -> Diagonals:
        """Distances from so far back to so far ahead alone."""
        zero = self.values.shape[-1] - 1 - self.ahead
        return Diagonals(self.values[..., zero - back : zero + ahead + 1].clone(), ahead)


@dataclass(frozen=True)
class Mask:
    """What attention reads by distance. lookback: steps, None for all; lookahead: steps; of any phase.

    bias: added to scores, for distances from the farthest past on; an unbounded mask has one for all the
    past, its farthest. limit: positions that the model has a mask for.
    """

    lookback: int | None
    lookahead: int
    bias: Diagonals
    limit: int | None = None

    @property
    def phases(self) -> int:
        return self.bias.values.shape[0]

    def reach(self) -> MaskReach:
        """What a query reads, as the map of an axis."""
        opened = (self.bias.values > -torch.inf).flatten(1, -2).any(1)
        return MaskReach(opened.numpy(), self.bias.ahead)


CAUSAL = Mask(None, 0, Diagonals(torch.zeros(1, 1, 1), 0))


class MaskReach(AxisMap):
    """Positions that a mask opens. opened: (phases, distances), `ahead` of them after the query's own."""

    def __init__(self, opened: np.ndarray, ahead: int) -> None:
        self._offsets_of = [np.flatnonzero(row) - (opened.shape[1] - 1 - ahead) for row in opened]

    @property
    def total_stride(self) -> Fraction:
        return Fraction(1)

    @property
    def period(self) -> int:
        return len(self._offsets_of)

    @property
    def input_period(self) -> int:
        return len(self._offsets_of)

    def output_length(self, length: int) -> int:
        return length

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        sets = [
            (outputs[outputs % self.period == phase][:, None] + offsets).ravel()
            for phase, offsets in enumerate(self._offsets_of)
        ]
        return np.unique(np.concatenate(sets))


def mask_nodes(graph: fx.Graph, constants: Mapping[fx.Node, Tensor]) -> set[fx.Node]:
    """Nodes that follow from sizes and fixed numbers alone and are tables over pairs of positions, or are
    read for such tables alone.
    """
    from_sizes: set[fx.Node] = set(constants)
    for node in graph.nodes:
        made = node.op == "call_function" and isinstance(node.meta.get("val"), Tensor)
        if made and all(n in from_sizes for n in _read(node)):
            from_sizes.add(node)
    alone: set[fx.Node] = set()
    for node in reversed(list(graph.nodes)):
        if node in from_sizes and node.users and all(_as_mask(node, user, alone) for user in node.users):
            alone.add(node)
    return {n for n in alone if n.op == "call_function"}


def _read(node: fx.Node) -> list[fx.Node]:
    """The tensors whose values a node's own follow from."""
    like = typed_like(node.target)
    read = (
        node.all_input_nodes
        if like is None
        else [n for n in node.all_input_nodes if n is not node.args[like]]
    )
    return [n for n in read if isinstance(n.meta.get("val"), Tensor | list | tuple)]


def _as_mask(node: fx.Node, user: fx.Node, alone: set[fx.Node]) -> bool:
    if user.target is attention:
        given = user.args[3] if len(user.args) > 3 else user.kwargs.get("attn_mask")
        return given is node and node not in user.args[:3]
    checks = user.op == "call_function" and not isinstance(user.meta.get("val"), Tensor | list | tuple)
    return user in alone or checks or (_is_square(user) and _is_square(node))


def _is_square(node: fx.Node) -> bool:
    """Whether the last two axes of a value are the same size, and follow the input's."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.ndim < 2:
        return False
    rows, columns = (expression(size) for size in value.shape[-2:])
    return not isinstance(rows, int) and bool(getattr(rows, "free_symbols", ())) and rows == columns


def _numbers(arguments: Any) -> Iterator[float]:
    if isinstance(arguments, list | tuple):
        for a in arguments:
            yield from _numbers(a)
    elif isinstance(arguments, int | float) and math.isfinite(arguments) and _LEAST < arguments < 2**60:
        yield abs(arguments)


class MaskTable:
    """A mask's nodes, computed at any length. symbol: of the length; sizes: values of the others."""

    def __init__(self, node: fx.Node, constants: Mapping[fx.Node, Tensor], sizes: Mapping[str, int]) -> None:
        self.node, self.constants, self.sizes = node, constants, dict(sizes)
        self.nodes: list[fx.Node] = []
        seen, todo = {node}, [node]
        while todo:
            one = todo.pop()
            self.nodes.append(one)
            fresh = [n for n in _read(one) if n not in seen and isinstance(n.meta["val"], Tensor)]
            seen.update(fresh)
            todo += fresh
        order = {n: i for i, n in enumerate(node.graph.nodes)}
        self.nodes.sort(key=order.__getitem__)

    def largest(self) -> float:
        """The largest number in the computation, but for entries of large tables."""
        numbers = [0.0]
        for node in self.nodes:
            if node in self.constants:
                t = self.constants[node]
                numbers += _numbers(t.tolist() if t.numel() <= _FEW else [])
                numbers.append(float(t.numel() if t.numel() <= MOST else 0))
            else:
                numbers += _numbers([*node.args, *node.kwargs.values()])
        return max(numbers)

    def at(self, symbol: str, value: int) -> Tensor:
        """The table at a value of the length's symbol."""
        sizes = {**self.sizes, symbol: value}
        env: dict[fx.Node, Any] = {}

        def argument(n: fx.Node) -> Any:
            if n in env or isinstance(n.meta["val"], Tensor):  # one that is not here is read for its type
                return env.get(n)
            return evaluate(expression(n.meta["val"]), sizes)

        for node in self.nodes:
            if node in self.constants:
                env[node] = self.constants[node].cpu()
                continue
            args, kwargs = fx.map_arg((node.args, node.kwargs), argument)
            like = typed_like(node.target)
            if like is not None:
                args = (
                    *args[:like],
                    torch.empty(0, dtype=node.meta["val"].dtype),
                    *args[like + 1 :],
                )
            if "device" in kwargs:
                kwargs = {**kwargs, "device": torch.device("cpu")}
            env[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return env[self.node]


# --- a table by distance -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probed:
    """A table by distance, computed for `length` positions. limited: there is none for more of them.

    far: distance up to which it was seen in the middle; what is open there is taken to be open beyond.
    """

    diagonals: Diagonals
    length: int
    limited: bool

    @property
    def far(self) -> int:
        phases = self.diagonals.values.shape[0]
        return self.length - 1 if self.limited else self.length // 2 - phases


def probed(largest: float, at_length: Callable[[int], Tensor]) -> Probed:
    """A table found the same at two lengths. largest: number in its computation; at_length: of positions."""
    if largest > MOST:
        raise RefusalError(f"attention whose mask is computed with numbers of more than {MOST}")
    sizes = (3 * int(largest) + 64, max(3 * int(largest) + 101, _LONG + 1))
    tables = [at_length(n) for n in sizes]
    length = tables[1].shape[-1]
    limited = length < sizes[1] - 8 and at_length(sizes[1] + 200).shape[-1] == length
    if limited:
        tables[0] = at_length(length - 37 if length > 64 else length)
    short, long = (_by_distance(t) for t in tables)
    if long.values.shape[0] != short.values.shape[0]:
        raise RefusalError("attention with a mask that changes with the length")
    kept = short.ahead - short.values.shape[0] if limited else short.ahead // 2
    short, near = short.cut(kept, kept), long.cut(kept, kept)
    if not torch.equal(short.values, near.values):
        raise RefusalError("attention with a mask that changes with the length")
    return Probed(long, length, limited)


def _by_distance(table: Tensor) -> Diagonals:
    """A square table (..., n, n) by distance. Raises RefusalError where it is none."""
    n = table.shape[-1]
    if table.ndim > 3:
        if not bool((table == table[:1]).all()):
            raise RefusalError("attention with a mask that differs by item of the batch")
        table = table[:1]
    phases = next((p for p in range(1, max(2, n // 4)) if _repeats(table, p)), None)
    if phases is None:
        raise RefusalError("attention with a mask that is not the same at every distance")
    far, rows = n - 1, []
    for phase in range(phases):
        i = (
            phase + (n - 1 - phase) // phases * phases
        )  # the past in the last row of it, the rest in the first
        past, ahead = table[..., i, : i + 1], table[..., phase, phase + 1 :]
        missing = table[..., i, :1].expand(*past.shape[:-1], far - i)
        beyond = table[..., phase, -1:].expand(*ahead.shape[:-1], far - ahead.shape[-1])
        rows.append(torch.cat([missing, past, ahead, beyond], -1))
    return Diagonals(torch.stack(rows), far)


def _repeats(table: Tensor, phases: int) -> bool:
    """Whether rows so far apart are the same, moved along: tried in one row, then in all."""
    middle = table.shape[-1] // 2
    if middle + phases >= table.shape[-1]:
        return table.shape[-1] == 1
    moved, row = table[..., middle + phases, phases:], table[..., middle, :-phases]
    return torch.equal(moved, row) and torch.equal(
        table[..., phases:, phases:], table[..., :-phases, :-phases]
    )


def opened_range(opened: Tensor, ahead: int, far: int) -> tuple[int | None, int]:
    """Look-back, None for all the past, and look-ahead of distances (..., distances) that are opened.

    ahead: of them, how many lie after the query's own. far: what is open there is open beyond.
    """
    distances = opened.flatten(0, -2).any(0).nonzero().flatten() - (opened.shape[-1] - 1 - ahead)
    if not len(distances):
        raise RefusalError("attention with a mask that opens nothing")
    first, last = int(distances[0]), int(distances[-1])
    if last >= far:
        raise RefusalError("attention whose mask reads the whole future")
    return (None if first <= -far else max(0, -first)), max(0, last)


def constant_past(table: Probed) -> int:
    """The farthest distance back at which a table is another than beyond. Refuses one that has no end."""
    d = table.diagonals
    zero = d.values.shape[-1] - 1 - d.ahead
    past = d.values[..., zero - table.far : zero]
    differs = (past != past[..., :1]).flatten(0, -2).any(0).nonzero().flatten()
    farthest = table.far - int(differs[0]) if len(differs) else 0
    if not table.limited and farthest > table.far // 2:
        raise RefusalError("attention whose bias has no end")
    return farthest


def mask_of(table: Probed) -> Mask:
    """The mask of scaled_dot_product_attention, opened or added to its scores."""
    d = table.diagonals
    bias = d.values.flatten(1, -2) if d.values.ndim > 2 else d.values[:, None]
    if bias.dtype == torch.bool:
        bias = torch.zeros(bias.shape).masked_fill(~bias, -torch.inf)
    bias = bias.double().masked_fill(bias <= _CLOSED, -torch.inf)
    found = Diagonals(bias, d.ahead)
    lookback, lookahead = opened_range(bias > -torch.inf, d.ahead, table.far)
    limit = table.length if table.limited else None
    if lookback is None:
        back = min(table.far, constant_past(Probed(found, table.length, table.limited)) + 1)
        return Mask(None, lookahead, found.cut(back, lookahead), limit)
    return Mask(lookback, lookahead, found.cut(lookback, lookahead), limit)
