"""Attention written out: products of queries and keys, what is done to them, and products with values.

A score is never there for all pairs of positions: what is done to it is collected, and done for a block of
queries at a time. What a query reads is found by doing it to random scores.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.attention_masks import (
    Diagonals,
    Mask,
    Probed,
    constant_past,
    opened_range,
)
from mediaconv.nn.graph.axis_factors import STREAM, Dims, regroup, shape_of
from mediaconv.nn.graph.graph_values import CONSTANT, STREAMED, TABLE, Pairs, Value
from mediaconv.nn.graph.refusal import FinalRefusalError, RefusalError
from mediaconv.nn.graph.rule_registry import RULES, rule, rule_of
from mediaconv.nn.graph.rules.attention_rules import Attention, attended, probed_table
from mediaconv.nn.graph.rules.local_rules import UNBOUNDED, broadcast_dims
from mediaconv.nn.graph.steps.graph_step import Run, read_by

aten = torch.ops.aten
_REFUSED = "attention over the stream axis, or a product across its positions: " + UNBOUNDED
_MOST_PHASES = 4096
_ALONG_KEYS = (aten.sum, aten.amax, aten.logsumexp, aten.max)
_PRODUCTS = (aten.matmul, aten.bmm, aten.baddbmm)
_VIEWS = (aten.view, aten._unsafe_view, aten.reshape, aten.expand, aten.flatten, aten.unflatten)


def scores(
    an: Analysis,
    node: fx.Node,
    q_node: fx.Node,
    k_node: fx.Node,
    *,
    added: fx.Node | None = None,
    leading: Dims | None = None,
) -> Pairs:
    """The product of two streams over pairs of their positions.

    added: a table or constant that the node adds to it. leading: dimensions before those of the pairs.
    """
    q, k = an.sole(an.value(q_node)), an.sole(an.value(k_node))
    if q.kind != STREAMED or k.kind != STREAMED or q.slot == k.slot:
        raise RefusalError(_REFUSED)
    if leading is None:
        leading = broadcast_dims((q, k), range(-max(len(q.dims), len(k.dims)), -2))
    made = Pairs(-1, q, k, k.dim - len(k.dims), leading, node.meta["val"].dtype, ())  # type: ignore[operator]
    values, tables, constants = _met(an, [added] if added is not None else [])
    made = _then(an, node, [made], an.call_code(node, {q_node: q, k_node: k, **values}))
    return replace(made, tables=tables, constants=constants)


def _then(an: Analysis, node: fx.Node, pairs: list[Pairs], code: str, **changes: Any) -> Pairs:
    """Pairs with one more operation. pairs: those that it takes; they come of one product."""
    first = pairs[0]
    if any(p.query != first.query or p.key != first.key for p in pairs):
        raise RefusalError("it combines the scores of different attentions")
    slot = an.slot()
    value = node.meta["val"]
    chain = {s: f for p in pairs for s, f in p.chain}
    chain[slot] = an.function(code)
    return replace(
        first,
        slot=slot,
        dtype=value.dtype if isinstance(value, Tensor) else first.dtype,
        chain=tuple(sorted(chain.items())),
        tables={s: n for p in pairs for s, n in p.tables.items()},
        constants={s: v for p in pairs for s, v in p.constants.items()},
        **{"single": all(p.single for p in pairs), **changes},
    )


@rule("pairs")
def on_pairs(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    """An operation that takes the scores of attention, or what was made of them."""
    mine = [n for n in node.all_input_nodes if isinstance(an.values.get(n), Pairs)]
    pairs: list[Pairs] = [an.values[n] for n in mine]
    packet = getattr(node.target, "overloadpacket", None)
    if node.target is operator.getitem:
        return _then(an, node, pairs, f"e[{pairs[0].slot}][{node.args[1]}]")
    if packet in (*_PRODUCTS, aten.einsum):
        return _weighted(an, node, a, mine)
    if packet in _VIEWS:
        return _viewed(an, node, pairs[0])
    if packet in (aten.softmax, aten._softmax, aten.log_softmax, aten._log_softmax):
        if a["dim"] % len(node.meta["val"].shape) != len(node.meta["val"].shape) - 1:
            raise RefusalError("a softmax of attention's scores over another axis than the keys'")
        return _called(an, node, mine)
    if packet in _ALONG_KEYS:
        dim = a.get("dim")
        axes = [dim] if isinstance(dim, int) else list(dim or [])
        if [d % (len(pairs[0].leading) + 2) for d in axes] != [len(pairs[0].leading) + 1]:
            raise RefusalError(_REFUSED)
        if not a.get("keepdim"):
            raise RefusalError(_REFUSED)
        return _called(an, node, mine, single=True)
    if rule_of(node.target) is RULES["pointwise"]:
        if torch.Tag.nondeterministic_seeded in node.target.tags and a.get("train", True):  # type: ignore[union-attr]
            raise FinalRefusalError("it is random in training mode: call .eval() first")
        return _called(an, node, mine)
    raise RefusalError(_REFUSED)


def _called(an: Analysis, node: fx.Node, mine: list[fx.Node], **changes: Any) -> Pairs:
    """The node's own operation on scores, with tables over the same pairs and with constants."""
    pairs: list[Pairs] = [an.values[n] for n in mine]
    leading = max((p.leading for p in pairs), key=len)
    values, tables, constants = _met(an, node.all_input_nodes)
    dims = node.meta["val"][0].shape if isinstance(node.meta["val"], tuple) else node.meta["val"].shape
    if len(dims) != len(leading) + 2:
        raise RefusalError("the scores of attention meet what has more axes")
    made = _then(an, node, pairs, an.call_code(node, values), **changes)
    if any(len(v.dims) - 2 > len(leading) for v in constants.values()):
        raise RefusalError("the scores of attention meet what has more axes")
    merged = _merged(leading, list(constants.values()))
    return replace(
        made, leading=merged, tables={**made.tables, **tables}, constants={**made.constants, **constants}
    )


def _met(an: Analysis, nodes: Iterable[fx.Node]) -> tuple[dict[fx.Node, Value], dict, dict]:
    """What scores meet: values for the code of a call, tables over the same pairs, and constants, by slot."""
    values: dict[fx.Node, Value] = {}
    tables: dict[int, fx.Node] = {}
    constants: dict[int, Value] = {}
    for n in nodes:
        value = an.values.get(n)
        if isinstance(value, Pairs):
            values[n] = Value(value.slot, STREAMED, (), value.dtype)
        elif isinstance(value, Value) and value.kind == TABLE:
            values[n] = replace(value, slot=an.slot())
            tables[values[n].slot] = n
        elif isinstance(value, Value):
            if value.kind != CONSTANT or any(d != () for d in value.dims[-2:]):
                raise RefusalError("the scores of attention meet what is no table over the same positions")
            constants[value.slot] = value
    return values, tables, constants


def _merged(leading: Dims, constants: list[Value]) -> Dims:
    like = Value(-1, CONSTANT, (*leading, (), ()), torch.float32)
    return broadcast_dims((like, *constants), range(-len(leading) - 2, -2))


def _viewed(an: Analysis, node: fx.Node, pairs: Pairs) -> Pairs:
    """Another shape of the axes before the last two, as heads folded into the batch."""
    shape = node.meta["val"].shape
    if an.streams(shape[-1]) and an.streams(shape[-2]) and not any(an.streams(s) for s in shape[:-2]):
        sizes = [an.size(s) for s in shape[:-2]]
        leading, _ = regroup(pairs.leading, sizes, [False] * len(sizes), an.batch, 1)
        lead = an.shape_code(leading, "1")[1:-1]
        e = f"e[{pairs.slot}]"
        return _then(an, node, [pairs], f"{e}.reshape([{lead}, *{e}.shape[-2:]])", leading=leading)
    raise RefusalError(_REFUSED)


def _weighted(an: Analysis, node: fx.Node, a: dict[str, Any], mine: list[fx.Node]) -> Value:
    """The product of weights and values: a step that makes the weights for blocks of queries."""
    packet = node.target.overloadpacket  # type: ignore[union-attr]
    operands = list(a["tensors"]) if packet is aten.einsum else [a["self"], a.get("mat2", a.get("other"))]
    if packet is aten.baddbmm or len(mine) != 1 or len(operands) != 2:
        raise RefusalError(_REFUSED)
    pairs: Pairs = an.values[mine[0]]
    (v_node,) = (n for n in operands if n is not mine[0])
    v = an.sole(an.value(v_node))
    if packet is aten.einsum:
        terms, _, result = a["equation"].replace(" ", "").partition("->")
        by = dict(zip(operands, terms.split(","), strict=True))
        query, key = by[mine[0]][-2:]
        if result[-2:-1] != query or by[v_node].find(key) != v.dim or key in result:
            raise RefusalError(_REFUSED)
        letters = dict(zip(by[v_node], v.dims, strict=True)) | dict(
            zip(by[mine[0]], (*pairs.leading, (STREAM,), ()), strict=True)
        )
        dims: Dims = tuple(letters[letter] for letter in result)
    else:
        if operands[0] is not mine[0] or v.dim != len(v.dims) - 2:
            raise RefusalError(_REFUSED)
        like = Value(-1, CONSTANT, (*pairs.leading, (), ()), pairs.dtype)
        count = max(len(pairs.leading), len(v.dims) - 2)
        dims = (*broadcast_dims((like, v), range(-count - 2, -2)), (STREAM,), v.dims[-1])
    if pairs.single or v.kind != STREAMED:
        raise RefusalError(_REFUSED)
    return _attention(an, node, pairs, mine[0], v, v_node, dims)


def _attention(
    an: Analysis, node: fx.Node, pairs: Pairs, pairs_node: fx.Node, v: Value, v_node: fx.Node, dims: Dims
) -> Value:
    if not pairs.tables:
        raise RefusalError("attention over the stream axis: " + UNBOUNDED)
    mask, tables = _mask(an, pairs)
    q, k, v_in = an.align([pairs.query, pairs.key, v])
    weights = Value(pairs.slot, STREAMED, (), pairs.dtype)
    result = an.function(an.call_code(node, {pairs_node: weights, v_node: v}))
    kept = [(t.slot, t.dims, t.dim - len(t.dims)) for t in (q, k, v_in)]  # type: ignore[operator]
    out = an.slot()
    own = (pairs.query.slot, pairs.key.slot, v.slot)
    an.steps.append(WrittenAttention(out, kept, mask, None, False, own, tables, list(pairs.chain), result))
    reach = None if mask.lookback is None else mask.reach()
    made = attended(an, q, mask.lookback, reach, mask.lookahead)
    return Value(out, STREAMED, dims, node.meta["val"].dtype, made)


def _mask(an: Analysis, pairs: Pairs) -> tuple[Mask, dict[int, Diagonals]]:
    """What a query reads, found with random scores, and the tables to that distance."""
    probes = {slot: probed_table(an, n, pairs.query) for slot, n in pairs.tables.items()}
    phases = math.lcm(*(p.diagonals.values.shape[0] for p in probes.values()))
    if phases > _MOST_PHASES:
        raise RefusalError("attention whose masks repeat themselves after too many positions")
    limits = [p.length for p in probes.values() if p.limited]
    length, limit = min(p.length for p in probes.values()), min(limits, default=None)
    start = length // 2 // phases * phases
    block = (start, min(length, start + phases), 0, length)
    opened = torch.zeros(block[1] - start, length, dtype=torch.bool)
    for seed in (0, 1):
        weights = _tried(an, pairs, probes, block, seed)
        opened |= (weights != 0).flatten(0, -3).any(0)
    by_distance = _around(opened, start, length)
    far = min(length // 2 - phases, *(p.far for p in probes.values()))
    ahead = by_distance.shape[-1] // 2
    lookback, lookahead = opened_range(by_distance[:, None], ahead, far)
    if lookback is None:
        back = min(far, max(constant_past(p) for p in probes.values()) + 1)
    else:
        back = min(far, lookback + 1)
    tables = {s: p.diagonals.cut(p.far if p.limited else back, lookahead + 1) for s, p in probes.items()}
    bias = torch.where(by_distance, 0.0, -torch.inf)[:, None]
    shown = Diagonals(bias, ahead).cut(back if lookback is None else lookback, lookahead)
    return Mask(lookback, lookahead, shown, limit), tables


def _tried(an: Analysis, pairs: Pairs, probes: dict[int, Probed], block: tuple, seed: int) -> Tensor:
    """Weights of a block of queries over all keys, of random queries and keys."""
    generator = torch.Generator().manual_seed(seed)
    e: list[Any] = [None] * an.slots
    for value, count in ((pairs.query, block[1] - block[0]), (pairs.key, block[3])):
        shape = shape_of(value.dims, 1, count)
        e[value.slot] = torch.randn(shape, generator=generator, dtype=torch.float64).to(value.dtype)
    for slot, constant in pairs.constants.items():
        e[slot] = torch.ones(shape_of(constant.dims, 1, 1), dtype=constant.dtype)
    for slot, p in probes.items():
        e[slot] = p.diagonals.block(*block)
    for slot, function in pairs.chain:
        e[slot] = function(e, 1, None, torch.device("cpu"))
    return e[pairs.slot]


def _around(opened: Tensor, start: int, length: int) -> Tensor:
    """Rows of queries from `start` by the distance of the key, as far as all rows have it."""
    reach = min(start, length - start - len(opened))
    return torch.stack([row[start + i - reach : start + i + reach + 1] for i, row in enumerate(opened)])


@dataclass
class WrittenAttention(Attention):
    """Attention by the model's own operations on a block of queries.

    own: slots by which its functions know queries, keys and values. chain: slots and functions that make the
    weights; result: of weights and values. tables: what is read by distance, by slot.
    """

    own: tuple[int, int, int]
    tables: dict[int, Diagonals] = field(default_factory=dict)
    chain: list[tuple[int, Any]] = field(default_factory=list)
    result: Any = None

    def reads(self) -> Iterable[int]:
        own = {*self.own, *self.tables, *(slot for slot, _ in self.chain)}
        read = read_by(self.result, *(function for _, function in self.chain))
        return *super().reads(), *(slot for slot in read if slot not in own)

    def attend(self, r: Run, qkv: tuple[Tensor, Tensor, Tensor], block: tuple[int, int, int, int]) -> Tensor:
        before = {slot: r.e[slot] for slot in self.own}
        for slot, t in zip(self.own[:2], qkv[:2], strict=True):
            r.e[slot] = t
        for slot, table in self.tables.items():
            r.e[slot] = table.block(*block).to(r.device)
        for slot, function in self.chain:
            r.e[slot] = r.call(function)
        r.e[self.own[2]] = qkv[2]
        y = r.call(self.result)
        for slot in (*self.tables, *(s for s, _ in self.chain)):
            r.e[slot] = None
        for slot, t in before.items():
            r.e[slot] = t
        return y
