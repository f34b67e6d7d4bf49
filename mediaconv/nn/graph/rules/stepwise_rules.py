"""Recurrences of any making: the past in a state of their own shape, none of the future."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Dims, find
from mediaconv.nn.graph.capture.stepwise import body_named
from mediaconv.nn.graph.graph_values import LATE, STREAMED, Value
from mediaconv.nn.graph.maps import MapNode
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.steps.stepwise_step import Stepwise


@rule(torch.ops.mediaconv.stepwise)
def stepwise(an: Analysis, node: fx.Node, a: dict[str, Any]) -> list[Value]:
    body = body_named(a["body"])
    xs = [an.value(n) for n in a["xs"]]
    starts, uses = [an.value(n) for n in a["state"]], [an.value(n) for n in a["constants"]]
    if any(v.dim is not None for v in uses):
        raise RefusalError("a recurrence that reads more of a stream than the step it is at")
    if any(v.kind == STREAMED for v in starts):
        raise RefusalError("a recurrence over another axis, which starts from the stream's positions")
    if any(v.at_end for v in (*starts, *uses)):
        raise RefusalError("a recurrence that starts from, or computes with, a value of the input's end")
    if any(x.dim != 0 for x in xs):
        raise RefusalError("a recurrence over another axis than the stream's")
    xs = [x if x.dims[0] == (STREAM,) else an.sole(x) for x in xs]
    late = [v for v in (*starts, *uses) if v.kind == LATE]
    if len(xs) > 1 or late:
        xs = an.align([*xs, *late])[: len(xs)]
    results = node.meta["val"]
    outputs, last = results[: len(results) - len(starts)], results[len(results) - len(starts) :]
    batch_at = find(xs[0].dims[1:], BATCH)
    dims = tuple(_dims(an, v.shape, batch_at) for v in last)
    outs, ends = [an.slot() for _ in outputs], [an.slot() for _ in starts]
    slots = [tuple(v.slot for v in values) for values in (xs, starts, uses)]
    first = (outs or ends)[0]
    an.steps.append(Stepwise(first, body, slots[0], tuple(outs), slots[1], tuple(ends), slots[2], dims))
    assert xs[0].node is not None
    reads = MapNode(((xs[0].node, IDENTITY),), past=True)
    streams = [
        Value(slot, STREAMED, ((STREAM,), *_dims(an, v.shape[1:], batch_at)), v.dtype, reads)
        for slot, v in zip(outs, outputs, strict=True)
    ]
    return streams + [
        Value(slot, LATE, d, v.dtype, at_end=True) for slot, d, v in zip(ends, dims, last, strict=True)
    ]


def _dims(an: Analysis, sizes: Sequence[Any], batch_at: int | None) -> Dims:
    """Dimensions of a step's tensor. A batch of a fixed size is where the input has it."""
    dims = an.sized_dims(sizes)
    if an.batch_symbol is not None or batch_at is None or batch_at >= len(dims):
        return dims
    batched = an.size(sizes[batch_at]) == an.batch
    return (*dims[:batch_at], (BATCH,), *dims[batch_at + 1 :]) if batched else dims
