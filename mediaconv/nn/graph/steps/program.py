"""A captured graph made ready to stream along one axis: its steps, slots and maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from mediaconv.nn.graph.axis_factors import Dims
from mediaconv.nn.graph.maps import GraphMap, MapNode
from mediaconv.nn.graph.steps.graph_step import Late, Step


@dataclass(eq=False)
class Program:
    """Steps along one axis for one size of the others. parameters: slot to the placeholder's node.

    masks: buffers that masks of attention were read from, and their versions then. values: of the graph's
    nodes, for tables. phases: sizes that follow from the input's length, and what they are where it holds.
    conditions: on sizes, under which it holds, beside those of the export. unstreamed: why
    something is computed at the end alone.
    """

    steps: list[Step]
    slots: int
    x: int
    y: int
    parameters: dict[int, fx.Node]
    constants: list[Late]
    y_dims: Dims
    y_dtype: torch.dtype
    map: GraphMap
    batch: int | None
    chained: list[Step]
    notes: list[str] = field(default_factory=list)
    masks: dict[fx.Node, int] = field(default_factory=dict)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    phases: dict[Any, int] = field(default_factory=dict)
    conditions: list[Any] = field(default_factory=list)
    unstreamed: list[str] = field(default_factory=list)
    _maps: dict[int, GraphMap] = field(default_factory=dict)

    def map_of(self, node: MapNode) -> GraphMap:
        """What a value reads of the input; made once for each, since many operations share one."""
        return self._maps.setdefault(id(node), GraphMap(node))
