"""Norms, softmax, and products with matrices."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, operator


def _eps(node: Node) -> float:
    return float(node.get("epsilon", 1e-5))


def _one_output(node: Node) -> None:
    if len([name for name in node.outputs if name]) > 1:
        raise node.refuse("gives its statistics too, as in training: call model.eval() before the export")


@operator("BatchNormalization")
def batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    _one_output(node)
    node.only(training_mode=0)
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, _eps(node))


@operator("InstanceNormalization")
def instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=_eps(node))


@operator("GroupNormalization")
def group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.attributes["num_groups"]
    if node.opset < 21:  # scale and bias were per group
        repeats = x.shape[1] // groups
        scale, bias = (v.repeat_interleave(repeats) for v in (scale, bias))
    return F.group_norm(x, groups, scale, bias, _eps(node))


@operator("LayerNormalization")
def layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    _one_output(node)
    shape = list(x.shape[node.get("axis", -1) % x.ndim :])
    if all(isinstance(n, int) for n in shape) and list(scale.shape) == shape:
        return F.layer_norm(x, shape, scale, bias, _eps(node))
    y = F.layer_norm(x, shape, None, None, _eps(node)) * scale
    return y if bias is None else y + bias


@operator("RMSNormalization", "SimplifiedLayerNormalization")
def rms_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    dims = list(range(node.get("axis", -1) % x.ndim, x.ndim))
    return x * torch.rsqrt(x.square().mean(dims, keepdim=True) + _eps(node)) * scale


@operator("LpNormalization")
def lp_norm(node: Node, x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, node.get("p", 2), node.get("axis", -1), keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


@operator("MeanVarianceNormalization")
def mean_variance_norm(node: Node, x: Tensor) -> Tensor:
    axes = list(node.get("axes", [0, 2, 3]))
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True).sqrt() + 1e-9)


@operator("LRN")
def local_response_norm(node: Node, x: Tensor) -> Tensor:
    size, alpha, beta = node.attributes["size"], node.get("alpha", 1e-4), node.get("beta", 0.75)
    before = (size - 1) // 2
    squares = F.pad(x.square().movedim(1, -1), [before, size - 1 - before])
    sums = squares.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    return x / (node.get("bias", 1.0) + alpha / size * sums) ** beta


def _softmax(node: Node, x: Tensor, function: Any) -> Tensor:
    if node.opset >= 13:
        return function(x, dim=node.get("axis", -1))
    axis = node.get("axis", 1) % x.ndim  # before opset 13 all axes from this one on count as one
    return function(x, dim=-1) if axis == x.ndim - 1 else function(x.flatten(axis), dim=-1).reshape(x.shape)


@operator("Softmax")
def softmax(node: Node, x: Tensor) -> Tensor:
    return _softmax(node, x, torch.softmax)


@operator("LogSoftmax")
def log_softmax(node: Node, x: Tensor) -> Tensor:
    return _softmax(node, x, torch.log_softmax)


@operator("MatMul")
def matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


@operator("Gemm")
def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = a.t() if node.get("transA", 0) else a
    if node.get("transB", 0) and alpha == beta == 1 and (c is None or c.ndim == 1):
        return F.linear(a, b, c)
    y = a @ (b.t() if node.get("transB", 0) else b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


@operator("Einsum")
def einsum(node: Node, *values: Tensor) -> Tensor:
    return torch.einsum(node.attributes["equation"], *values)
