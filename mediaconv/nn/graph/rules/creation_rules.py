"""Tensors that the model makes anew, as long as the stream: the same at every position, or by its number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import STREAM
from mediaconv.nn.graph.graph_values import CONSTANT, LATE, STREAMED, Value
from mediaconv.nn.graph.refusal import RefusalError
from mediaconv.nn.graph.rule_registry import NEW, rule
from mediaconv.nn.graph.rules.local_rules import tensor_nodes
from mediaconv.nn.graph.steps.graph_step import Late
from mediaconv.nn.graph.symbols import expression

aten = torch.ops.aten


@rule("create")
def create(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """A tensor made anew, as long as the stream: one step of it where all are the same."""
    value = node.meta["val"]
    at = [d for d, s in enumerate(value.shape) if an.streams(s)]
    packet = getattr(node.target, "overloadpacket", None)
    if packet in NEW:
        fill = a["fill_value"] if NEW[packet] is None else NEW[packet]
        if isinstance(fill, fx.Node):
            raise RefusalError("a tensor made with a value that is computed")
        shape = ", ".join("1" if d in at else an.other_size_code(s) for d, s in enumerate(value.shape))
        code = f"torch.full([{shape}], {fill!r}, dtype={an.name(value.dtype)}, device=D)"
        out, dims = an.slot(), list(an.sized_dims([1 if d in at else s for d, s in enumerate(value.shape)]))
        if len(at) == 1:
            dims[at[0]] = (STREAM,)
        an.constants.append(Late(out, an.function(code), (), False))
        return Value(out, CONSTANT, tuple(dims), value.dtype)
    if not at:
        made = ", ".join(an.in_words(s) for s in value.shape)
        raise RefusalError(
            f"it makes a tensor of {made} values, a size that follows from the input's length and is no "
            "stream axis: where a window's size was found by division, give it as a number"
        )
    if len(at) > 1:
        raise RefusalError("a table over pairs of positions (a mask or bias of attention over the stream)")
    uniform = (aten.zeros, aten.ones, aten.full, aten.empty, aten.expand)
    dims = list(an.sized_dims([1 if d == at[0] else s for d, s in enumerate(value.shape)]))
    if packet in uniform:
        name = "size" if "size" in a else "shape"
        sizes = ["1" if d == at[0] else _size_code(an, s) for d, s in enumerate(a[name])]
        dims[at[0]] = (STREAM,)
        late = [v for v in (an.values[n] for n in tensor_nodes(an, node)) if v.kind == LATE]
        kind = LATE if late else CONSTANT
        code = an.call_code(node, None, **{name: f"[{', '.join(sizes)}]"})
        out, at_end = an.slot(), any(v.at_end for v in late)
        if kind == CONSTANT:
            an.constants.append(Late(out, an.function(code), (), False))
        else:
            an.steps.append(Late(out, an.function(code), tuple(v.slot for v in late), at_end, tuple(dims)))
        return Value(out, kind, tuple(dims), value.dtype, at_end=at_end)
    size = expression(value.shape[at[0]])
    of_positions = counted(an, node, a)
    if of_positions is not None:
        dims[at[0]] = (STREAM,)
        return an.from_positions(of_positions, tuple(dims), value.dtype, size)
    an.note_whole()
    slot = an.slot()
    dims[at[0]] = (STREAM,)
    needs = tuple(an.values[n].slot for n in tensor_nodes(an, node))
    an.steps.append(Late(slot, an.function(an.call_code(node)), needs, True, tuple(dims)))
    return Value(slot, STREAMED, tuple(dims), value.dtype, an.made_at_end(size))


def _size_code(an: Analysis, argument: Any) -> str:
    """Source of a size among the arguments, none of the stream's."""
    return an.other_size_code(argument.meta["val"] if isinstance(argument, fx.Node) else argument)


def counted(an: Analysis, node: fx.Node, a: dict[str, Any]) -> str | None:
    """Source of a value as a function of positions alone: a count, the rows of a table; else None."""
    packet, p, dtype = getattr(node.target, "overloadpacket", None), an.positions, node.meta["val"].dtype
    if packet is aten.arange:
        start, step = a.get("start", 0), a.get("step", 1)
        if not isinstance(start, int | float) or not isinstance(step, int | float):
            return None
        as_float = ".double()" if dtype.is_floating_point else ""
        return f"(e[{p}]{as_float}*{step!r}+{start!r}).to({an.name(dtype)})"
    if packet is aten.slice:
        table, start = an.value(a["self"]), a.get("start") or 0
        if table.kind != CONSTANT or table.dim is not None or a.get("step", 1) != 1:
            return None
        if isinstance(start, fx.Node) or start < 0:
            return None
        return f"{an.name(rows)}(e[{table.slot}], {a['dim']}, {start}, e[{p}])"
    return None


def rows(table: Tensor, dim: int, start: int, positions: Tensor) -> Tensor:
    """A table's entries for positions, counted from its `start` on."""
    index = positions + start
    exported = torch.compiler.is_exporting() or torch.jit.is_tracing()  # there the runtime tells
    if not exported and len(positions) and int(index.max()) >= table.shape[dim]:
        raise ValueError(
            f"the model has a table of {table.shape[dim] - start} positions, and the input is longer"
        )
    return table.index_select(dim, index)
