"""The longest input whose positions all stand in a captured module's tables, as a learned one of positions.

Known from the graph: an index that follows from sizes alone is computed for a size, the module is not run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.symbols import depends, evaluate, expression

_MOST = 2**20
"""Positions of an index up to which an end is looked for."""
_aten = torch.ops.aten


def within_tables(captured: Captured, dim: int, length: int) -> int | None:
    """The longest input along `dim`, from `length` on, past which an index leaves its table; None for none.

    An index that reads the input's values is not looked at.
    """
    size = captured.sizes[dim]
    if size.symbol is None:
        return None
    every = (_Index(captured, read, dim) for read in dict.fromkeys(_reads(captured.graph)))
    indexes = [index for index in every if index.follows_sizes()]
    if not indexes:
        return None
    low = size.value(length)
    high = low
    while all(index.within(high) for index in indexes):
        low, high = high, 2 * high
        if any(index.count(high) > _MOST for index in indexes):
            return None
    if high == low:  # the example's own: the module refuses that
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if all(i.within(middle) for i in indexes) else (low, middle)
    return low * size.factor + size.offset


def _reads(graph: fx.Graph) -> Iterator[tuple[fx.Node, int, fx.Node]]:
    """A table, the axis along which it is read, and the positions, of each operation that reads one."""
    for node in graph.nodes:
        kind = getattr(node.target, "overloadpacket", None)
        if kind is _aten.embedding:
            yield node.args[0], 0, node.args[1]
        elif kind in (_aten.index_select, _aten.gather):
            yield node.args[0], node.args[1], node.args[2]
        elif kind is _aten.index:
            indices = node.args[1]
            whole = all(i is None or i.meta["val"].dtype == torch.int64 for i in indices)
            for axis, positions in enumerate(indices if whole else ()):
                if positions is not None:
                    yield node.args[0], axis, positions


class _Index:
    """Positions in a table, computed for values of the stream axis's symbol."""

    def __init__(self, captured: Captured, read: tuple[fx.Node, int, fx.Node], dim: int) -> None:
        table, axis, self.positions = read
        self.size, self.rows = captured.sizes[dim], expression(table.meta["val"].shape[axis])
        self.known = {str(s.symbol): 2 for s in captured.sizes if s.symbol is not None}
        self.stored = {**captured.constants, **captured.buffers}

    def follows_sizes(self) -> bool:
        """Whether the positions follow from the stream axis's size, and from no value of the input."""
        shape = self.positions.meta["val"].shape
        return any(depends(expression(n), self.size.symbol) for n in shape) and self._known(self.positions)

    def _known(self, node: fx.Node) -> bool:
        todo, seen = [node], {node}
        while todo:
            one = todo.pop()
            if not isinstance(one.meta.get("val"), Tensor):
                continue  # a size
            if one.op == "placeholder" and one not in self.stored:
                return False
            todo += [n for n in one.all_input_nodes if n not in seen]
            seen.update(one.all_input_nodes)
        return True

    def _values(self, symbol: int) -> dict[str, int]:
        return {**self.known, str(self.size.symbol): symbol}

    def count(self, symbol: int) -> int:
        """How many positions there are."""
        values = self._values(symbol)
        return math.prod(int(evaluate(expression(n), values)) for n in self.positions.meta["val"].shape)

    def within(self, symbol: int) -> bool:
        """Whether all positions are in the table; so, too, where they cannot be computed."""
        values = self._values(symbol)
        try:
            found = self._computed(self.positions, values, {})
            rows = int(evaluate(self.rows, values))
        except Exception:  # of any kind: a step that takes no such size
            return True
        return not found.numel() or bool(-rows <= found.min() and found.max() < rows)

    def _computed(self, node: Any, values: dict[str, int], done: dict[fx.Node, Any]) -> Any:
        if node in done:
            return done[node]
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            done[node] = evaluate(expression(value), values)
        elif node.op == "placeholder":
            done[node] = self.stored[node]
        else:
            args, kwargs = fx.node.map_arg(
                (node.args, node.kwargs), lambda n: self._computed(n, values, done)
            )
            done[node] = node.target(*args, **kwargs)
        return done[node]
