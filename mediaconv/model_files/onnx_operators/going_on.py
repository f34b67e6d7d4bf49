"""Nodes computed one after the other, past those that are refused, so that all refusals are told at once.

A tensor of the shape that onnx infers stands for what a refused node gives. Nothing is made of it: the pass
ends in an error, and a graph that is exported with it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.evaluation import evaluate, told
from mediaconv.model_files.onnx_operators.node import Node, UnsupportedError, is_symbolic
from mediaconv.nn.graph.refusal import refused_tensor

_MOST = 2**24
"""Numbers of a tensor that stands for another; a larger one is as one of unknown shape."""


class Pass:
    """One pass over nodes. like: a tensor of the input, for its type and device. known: reasons found before.

    lost: names that nothing gives.

    exporting: refusals become operations of the exported graph (`refused_tensor`), beside which the streaming
    analysis finds what else cannot stream; else `end` raises them.
    """

    def __init__(
        self, like: Tensor, *, exporting: bool = False, known: Iterable[str] = (), lost: Iterable[str] = ()
    ) -> None:
        self._like, self._exporting = like, exporting
        self.reasons = list(known)
        self._lost = set(lost)
        self._standing: list[Tensor] = []

    def values(self, node: Node, find: Callable[[str], Any]) -> dict[str, Any]:
        """What a node gives, by name. After a refusal also nothing, where it cannot be told.

        Raises what the node raises, but for refusals and what may follow from one.
        """
        if not self._lost.isdisjoint(node.inputs):
            return self._lose(node, find)
        try:
            return dict(zip(node.outputs, evaluate(node, find, self._like.device), strict=False))
        except UnsupportedError as error:
            found = UnsupportedError(*error.reasons, *_others(node, find, error))
            self.reasons += found.reasons
            return self._stand_in(node, find, found)
        except Exception:
            if not self.reasons:
                raise
            return self._lose(node, find)

    def end(self, name: str, find: Callable[[str], Any]) -> Any:
        """The value `name`. Raises UnsupportedError for what was refused, unless it is exported."""
        if not self.reasons:
            return find(name)
        if not self._exporting:
            raise UnsupportedError(*self.reasons)
        y = self._like if name in self._lost else find(name)
        y = y if isinstance(y, Tensor) else self._like
        # what nothing reads is kept, for it has a reason
        return refused_tensor([], [y, *self._standing], y.shape)

    def check(self) -> None:
        """Raises UnsupportedError for what was refused."""
        if self.reasons:
            raise UnsupportedError(*self.reasons)

    def _lose(self, node: Node, find: Callable[[str], Any]) -> dict[str, Any]:
        read = [find(name) for name in node.inputs if name and name not in self._lost]
        # what led to it stays in the export, for its reasons
        self._standing += [value for value in read if self._exporting and isinstance(value, Tensor)]
        self._lost.update(name for name in node.outputs if name)
        return {}

    def _stand_in(self, node: Node, find: Callable[[str], Any], error: UnsupportedError) -> dict[str, Any]:
        found = {name: find(name) for name in node.inputs if name}
        shapes = _inferred(node, found)
        made = {name: self._tensor(node, shape, found, error) for name, shape in shapes.items()}
        if not made and self._exporting:
            self._standing.append(self._tensor(node, list(self._like.shape), {}, error))
        self._lost.update(name for name in node.outputs if name and name not in made)
        return made

    def _tensor(self, node: Node, shape: list[int], found: dict[str, Any], error: UnsupportedError) -> Tensor:
        reads = [v[0] if isinstance(v, tuple) else v for v in found.values()]
        tensors = [v for v in reads if isinstance(v, Tensor)]
        sizes = [_symbolic(size, at - len(shape), tensors) for at, size in enumerate(shape)]
        if not self._exporting:
            return self._like.new_zeros(sizes, dtype=node.float_type)
        like = self._like.to(node.float_type)
        with told(node):
            made = refused_tensor(error.reasons, [like, *tensors], sizes)
        self._standing.append(made)
        return made


def _others(node: Node, find: Callable[[str], Any], error: UnsupportedError) -> list[str]:
    """For what else a node is refused, where its attributes are such as are read."""
    if not error.instead:
        return []
    try:
        list(evaluate(replace(node, attributes={**node.attributes, **error.instead}), find))
    except UnsupportedError as more:
        return more.reasons
    except Exception:  # of the values that stand for others
        return []
    return []


def _number(size: Any) -> int:
    """A size, a symbolic one as it is in the example."""
    return int(getattr(getattr(size, "node", None), "hint", None) or size)


def _symbolic(size: int, at: int, tensors: Iterable[Tensor]) -> Any:
    """An inferred size as one that follows from the input's. at: its place, counted from the end."""
    for x in tensors:
        own = x.shape[at] if x.ndim >= -at else None
        if not isinstance(own, torch.SymInt):
            continue
        now = _number(own)
        if size == now:
            return own
        if now and size % now == 0 and size:
            return own * (size // now)
        if size and now % size == 0:
            return own // (now // size)
        if now:
            return own + (size - now)
    return size


def _inferred(node: Node, found: dict[str, Any]) -> dict[str, list[int]]:
    """The shapes of a node's outputs of floating-point numbers, as far as onnx knows them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    inputs, constants = [], []
    try:
        for name, value in found.items():
            numbers = value[1] if isinstance(value, tuple) else value
            if isinstance(numbers, np.ndarray):
                plain = (
                    np.array([_number(n) for n in numbers.reshape(-1)]) if is_symbolic(numbers) else numbers
                )
                constants.append(numpy_helper.from_array(np.array(plain).reshape(numbers.shape), name))
                continue
            tensor = value[0] if isinstance(value, tuple) else value
            kind = TensorProto.FLOAT if tensor.is_floating_point() else TensorProto.INT64
            inputs.append(helper.make_tensor_value_info(name, kind, [_number(n) for n in tensor.shape]))
        outputs = [onnx.ValueInfoProto(name=name) for name in node.outputs if name]
        plain_node = helper.make_node(node.kind, node.inputs, node.outputs, **node.attributes)
        graph = helper.make_graph([plain_node], "one", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)])
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    except Exception:  # of whatever kind: the form is one that is refused
        return {}
    shapes = {}
    for value in inferred:
        kind = value.type.tensor_type
        sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
        known = kind.HasField("shape") and min(sizes, default=0) >= 0 and math.prod(sizes) <= _MOST
        if known and kind.elem_type == TensorProto.FLOAT:
            shapes[value.name] = sizes
    return shapes
