"""The tensors of a captured graph as its analysis sees them: constants, late values and streams."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mediaconv.nn.graph.axis_factors import STREAM, Dims, find
from mediaconv.nn.graph.maps import MapNode

CONSTANT, LATE, STREAMED, TABLE = 0, 1, 2, 3


@dataclass(frozen=True)
class Value:
    """A tensor of the graph. kind: constant, late or streamed. node: what it reads along the stream.

    dims has STREAM for a stream, and for a constant that is the same at every position (1 long there).
    at_end: a late value that waits for the end of the input. A table over pairs of positions, of which the
    mask of attention alone is made, is no more than its kind.
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
