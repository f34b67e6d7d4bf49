"""Attention over the stream where a causal mask or a window bounds it: keys and values are kept for it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.analysis import Analysis, rule
from mediaconv.nn.graph.attention_masks import CAUSAL, MOST, Mask, MaskTable, by_distance
from mediaconv.nn.graph.axis_factors import BATCH, STREAM
from mediaconv.nn.graph.graph_values import STREAMED, TABLE, Value
from mediaconv.nn.graph.maps import MapNode
from mediaconv.nn.graph.refusal import Origin, RefusalError
from mediaconv.nn.graph.rules.local_rules import UNBOUNDED
from mediaconv.nn.graph.steps.graph_step import Buffered, Run
from mediaconv.nn.streaming.state import State

aten = torch.ops.aten
_SAME = 32
"""Distances at which masks of two lengths are compared, where all the past is open."""
_BLOCK = 256
"""Queries that are computed at once, so that scores need memory for a block, not for a chunk by itself."""


@rule(aten.scaled_dot_product_attention)
def attention(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    names = ["query", "key", "value"]
    q, k, v = (an.value(a[n]) for n in names)
    back = {t.dim - len(t.dims) for t in (q, k, v) if t.dim is not None}
    if a["dropout_p"]:
        raise RefusalError("it is random in training mode: call .eval() first")
    if back == {-2} and all(t.kind == STREAMED for t in (q, k, v)):
        return _over_stream(an, node, a, [q, k, v])
    if len(back) != 1 or min(back) >= -2:
        raise RefusalError("attention over the stream axis: " + UNBOUNDED)
    if a["attn_mask"] is not None and an.value(a["attn_mask"]).dim is not None:
        raise RefusalError("attention with a mask that follows the stream")
    values = dict(zip([a[n] for n in names], an.align([q, k, v]), strict=True))
    return an.local(node, (*q.dims[:-1], v.dims[-1]), values)


def _over_stream(an: Analysis, node: fx.Node, a: dict[str, Any], values: list[Value]) -> Value:
    mask = CAUSAL if a["is_causal"] else _mask(an, a["attn_mask"], values[0])
    q, k, v = an.align(values)
    if any(t.dims[0] != (BATCH,) or t.dims[-2] != (STREAM,) for t in (q, k, v)) or q.node is None:
        raise RefusalError("attention over a stream that is folded with other axes")
    if mask.lookback is None:
        note = Origin.of(node).message("it keeps the keys and values of all the past: memory grows with it")
        an.notes.append(note)
        window = Window(1 + mask.lookahead, right=mask.lookahead)
    else:
        window = Window(mask.lookback + 1 + mask.lookahead, left=mask.lookback, right=mask.lookahead)
    out = an.slot()
    an.steps.append(
        Attention(out, q.slot, q.dims, q.dtype, (k.slot, v.slot), mask, a["scale"], a["enable_gqa"])
    )
    made = MapNode(((q.node, window),), past=mask.lookback is None)
    return Value(out, STREAMED, (*q.dims[:-1], v.dims[-1]), node.meta["val"].dtype, made)


def _mask(an: Analysis, mask: Any, q: Value) -> Mask:
    if mask is None:
        raise RefusalError("attention over the stream axis: " + UNBOUNDED)
    value = an.values.get(mask)
    if not isinstance(value, Value) or value.kind != TABLE:
        raise RefusalError("attention over the stream axis with a mask that does not follow from its length")
    sizes = {name: 2 if name == str(an.batch_symbol) else size for name, size in an.binding.items()}
    table = MaskTable(mask, an.captured.constants, sizes)
    if table.largest() > MOST:
        raise RefusalError(f"attention whose mask is computed with numbers of more than {MOST}")
    stride = 1 if q.node is None else math.ceil(q.node.stride)
    length = (2 * int(table.largest()) + 64) * stride
    first, second = (_at_length(an, table, n, stride) for n in (length, length + 37 * stride))
    if (first.lookback, first.lookahead) != (second.lookback, second.lookahead) or not torch.equal(
        first.bias[:, -_SAME:], second.bias[:, -_SAME:]
    ):
        raise RefusalError("attention with a mask that changes with the length")
    return first


def _at_length(an: Analysis, table: MaskTable, length: int, stride: int) -> Mask:
    size = an.captured.sizes[an.stream_dim]
    try:
        made = table.at(str(an.symbol), size.value(size.factor * length + size.offset))
    except (RuntimeError, IndexError, ValueError) as error:
        raise RefusalError(
            f"attention whose mask cannot be computed for {length} positions: {str(error).splitlines()[0]}"
        ) from None
    if made.ndim < 2 or made.shape[-1] != made.shape[-2] or made.shape[-1] < length // stride - 8:
        raise RefusalError("attention whose mask is no square table of positions")
    return by_distance(made)


@dataclass
class Attention(Buffered):
    """Attention of each position of `x`, the queries, over those that a mask by distance opens.

    others: slots of keys and values. What no later query reads is dropped.
    """

    others: tuple[int, int]
    mask: Mask
    scale: float | None
    grouped: bool

    def reads(self) -> Iterable[int]:
        return self.x, *self.others

    def fresh(self) -> State:
        return State(first=0, done=0)

    def run(self, r: Run, state: Any) -> None:
        counts, tensors = state.counts, state.tensors
        q, k, v = (
            _joined(tensors.get(name), r.e[slot])
            for name, slot in zip("qkv", (self.x, *self.others), strict=True)
        )
        if k is None:
            return
        mask, first, done = self.mask, counts["first"], counts["done"]
        held = first + k.shape[-2]
        ready = held if r.last else max(done, held - mask.lookahead)
        parts = []
        for start in range(done, ready, _BLOCK):
            end = min(ready, start + _BLOCK)
            low = first if mask.lookback is None else max(first, start - mask.lookback)
            high = min(held, end + mask.lookahead)
            part = q[..., start - done : end - done, :]
            keys, values = (t[..., low - first : high - first, :] for t in (k, v))
            bias = mask_bias(mask, start, end, low, high, part)
            parts.append(
                F.scaled_dot_product_attention(
                    part, keys, values, bias, scale=self.scale, enable_gqa=self.grouped
                )
            )
        if parts:
            r.e[self.out] = torch.cat(parts, -2)
        kept = first if mask.lookback is None else max(first, ready - mask.lookback)
        counts["first"], counts["done"] = kept, ready
        tensors["q"] = q[..., ready - done :, :].clone()
        tensors["k"], tensors["v"] = (t[..., kept - first :, :].clone() for t in (k, v))


def _joined(held: Tensor | None, x: Tensor | None) -> Any:
    return x if held is None else held if x is None else torch.cat([held, x], -2)


def mask_bias(mask: Mask, start: int, end: int, low: int, high: int, like: Tensor) -> Tensor:
    """What is added to the scores of queries from `start` to `end` with keys from `low` to `high`."""
    future = torch.arange(low, high)[None] - torch.arange(start, end)[:, None]
    last = mask.bias.shape[1] - 1
    at = future + (last - mask.lookahead)
    closed = at > last
    if mask.lookback is not None:
        closed |= at < 0
    bias = mask.bias[:, at.clamp(0, last)].masked_fill(closed, -torch.inf)
    return bias.to(like.device, like.dtype)
