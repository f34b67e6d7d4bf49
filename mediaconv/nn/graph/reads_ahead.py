"""Which operations of a causal twin still read ahead: those that read later than what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx

from mediaconv.nn.graph.graph_values import Value
from mediaconv.nn.graph.maps import GraphMap, MapNode
from mediaconv.nn.graph.refusal import Origin


def reads_ahead(y: Value, values: Mapping[fx.Node, Any], known_reasons: Mapping[fx.Node, str]) -> list[str]:
    """The operations behind the output `y` that still read what comes later, in words.

    values: by the graph's nodes. known_reasons: what is known of some of them.
    """
    assert y.node is not None
    order = {id(n) for n in GraphMap(y.node).order}
    known: dict[int, float] = {}
    reasons = []
    for node, value in values.items():
        at = value.node if isinstance(value, Value) else None
        if at is None or id(at) not in order or id(at) in known:
            continue
        before = max((_latency(source, known) for source, _ in at.sources), default=0)
        steps = _latency(at, known) - before
        if steps > 0:
            words = known_reasons.get(node, f"it reads {steps} of the input's steps ahead")
            reasons.append(Origin.of(node).message(f"{words}: {_PADDED}"))
    return reasons


_PADDED = "pad ahead of it (torch.nn.functional.pad), which the twin does at the start, or cut less there"


def _latency(node: MapNode, known: dict[int, float]) -> float:
    if id(node) not in known:
        known[id(node)] = GraphMap(node).latency
    return known[id(node)]
