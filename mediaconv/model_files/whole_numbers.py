"""Convolutions and products between DequantizeLinear nodes, computed on the whole numbers themselves.

Their sums are then exact in float32 in any order, so that chunks round as the whole does. The scales of
input and weight are multiplied in once, after the sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators import Node
from mediaconv.model_files.onnx_operators.quantized import RANGES

_KINDS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_EXACT = 2**24
"""float32 holds every whole number up to it."""


def exact_sums(nodes: list[Node], tensors: dict[str, Tensor]) -> list[Node]:
    """The nodes with such convolutions, MatMul and Gemm taken apart. New constants go into `tensors`."""
    made = {name: node for node in nodes for name in node.outputs}
    out: list[Node] = []
    for node in nodes:
        parts = _Product(node, made, tensors).nodes() if node.kind in _KINDS else None
        out += parts or [node]
    return out


class _Product:
    def __init__(self, node: Node, made: dict[str, Node], tensors: dict[str, Tensor]) -> None:
        self.node, self.made, self.tensors = node, made, tensors

    def nodes(self) -> list[Node] | None:
        """What computes the node on whole numbers; None where its sums may not be exact, or it is another."""
        node, tensors = self.node, self.tensors
        x, w = (self.made.get(name) for name in node.inputs[:2])
        if x is None or w is None or x.kind != "DequantizeLinear" or w.kind != "DequantizeLinear":
            return None
        if any(name not in tensors for name in [*x.inputs[1:], *w.inputs] if name):
            return None
        if any(part.get("block_size") for part in (x, w)) or tensors[x.inputs[1]].numel() != 1:
            return None
        plain = node.kind != "Gemm" or (node.get("alpha", 1.0) == node.get("beta", 1.0) == 1.0)
        if not plain or node.get("transA") or (node.kind == "ConvTranspose" and node.get("group", 1) != 1):
            return None
        weight = tensors[w.inputs[0]].double()
        axis = 0 if node.kind == "Conv" or node.get("transB") else weight.ndim - 1
        axis = 1 if node.kind == "ConvTranspose" else axis
        scale = tensors[w.inputs[1]]
        if scale.numel() > 1 and (w.get("axis", 1) % weight.ndim != axis or weight.ndim < 2):
            return None
        weight = weight - self._zero(w, weight, axis)
        widest = self._widest(x)
        sums = weight.abs().sum([d for d in range(weight.ndim) if d != axis])
        if widest is None or float(sums.max()) * widest >= _EXACT:
            return None
        return self._taken_apart(x, weight, tensors[x.inputs[1]].reshape(()) * scale.reshape(-1))

    def _zero(self, w: Node, weight: Tensor, axis: int) -> Tensor | int:
        zero = self.tensors[w.inputs[2]].double() if len(w.inputs) > 2 and w.inputs[2] else torch.zeros(1)
        return zero.reshape([-1 if d == axis else 1 for d in range(weight.ndim)])

    def _widest(self, x: Node) -> int | None:
        """The largest distance of a quantized input from its zero point; None where its type is not known."""
        source: Any = self.made.get(x.inputs[0])
        zero = self.tensors[x.inputs[2]] if len(x.inputs) > 2 and x.inputs[2] else None
        if zero is None:
            kind = "uint8" if source is not None and source.kind == "QuantizeLinear" else "none"
            kind = "none" if source is not None and source.get("output_dtype") else kind
        else:
            kind = str(zero.dtype).removeprefix("torch.")
        if kind not in RANGES:
            return None
        at = 0 if zero is None else int(zero.reshape(-1)[0])
        return max(abs(bound - at) for bound in RANGES[kind])

    def _taken_apart(self, x: Node, weight: Tensor, scale: Tensor) -> list[Node]:
        node, tensors, name = self.node, self.tensors, self.node.outputs[0]
        shape = [-1, *[1] * (weight.ndim - 2)] if "Conv" in node.kind else [-1]
        tensors[f"{name}/one"] = torch.ones(())
        tensors[f"{name}/weight"] = weight.float()
        tensors[f"{name}/scale"] = scale.float().reshape(shape if scale.numel() > 1 else [])
        whole = [x.inputs[0], f"{name}/one", *x.inputs[2:]]
        bias = node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] else None
        scaled = f"{name}/scaled" if bias else name
        parts = [
            self._like("DequantizeLinear", whole, f"{name}/x", x.attributes),
            self._like(node.kind, [f"{name}/x", f"{name}/weight"], f"{name}/sums", node.attributes),
            self._like("Mul", [f"{name}/sums", f"{name}/scale"], scaled, {}),
        ]
        if bias is None:
            return parts
        if "Conv" in node.kind:
            tensors[f"{name}/shape"] = torch.from_numpy(np.array(shape))
            parts.append(self._like("Reshape", [bias, f"{name}/shape"], f"{name}/bias", {}))
            bias = f"{name}/bias"
        return [*parts, self._like("Add", [scaled, bias], name, {})]

    def _like(self, kind: str, inputs: list[str], output: str, attributes: dict[str, Any]) -> Node:
        return Node(kind, self.node.name, inputs, [output], dict(attributes), self.node.opset)
