"""The tensors of a captured graph as its analysis sees them: constants, late values and streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from mediaconv.nn.graph.axis_factors import STREAM, Dims, find
from mediaconv.nn.graph.maps import MapNode

CONSTANT, LATE, STREAMED, TABLE, WHOLE = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Value:
    """A tensor of the graph. kind: constant, late or streamed. node: what it reads along the stream.

    dims has STREAM for a stream, and for a constant that is the same at every position (1 long there).
    at_end: a late value that waits for the end of the input. A table over pairs of positions, of which the
    mask of attention alone is made, is no more than its kind. What no rule streams is whole: it is made at
    the end, for all of the input, and has no dims.
    """

    slot: int
    kind: int
    dims: Dims
    dtype: torch.dtype
    node: MapNode | None = None
    at_end: bool = False

    @property
    def dim(self) -> int | None:
        return find(self.dims, STREAM)


@dataclass(frozen=True)
class Pairs:
    """A tensor over pairs of positions, (..., queries, keys): scores of attention, and what is made of them.

    It is never there as a whole: `chain` makes it of the queries and keys of a block, slot by slot, and of
    `tables` (slot to node) over the same pairs. leading: dimensions before the last two. single: it has one
    number a query, as a sum over keys.
    """

    slot: int
    query: Value
    key: Value
    key_at: int
    leading: Dims
    dtype: torch.dtype
    chain: tuple[tuple[int, Any], ...]
    tables: dict[int, fx.Node] = field(default_factory=dict)
    constants: dict[int, Value] = field(default_factory=dict)
    single: bool = False
