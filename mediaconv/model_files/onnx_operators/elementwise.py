"""Operators that compute each number from the numbers at its place."""

from __future__ import annotations

import operator as py
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, as_array, operator

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
_UNARY = {
    "Relu": F.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
    "Erf": torch.erf,
    "Round": torch.round,
    "Sign": torch.sign,
    "Reciprocal": torch.reciprocal,
    "HardSwish": F.hardswish,
    "Mish": F.mish,
    "IsNaN": torch.isnan,
    "BitwiseNot": torch.bitwise_not,
}
_BINARY = {
    "PRelu": lambda x, slope: torch.where(x < 0, x * slope, x),
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "Xor": torch.logical_xor,
}
_WITH_ATTRIBUTES: dict[str, Callable[..., Tensor]] = {
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01)),
    "Elu": lambda node, x: F.elu(x, node.get("alpha", 1.0)),
    "Celu": lambda node, x: F.celu(x, node.get("alpha", 1.0)),
    "Selu": lambda node, x: node.get("gamma", _SELU_GAMMA) * F.elu(x, node.get("alpha", _SELU_ALPHA)),
    "HardSigmoid": lambda node, x: (x * node.get("alpha", 0.2) + node.get("beta", 0.5)).clamp(0, 1),
    "ThresholdedRelu": lambda node, x: F.threshold(x, node.get("alpha", 1.0), 0.0),
    "Gelu": lambda node, x: F.gelu(x, approximate=node.get("approximate", "none")),
    "Swish": lambda node, x: x * torch.sigmoid(node.get("alpha", 1.0) * x),
    "Pow": lambda node, x, exponent: torch.pow(x, exponent).to(x.dtype),
    "CastLike": lambda node, x, like: x.to(like.dtype),
    "Sum": lambda node, *values: reduce(torch.add, values),
    "Mean": lambda node, *values: reduce(torch.add, values) / len(values),
}
_ON_SHAPES: dict[str, tuple[Any, Any]] = {
    "Add": (py.add, torch.add),
    "Sub": (py.sub, torch.sub),
    "Mul": (py.mul, torch.mul),
    "Neg": (py.neg, torch.neg),
    "Abs": (abs, torch.abs),
    "Sqrt": (lambda a: np.sqrt(np.asarray(a, dtype=float)), torch.sqrt),
    "Floor": (np.frompyfunc(lambda v: v.__floor__(), 1, 1), torch.floor),
    "Ceil": (np.frompyfunc(lambda v: v.__ceil__(), 1, 1), torch.ceil),
    "Equal": (py.eq, torch.eq),
    "Greater": (py.gt, torch.gt),
    "GreaterOrEqual": (py.ge, torch.ge),
    "Less": (py.lt, torch.lt),
    "LessOrEqual": (py.le, torch.le),
    "And": (np.logical_and, torch.logical_and),
    "Or": (np.logical_or, torch.logical_or),
    "Not": (np.logical_not, torch.logical_not),
    "Identity": (lambda a: a, lambda x: x),
}


def _register() -> None:
    for kind, function in {**_UNARY, **_BINARY}.items():
        operator(kind)(lambda node, *values, f=function: f(*values))
    for kind, function in _WITH_ATTRIBUTES.items():
        operator(kind)(function)
    for kind, (on_arrays, on_tensors) in _ON_SHAPES.items():

        def compute(node: Node, *values: Any, a: Any = on_arrays, t: Any = on_tensors) -> Any:
            return as_array(a(*values)) if _are_arrays(values) else t(*values)

        operator(kind, on_shapes=True)(compute)


def _are_arrays(values: tuple[Any, ...]) -> bool:
    return all(isinstance(v, np.ndarray) for v in values)


_register()


@operator("Div", on_shapes=True)
def divide(node: Node, a: Any, b: Any) -> Any:
    if _are_arrays((a, b)):
        # sizes are not negative: rounding down is rounding to zero
        return a // b if _is_whole(a) and _is_whole(b) else a / b
    whole = not (a.is_floating_point() or b.is_floating_point())
    return torch.div(a, b, rounding_mode="trunc" if whole else None)


def _is_whole(value: np.ndarray) -> bool:
    if value.dtype == object:
        return all(isinstance(v, int | torch.SymInt) for v in value.reshape(-1))
    return value.dtype.kind in "iu"


@operator("Mod", on_shapes=True)
def modulo(node: Node, a: Any, b: Any) -> Any:
    if _are_arrays((a, b)):
        return a % b
    return torch.fmod(a, b) if node.get("fmod", 0) else torch.remainder(a, b)


@operator("Min", on_shapes=True)
def least(node: Node, *values: Any) -> Any:
    return _fold(values, torch.sym_min, torch.minimum)


@operator("Max", on_shapes=True)
def greatest(node: Node, *values: Any) -> Any:
    return _fold(values, torch.sym_max, torch.maximum)


def _fold(values: tuple[Any, ...], on_sizes: Any, on_tensors: Any) -> Any:
    function = np.frompyfunc(on_sizes, 2, 1) if _are_arrays(values) else on_tensors
    result = reduce(function, values)
    return np.asarray(result, dtype=object) if _are_arrays(values) else result


@operator("Clip", host=(1, 2))
def clip(node: Node, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    low, high = (None if v is None else v.item() for v in (low, high))
    return x if low is None and high is None else torch.clamp(x, low, high)


@operator("Shrink")
def shrink(node: Node, x: Tensor) -> Tensor:
    lambd, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x)))


@operator("Dropout")
def dropout(node: Node, x: Tensor, ratio: Any = None, training: Any = None) -> Tensor:
    if training is not None and bool(training):
        raise node.refuse("is exported in training mode: call model.eval() before the export")
    return x


@operator("Where", on_shapes=True)
def where(node: Node, condition: Any, a: Any, b: Any) -> Any:
    if _are_arrays((condition, a, b)):
        return np.where(np.asarray(condition, dtype=bool), a, b)
    return torch.where(condition, a, b)


_TYPES = {
    1: None, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip
"""ONNX's numbers of types; "float" is the module's own type."""


@operator("Cast", on_shapes=True)
def cast(node: Node, x: Any) -> Any:
    number = node.attributes["to"]
    if number not in _TYPES:
        raise node.refuse(f"to: type {number} of ONNX, which torch has not")
    kind = _TYPES[number]
    if isinstance(x, Tensor):
        return x.to(kind or node.float_type)
    if kind == torch.bool:
        return np.asarray(x, dtype=bool)
    to = torch.sym_float if number in (1, 10, 11, 16) else torch.sym_int
    return np.asarray(np.frompyfunc(to, 1, 1)(np.asarray(x, dtype=object)), dtype=object)
