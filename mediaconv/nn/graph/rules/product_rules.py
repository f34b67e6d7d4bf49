"""Products with matrices and tables at each position: layers of weights, look-ups, distances to a table."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, size_factors
from mediaconv.nn.graph.graph_values import CONSTANT, LATE, STREAMED, TABLE, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import rule
from mediaconv.nn.graph.rules.local_rules import UNBOUNDED, broadcast_dims, refuse_longer_constants, worked
from mediaconv.nn.graph.rules.score_rules import scores
from mediaconv.nn.graph.steps.end_steps import Held
from mediaconv.nn.graph.steps.graph_step import Late

aten = torch.ops.aten


@rule(aten.linear)
def linear(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    x = an.value(a["input"])
    if any(an.value(a[n]).kind == STREAMED for n in ("weight", "bias") if a[n] is not None):
        raise RefusalError("its weight follows the stream")
    if x.dim == len(x.dims) - 1:
        raise RefusalError("it mixes all positions of the stream axis, by weights for one length")
    return worked(an, node, a["input"], [-1], (*x.dims[:-1], _last(an, node)))


def _last(an: Analysis, node: fx.Node) -> tuple[int, ...]:
    return size_factors(an.size(node.meta["val"].shape[-1]))


@rule(aten.matmul, aten.bmm, aten.mm)
def matmul(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    names = [a["self"], a.get("mat2", a.get("other"))]
    x, y = (an.value(n) for n in names)
    ndim = max(len(x.dims), len(y.dims))
    back = {v.dim - len(v.dims) for v in (x, y) if v.dim is not None}
    if len(x.dims) < 2 or len(y.dims) < 2:
        raise RefusalError("a product of a matrix and a vector")
    if x.kind == y.kind == STREAMED and x.dim == len(x.dims) - 2 and y.dim == len(y.dims) - 1:
        return scores(an, node, names[0], names[1])
    if x.kind == y.kind == STREAMED and x.dim == len(x.dims) - 1 and y.dim == len(y.dims) - 2:
        return _over_positions(an, node, names, x, y)
    rows_x = x.dim is not None and x.dim - len(x.dims) == -2 and y.dim is None
    columns_y = y.dim is not None and y.dim - len(y.dims) == -1 and x.dim is None
    batched = len(back) == 1 and min(back) < -2
    if not (rows_x or columns_y or batched):
        raise RefusalError("attention over the stream axis, or a product across its positions: " + UNBOUNDED)
    dims = (*broadcast_dims((x, y), range(-ndim, -2)), x.dims[-2], y.dims[-1])
    if batched:
        refuse_longer_constants((x, y), min(back))
    values = dict(zip(names, an.align([x, y]), strict=True))
    return an.local(node, dims, values)


def _over_positions(an: Analysis, node: fx.Node, names: list[fx.Node], x: Value, y: Value) -> Value:
    """A sum of products over all positions, as attention across channels has it: known at the end."""
    if x.dims[-1] != y.dims[-2] or BATCH in x.dims[-1]:
        raise RefusalError("its inputs fold the stream axis in different ways")
    an.note_whole("it sums over all positions of the stream")
    values = dict(zip(names, an.align([x, y]), strict=True))
    for name, v in values.items():
        out = an.slot()
        an.steps.append(Held(out, v.slot, v.dims, v.dtype))
        values[name] = replace(v, slot=out)
    ndim = max(len(x.dims), len(y.dims))
    dims = (*broadcast_dims((x, y), range(-ndim, -2)), x.dims[-2], y.dims[-1])
    out = an.slot()
    function = an.function(an.call_code(node, values))
    an.steps.append(Late(out, function, tuple(v.slot for v in values.values()), True, dims))
    return Value(out, LATE, dims, node.meta["val"].dtype, at_end=True)


@rule(aten.addmm, aten.baddbmm)
def addmm(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    names = [a["self"], a.get("mat1", a.get("batch1")), a.get("mat2", a.get("batch2"))]
    c, x, y = (an.value(n) for n in names)
    if x.kind == y.kind == STREAMED and len(x.dims) == 3 and (x.dim, y.dim) == (1, 2):
        return scores(an, node, names[1], names[2], added=names[0])
    if c.kind == TABLE:
        raise RefusalError("a table over pairs of positions meets what is none")
    rows = x.dim == len(x.dims) - 2 and y.dim is None and c.dim is None
    batched = len(x.dims) == 3 and x.dim == 0 and y.dim in (0, None) and c.dim in (0, None)
    if not rows and not batched:
        raise RefusalError("a product across positions of the stream axis: " + UNBOUNDED)
    if batched:
        refuse_longer_constants((y, c), -3)
    values = dict(zip(names, an.align([c, x, y]), strict=True))
    return an.local(node, (*x.dims[:-1], y.dims[-1]), values)


@rule(aten.einsum)
def einsum(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Any:
    nodes = list(a["tensors"])
    values = [an.value(n) for n in nodes]
    operands, result = _spelled_out(a["equation"], [len(v.dims) for v in values])
    streams = {t[v.dim] for t, v in zip(operands, values, strict=True) if v.dim is not None}
    letters: dict[str, tuple[int | str, ...]] = {}
    for term, v in zip(operands, values, strict=True):
        for letter, d in zip(term, v.dims, strict=True):
            if letter not in letters or letters[letter] == () or (STREAM in d):
                letters[letter] = d
    pair = tuple(t[v.dim] for t, v in zip(operands, values, strict=True) if v.dim is not None)
    if len(values) == 2 and set(pair) == set(result[-2:]) and len(streams) == 2:
        q, k = (pair.index(letter) for letter in result[-2:])
        return scores(an, node, nodes[q], nodes[k], leading=tuple(letters[c] for c in result[:-2]))
    if len(streams) != 1 or not streams <= set(result):
        raise RefusalError("a product across positions of the stream axis: " + UNBOUNDED)
    for term, v in zip(operands, values, strict=True):
        if v.dim is None and streams & set(term) and v.dims[term.index(next(iter(streams)))] != ():
            raise RefusalError("a constant that is longer than one step meets the stream axis")
    aligned = dict(zip(nodes, an.align(values), strict=True))
    return an.local(node, tuple(letters[letter] for letter in result), aligned)


def _spelled_out(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, those that `...` stands for among them."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    operands = terms.split(",")
    if not arrow:  # what stands once, in the alphabet's order
        once = sorted(c for c in set(terms) - {",", "."} if terms.count(c) == 1)
        result = "." * 3 * ("." in terms) + "".join(once)
    free = [c for c in string.ascii_letters if c not in equation]
    counts = [rank - len(t) + 3 for t, rank in zip(operands, ranks, strict=True) if "." in t]
    rest = "".join(free[: max(counts, default=0)])
    spelled = []
    for term, rank in zip(operands, ranks, strict=True):
        spelled.append(
            term.replace("...", rest[len(rest) - (rank - len(term) + 3) :]) if "." in term else term
        )
    return spelled, result.replace("...", rest)


@rule(aten.cdist, aten._cdist_forward)
def distances(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """From each position's vectors to those of a table."""
    x, y = an.value(a["x1"]), an.value(a["x2"])
    if x.dim != len(x.dims) - 2 or y.dim is not None or y.kind != CONSTANT:
        raise RefusalError("distances between positions of the stream axis: " + UNBOUNDED)
    return an.local(node, (*x.dims[:-1], _last(an, node)), {a["x1"]: x})


@rule(aten.embedding)
def embedding(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    x = an.value(a["indices"])
    return an.local(node, (*x.dims, _last(an, node)), {a["indices"]: x})
