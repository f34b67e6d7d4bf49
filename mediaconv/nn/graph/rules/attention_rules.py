"""Attention over the stream where a causal mask or a window bounds it: keys and values are kept for it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from mediaconv.nn.geometry import AxisMap, Window
from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.attention_masks import CAUSAL, Mask, MaskTable, Probed, mask_of, probed
from mediaconv.nn.graph.axis_factors import Dims, batch_first, is_batch_first, native
from mediaconv.nn.graph.graph_values import STREAMED, TABLE, Value
from mediaconv.nn.graph.maps import MapNode
from mediaconv.nn.graph.refusal import FinalRefusalError, Origin, RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.local_rules import UNBOUNDED
from mediaconv.nn.graph.steps.graph_step import Run, Step
from mediaconv.nn.graph.symbols import depends, expression
from mediaconv.nn.streaming.state import State

aten = torch.ops.aten
_BLOCK = 256
"""Queries that are computed at once, so that scores need memory for a block, not for a chunk by itself."""


@rule(aten.scaled_dot_product_attention, "attention")
def attention(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    names = ["query", "key", "value"]
    q, k, v = (an.value(a[n]) for n in names)
    back = {t.dim - len(t.dims) for t in (q, k, v) if t.dim is not None}
    if a["dropout_p"]:
        raise FinalRefusalError("it is random in training mode: call .eval() first")
    if back == {-2} and all(t.kind == STREAMED for t in (q, k, v)):
        return _over_stream(an, node, a, [q, k, v])
    if len(back) != 1 or min(back) >= -2:
        raise RefusalError("attention over the stream axis: " + UNBOUNDED)
    if a["attn_mask"] is not None and an.value(a["attn_mask"]).dim is not None:
        raise RefusalError("attention with a mask that follows the stream")
    values = dict(zip([a[n] for n in names], an.align([q, k, v]), strict=True))
    return an.local(node, (*q.dims[:-1], v.dims[-1]), values)


def _over_stream(an: Analysis, node: fx.Node, a: dict[str, Any], values: list[Value]) -> Value:
    q, k, v = an.align([an.sole(t) for t in values])
    mask = CAUSAL if a["is_causal"] else _mask(an, a["attn_mask"], q)
    made = attended(an, q, mask.lookback, mask.reach() if mask.lookback is not None else None, mask.lookahead)
    out = an.slot()
    kept = [(t.slot, t.dims, -2) for t in (q, k, v)]
    an.steps.append(Attention(out, kept, mask, a["scale"], a["enable_gqa"]))
    return Value(out, STREAMED, (*q.dims[:-1], v.dims[-1]), node.meta["val"].dtype, made)


def attended(an: Analysis, q: Value, lookback: int | None, reach: AxisMap | None, lookahead: int) -> MapNode:
    """What attention reads of its aligned queries, keys and values. reach: where the past is bounded."""
    assert q.node is not None
    assert an.current is not None
    if lookback is not None and reach is not None:
        return MapNode(((q.node, reach),))
    note = Origin.of(an.current).message("it keeps the keys and values of all the past: memory grows with it")
    an.notes.append(note)
    return MapNode(((q.node, Window(1 + lookahead, right=lookahead)),), past=True)


def _mask(an: Analysis, mask: Any, q: Value) -> Mask:
    if mask is None:
        raise RefusalError("attention over the stream axis: " + UNBOUNDED)
    value = an.values.get(mask)
    if not isinstance(value, Value) or value.kind != TABLE:
        raise RefusalError("attention over the stream axis with a mask that does not follow from its length")
    return mask_of(probed_table(an, mask, q))


def probed_table(an: Analysis, node: fx.Node, q: Value) -> Probed:
    """A table over pairs of the positions of `q`, by their distance."""
    sizes = {name: 2 if name == str(an.batch_symbol) else size for name, size in an.binding.items()}
    table = MaskTable(node, an.fixed, sizes)
    for n in table.nodes:
        if n in an.captured.buffers:
            an.masks[n] = an.captured.buffers[n]._version
    assert q.node is not None
    stride, size = q.node.stride, an.captured.sizes[an.stream_dim]

    def at_length(length: int) -> Tensor:
        try:
            made = table.at(
                str(an.symbol), size.value(size.factor * math.ceil(length * stride) + size.offset)
            )
        except (RuntimeError, IndexError, ValueError) as error:
            raise RefusalError(
                f"attention whose mask cannot be computed for {length} positions: "
                f"{str(error).splitlines()[0]}"
            ) from None
        if made.ndim < 2 or made.shape[-1] != made.shape[-2]:
            raise RefusalError("attention whose mask is no square table of positions")
        if an.batch_symbol is not None and depends(expression(node.meta["val"].shape[0]), an.batch_symbol):
            if not bool((made == made[:1]).all()):
                raise RefusalError("attention with a mask that differs by item of the batch")
            made = made[:1]
        return made

    return probed(table.largest(), at_length)


@dataclass
class Attention(Step):
    """Attention of each position over those that a mask by distance opens.

    ins: slot, dims and stream axis, counted from the last, of queries, keys and values. What no later query
    reads is dropped.
    """

    ins: list[tuple[int, Dims, int]]
    mask: Mask
    scale: float | None
    grouped: bool

    def reads(self) -> Iterable[int]:
        return (slot for slot, _, _ in self.ins)

    def fresh(self) -> State:
        return State(first=0, done=0)

    def run(self, r: Run, state: Any) -> None:
        counts, tensors, mask = state.counts, state.tensors, self.mask
        axes = [axis for _, _, axis in self.ins]
        q, k, v = (self._joined(r, tensors.get("qkv"[i]), i) for i in range(3))
        if k is None:
            return
        first, done = counts["first"], counts["done"]
        held = first + k.shape[axes[1]]
        if mask.limit is not None and held > mask.limit:
            raise ValueError(
                f"the model has a mask for {mask.limit} positions of attention, and the input is longer"
            )
        ready = held if r.last else max(done, held - mask.lookahead)
        parts = []
        for start in range(done, ready, _BLOCK):
            end = min(ready, start + _BLOCK)
            low = first if mask.lookback is None else max(first, start - mask.lookback)
            high = min(held, end + mask.lookahead)
            part = q.narrow(axes[0], start - done, end - start)
            keys, values = (
                t.narrow(axis, low - first, high - low) for t, axis in zip((k, v), axes[1:], strict=True)
            )
            parts.append(self.attend(r, (part, keys, values), (start, end, low, high)))
        if parts:
            r.e[self.out] = torch.cat(parts, -2)
        kept = first if mask.lookback is None else max(first, ready - mask.lookback)
        counts["first"], counts["done"] = kept, ready
        for i, (t, axis, begin) in enumerate(
            zip((q, k, v), axes, (ready - done, kept - first, kept - first), strict=True)
        ):
            rest, dims = t.narrow(axis, begin, t.shape[axis] - begin), self.ins[i][1]
            tensors["qkv"[i]] = (rest if is_batch_first(dims) else batch_first(rest, dims, r.batch)).clone()

    def _joined(self, r: Run, held: Tensor | None, i: int) -> Any:
        slot, dims, axis = self.ins[i]
        x = r.e[slot]
        if held is None:
            return x
        held = held if is_batch_first(dims) else native(held, dims)
        return held if x is None else torch.cat([held, x], axis)

    def attend(self, r: Run, qkv: tuple[Tensor, Tensor, Tensor], block: tuple[int, int, int, int]) -> Tensor:
        """The result for a block of queries (from, to) and keys (from, to)."""
        q, k, v = qkv
        bias = mask_bias(self.mask, *block, q)
        return F.scaled_dot_product_attention(q, k, v, bias, scale=self.scale, enable_gqa=self.grouped)


def mask_bias(mask: Mask, start: int, end: int, low: int, high: int, like: Tensor) -> Tensor:
    """What is added to the scores of queries from `start` to `end` with keys from `low` to `high`."""
    future = torch.arange(low, high)[None] - torch.arange(start, end)[:, None]
    closed = future > mask.lookahead
    if mask.lookback is not None:
        closed |= future < -mask.lookback
    bias = mask.bias.block(start, end, low, high).masked_fill(closed, -torch.inf)
    return bias.to(like.device, like.dtype)
