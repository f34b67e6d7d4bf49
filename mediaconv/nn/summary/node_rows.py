"""The rows of a captured model's operations in a trace, below the row of the model. Analyses nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from torch import nn

from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.geometry import WHOLE, AxisMap
from mediaconv.nn.streaming.protocol import TotalStride
from mediaconv.nn.summary.trace_rows import Row

if TYPE_CHECKING:
    from mediaconv.nn.graph.nodes import Node

_BYTES = 4
"""Of a float32 value."""


class CapturedNode(TotalStride, nn.Module):
    """One operation of a captured model, for what it reads of its own input. It computes nothing."""

    def __init__(self, own: Sequence[AxisMap | None]) -> None:
        super().__init__()
        self.own = tuple(own)

    def axis_map(self, axis: int) -> AxisMap:
        along = self.own[axis]
        if along is None:
            raise TypeError(f"what it reads along axis {axis} is not known")
        return along


def is_captured(module: nn.Module) -> bool:
    """Whether a layer is a captured model."""
    import sys

    graph = sys.modules.get("mediaconv.nn.graph.graph")  # torch.export is not loaded to ask
    return graph is not None and isinstance(module, graph.StreamingGraph)


def node_rows(row: Row, time_axis: int) -> list[Row]:
    """A row for each operation of a captured model on its stream. row: the model's own."""
    from mediaconv.nn.graph.nodes import captured_nodes

    nodes = captured_nodes(row.module, row.before)  # type: ignore[arg-type]
    return [_row(node, row, time_axis) for node in nodes]


def _row(node: Node, model: Row, time_axis: int) -> Row:
    seen = [
        None if along is None else Chain((*_flat(before), along))
        for before, along in zip(model.maps, node.maps, strict=True)
    ]
    own, own_seen = node.own[time_axis], seen[time_axis]
    return Row(
        name=f"{model.name}.{node.name}" if model.name else node.name,
        layer=node.operation,
        depth=model.depth + 1,
        before=node.before,
        after=node.after,
        parameters=node.parameters,
        multiply_adds=node.multiply_adds,
        receptive_field=tuple(WHOLE if m is None else m.receptive_field for m in seen),
        stride=tuple(Fraction(1) if m is None else m.total_stride for m in seen),
        latency=WHOLE if own_seen is None else own_seen.latency,
        lookahead=WHOLE if own is None else own.latency,
        state_bytes=(0, None),
        activation_bytes=(_BYTES * math.prod(node.after), None),
        moves=(),
        module=CapturedNode(node.own),
        maps=model.maps,
    )


def _flat(before: AxisMap) -> tuple[AxisMap, ...]:
    return before.maps if isinstance(before, Chain) else (before,)
