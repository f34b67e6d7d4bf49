"""Quantized models: QuantizeLinear and DequantizeLinear at each position, and convolutions of whole numbers.

Quantized values are kept as floating-point tensors of whole numbers, so that every operator takes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, operator
from mediaconv.model_files.onnx_operators.windows import conv

_TYPES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16"}
"""ONNX's numbers of the types that are quantized to."""
RANGES = {name: (np.iinfo(name).min, np.iinfo(name).max) for name in (*_TYPES.values(), "int32")}


def _along(node: Node, value: Tensor, x: Tensor) -> Tensor:
    """A scale or zero point with one number for each position of an axis, shaped to meet the tensor."""
    if value.numel() == 1:
        return value.reshape(())
    axis = node.get("axis", 1) % x.ndim
    return value.reshape([-1 if d == axis else 1 for d in range(x.ndim)])


def _zero(node: Node, zero: Any, x: Tensor) -> Tensor | int:
    if zero is None or not zero.any():
        return 0
    return _along(node, torch.tensor(zero.tolist(), dtype=x.dtype, device=x.device), x)


def _single(x: Tensor) -> Tensor:
    """At least float32: what is rounded is computed no coarser than onnxruntime does."""
    return x if x.dtype == torch.float64 else x.float()


def _rounded(x: Tensor, zero: Tensor | int, kind: str) -> Tensor:
    low, high = RANGES[kind]
    return (torch.round(x) + zero).clamp(low, high)


@operator("QuantizeLinear", host=(2,))
def quantize(node: Node, x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
    node.only(block_size=0)
    stated = _TYPES.get(node.get("output_dtype", 0), "uint8")
    kind = stated if zero is None else str(zero.dtype)
    if kind not in RANGES:
        raise node.refuse(f"to {kind}, expected one of {', '.join(_TYPES.values())}")
    y = _single(x) / _along(node, _single(scale), x)
    return _rounded(y, _zero(node, zero, y), kind).to(node.float_type)


@operator("DequantizeLinear", host=(2,))
def dequantize(node: Node, x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
    node.only(block_size=0)
    x = _single(x)
    return ((x - _zero(node, zero, x)) * _along(node, _single(scale), x)).to(node.float_type)


def _less(x: Tensor, zero: Any, axis: int = 0) -> Tensor:
    """Whole numbers less their zero point, which is one number or one for each position of an axis."""
    x = x.double()
    if zero is None:
        return x
    if zero.size == 1:
        return x - int(zero.reshape(-1)[0])
    return x - torch.tensor(zero.tolist(), device=x.device).reshape(
        [-1 if d == axis else 1 for d in range(x.ndim)]
    )


def _requantized(sums: Tensor, scale: Tensor, zero: Any, node: Node) -> Tensor:
    # onnxruntime multiplies the sums, rounded to float32, by one scale in float32
    y = sums.float() * scale
    return _rounded(y, _zero(node, zero, y), str(zero.dtype)).to(node.float_type)


@operator("QLinearConv", host=(2, 5, 7))
def quantized_conv(
    node: Node,
    x: Tensor,
    x_scale: Tensor,
    x_zero: Any,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Any,
    y_scale: Tensor,
    y_zero: Any,
    bias: Tensor | None = None,
) -> Tensor:
    # sums of whole numbers are exact in float64, in any order
    bias = None if bias is None else bias.double()
    sums = conv(node, _less(x, x_zero), _less(w, w_zero), bias)
    scale = (x_scale.float() * w_scale.float() / y_scale.float()).reshape([-1, *[1] * (x.ndim - 2)])
    return _requantized(sums, scale, y_zero, node)


@operator("QLinearMatMul", host=(2, 5, 7))
def quantized_matmul(
    node: Node,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Any,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Any,
    y_scale: Tensor,
    y_zero: Any,
) -> Tensor:
    if a_scale.numel() > 1:
        raise node.refuse("a scale for each row of its first input is not read")
    sums = _less(a, a_zero) @ _less(b, b_zero, b.ndim - 1)
    return _requantized(sums, a_scale.float() * b_scale.float() / y_scale.float(), y_zero, node)


@operator("ConvInteger", host=(2, 3))
def conv_integer(node: Node, x: Tensor, w: Tensor, x_zero: Any = None, w_zero: Any = None) -> Tensor:
    return conv(node, _less(x, x_zero), _less(w, w_zero)).to(node.float_type)


@operator("MatMulInteger", host=(2, 3))
def matmul_integer(node: Node, a: Tensor, b: Tensor, a_zero: Any = None, b_zero: Any = None) -> Tensor:
    if a_zero is not None and a_zero.size > 1:
        raise node.refuse("a zero point for each row of its first input is not read")
    return (_less(a, a_zero) @ _less(b, b_zero, b.ndim - 1)).to(node.float_type)


def _refused(node: Node, tensors: dict[str, Any]) -> dict[str, Tensor]:
    raise node.refuse(
        "its scale is that of the largest and the smallest value of the whole input, which no chunk knows: "
        "quantize it with fixed scales (onnxruntime.quantization.quantize_static), or export it in floats"
    )


@operator("DynamicQuantizeLinear", prepare=_refused)
def dynamic(node: Node, x: Tensor) -> Tensor:
    raise AssertionError("refused when it is read")
