"""Masks of attention over the stream: tables over pairs of positions that follow from the length alone.

A mask is computed as the model computes it, at a length of more than twice every number in its computation,
and taken where it is the same along every diagonal: then what a query may read depends on the distance alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.symbols import evaluate, expression

MOST = 1500
"""The largest number in a mask's computation, as the window of attention, for which it is computed."""
_CLOSED = -1e4
"""A number added to a score that leaves nothing of it."""
_LEAST = -1e8
"""Numbers below it are such: no window is as long."""
attention = torch.ops.aten.scaled_dot_product_attention.default


@dataclass(frozen=True)
class Mask:
    """What attention reads by distance. lookback: steps, None for all; lookahead: steps.

    bias: (heads or 1, lookback + 1 + lookahead) added to scores, for distances from the farthest past on; an
    unbounded mask has one for all the past, its farthest.
    """

    lookback: int | None
    lookahead: int
    bias: Tensor


CAUSAL = Mask(None, 0, torch.zeros(1, 1))


def mask_nodes(graph: fx.Graph, constants: Mapping[fx.Node, Tensor]) -> set[fx.Node]:
    """Nodes that follow from sizes and fixed numbers alone and that nothing but an attention's mask reads."""
    from_sizes: set[fx.Node] = set(constants)
    for node in graph.nodes:
        made = node.op == "call_function" and isinstance(node.meta.get("val"), Tensor)
        read = [n for n in node.all_input_nodes if isinstance(n.meta.get("val"), Tensor | list | tuple)]
        if made and all(n in from_sizes for n in read):
            from_sizes.add(node)
    alone: set[fx.Node] = set()
    for node in reversed(list(graph.nodes)):
        if node in from_sizes and node.users and all(_as_mask(node, user, alone) for user in node.users):
            alone.add(node)
    return {n for n in alone if n.op == "call_function"}


def _as_mask(node: fx.Node, user: fx.Node, alone: set[fx.Node]) -> bool:
    if user.target is attention:
        given = user.args[3] if len(user.args) > 3 else user.kwargs.get("attn_mask")
        return given is node and node not in user.args[:3]
    checks = user.op == "call_function" and not isinstance(user.meta.get("val"), Tensor | list | tuple)
    return user in alone or checks


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
            fresh = [n for n in one.all_input_nodes if n not in seen and isinstance(n.meta["val"], Tensor)]
            seen.update(fresh)
            todo += fresh
        order = {n: i for i, n in enumerate(node.graph.nodes)}
        self.nodes.sort(key=order.__getitem__)

    def largest(self) -> float:
        """The largest number in the computation."""
        numbers = [0.0]
        for t in self.constants.values():
            numbers += _numbers(t.flatten()[: 4 * MOST].tolist())
            numbers.append(float(t.numel()))
        for node in self.nodes:
            if node not in self.constants:
                numbers += _numbers([*node.args, *node.kwargs.values()])
        return max(numbers)

    def at(self, symbol: str, value: int) -> Tensor:
        """The table at a value of the length's symbol."""
        sizes = {**self.sizes, symbol: value}
        env: dict[fx.Node, Any] = {}

        def argument(n: fx.Node) -> Any:
            return env[n] if n in env else evaluate(expression(n.meta["val"]), sizes)

        for node in self.nodes:
            if node in self.constants:
                env[node] = self.constants[node]
                continue
            args, kwargs = fx.map_arg((node.args, node.kwargs), argument)
            env[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return env[self.node].cpu()


def by_distance(table: Tensor) -> Mask:
    """A square table as a mask by distance. Raises RefusalError where it is none."""
    n = table.shape[-1]
    table = table.reshape(-1, *table.shape[-3:]) if table.ndim > 3 else table.reshape(1, -1, n, n)
    if not bool((table == table[:1]).all()):
        raise RefusalError("attention with a mask that differs by item of the batch")
    bias = table[0]
    if bias.dtype == torch.bool:
        bias = torch.zeros(bias.shape).masked_fill(~bias, -torch.inf)
    bias = bias.double().masked_fill(bias <= _CLOSED, -torch.inf)
    if not bool((bias[:, 1:, 1:] == bias[:, :-1, :-1]).all()):
        raise RefusalError("attention with a mask that is not the same at every distance")
    # from the farthest past, the first column upwards, to the farthest future, the first row
    values = torch.cat([bias[:, :, 0].flip(1), bias[:, 0, 1:]], 1)
    opened = (values > -torch.inf).any(0).nonzero().flatten()
    if not len(opened):
        raise RefusalError("attention with a mask that opens nothing")
    far, zero = n // 2, n - 1
    if int(opened[-1]) >= zero + far:
        raise RefusalError("attention whose mask reads the whole future")
    lookahead = max(0, int(opened[-1]) - zero)
    if int(opened[0]) > zero - far:
        lookback = max(0, zero - int(opened[0]))
        return Mask(lookback, lookahead, values[:, zero - lookback : zero + lookahead + 1])
    if not bool((values[:, : n - far] == values[:, :1]).all()):
        raise RefusalError("attention whose bias has no end")
    return Mask(None, lookahead, values[:, zero - far : zero + lookahead + 1])
