"""What no rule streams, computed once at the end on the whole of its inputs, and all that follows from it.

The last resort: exact, and as large as the module itself. What is random, or no operation of torch's, is not.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.graph.analysis import Analysis
from mediaconv.nn.graph.axis_factors import LayoutError
from mediaconv.nn.graph.graph_values import CONSTANT, LATE, STREAMED, WHOLE, Value
from mediaconv.nn.graph.refusal import FinalRefusalError
from mediaconv.nn.graph.rule_registry import named_arguments, rule
from mediaconv.nn.graph.steps.end_steps import Held
from mediaconv.nn.graph.steps.graph_step import Late

aten = torch.ops.aten
_VIEWS = (aten.view, aten._unsafe_view, aten._reshape_alias)
_FIXED_LAYOUT = (aten.as_strided, aten.as_strided_scatter)


@rule("whole")
def at_end(an: Analysis, node: fx.Node, a: dict[str, Any]) -> Value:
    """The node's own operation, on tensors for the whole input."""
    target = node.target
    seeded = torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())
    chance = seeded and a.get("train", a.get("training", True)) and a.get("dropout_p", 1.0)
    if chance or a.get("train") or a.get("training"):
        raise FinalRefusalError("it is random, or learns from the batch: call .eval() first")
    packet = getattr(target, "overloadpacket", None)
    if target is not operator.getitem and (not hasattr(target, "_schema") or packet in _FIXED_LAYOUT):
        raise FinalRefusalError("it is no plain operation of torch's: register_converter for its module")
    values = {n: _whole(an, n) for n in node.all_input_nodes if n in an.values and _is_tensor(n)}
    if target is operator.getitem:
        code = f"e[{values[node.all_input_nodes[0]].slot}][{node.args[1]}]"
    elif packet in _VIEWS:  # what was held may lie otherwise
        code = f"e[{values[a['self']].slot}].reshape({an.code(a.get('size'), values)})"
    else:
        code = an.call_code(node, values)
    return _made(an, node, code, [v.slot for v in values.values() if v.kind != CONSTANT])


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor | list | tuple)


def _made(an: Analysis, node: fx.Node, code: str, needs: list[int]) -> Value:
    out = an.slot()
    code = code if needs else f"({code} if T else None)"
    an.steps.append(Late(out, an.function(code), tuple(needs), True))
    return Value(out, WHOLE, (), getattr(node.meta["val"], "dtype", torch.float32), at_end=True)


def _whole(an: Analysis, node: fx.Node) -> Value:
    """A node's tensor for the whole input, there at the end; computed again where it is no stream."""
    if node not in an.wholes:
        an.wholes[node] = _gathered(an, node)
    return an.wholes[node]


def _gathered(an: Analysis, node: fx.Node) -> Value:
    v = an.values.get(node)
    if isinstance(v, Value):
        if v.kind == WHOLE or (v.kind in (CONSTANT, LATE) and v.dim is None):
            return v
        if v.kind in (CONSTANT, LATE):  # the same at every position, and one long
            sizes = ", ".join(an.size_code(s) for s in node.meta["val"].shape)
            return _made(an, node, f"e[{v.slot}].expand([{sizes}])", [v.slot] if v.kind == LATE else [])
        if v.kind == STREAMED:
            counted, v = v.node is an.counted, an.materialized(v)
            try:
                out = v.slot if counted else an.slot()
                if not counted:
                    an.steps.append(Held(out, v.slot, v.dims, v.dtype))
                return Value(out, WHOLE, (), v.dtype, at_end=True)
            except LayoutError:  # chunks of it do not join
                pass
    return at_end(an, node, named_arguments(node))
