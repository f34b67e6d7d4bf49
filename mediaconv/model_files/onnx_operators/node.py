"""One node of an ONNX graph and the registry of operators.

A value is a torch tensor, or a numpy array: a shape, or what is computed from shapes. Its numbers may be
torch's symbolic sizes, so that arithmetic on shapes never becomes an operation on tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Value = Tensor | np.ndarray | list | None


class UnsupportedError(ValueError):
    """Operators, or forms of them, that are not read. `reasons` has a sentence for each, with its node."""

    of_file = True
    instead: Mapping[str, Any] = {}
    """Attributes that would be read, where it is for these that a node is refused."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(dict.fromkeys(reasons))
        super().__init__(all_told(self.reasons, "reasons why it is not read"))


def all_told(reasons: Sequence[str], what: str) -> str:
    """One reason as it is, several a line each."""
    if len(reasons) == 1:
        return reasons[0]
    return f"{len(reasons)} {what}:" + "".join(f"\n- {reason}" for reason in reasons)


@dataclass
class Node:
    """A node with its attributes as Python values, names of what it reads and gives, and the opset."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    opset: int
    float_type: torch.dtype = torch.float32
    """What ONNX's "float" is here: the type of the module's parameters."""
    refused: UnsupportedError | None = None
    """Why it is not read, where that was found before it is computed."""

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def refuse(self, text: str) -> UnsupportedError:
        return UnsupportedError(f"{self.place}: {text}")

    @property
    def place(self) -> str:
        """The node in words, as errors begin."""
        return f"{self.kind} {self.name}".strip() + f" (gives {self.outputs[0]})"

    def only(self, **allowed: Any) -> None:
        """Refuse attributes whose values are not these."""
        wrong = {key: value for key, value in allowed.items() if self.get(key, value) != value}
        if wrong:
            error = self.refuse(
                "; ".join(f"{k}: got {self.get(k)!r}, expected {value!r}" for k, value in wrong.items())
            )
            error.instead = wrong
            raise error


@dataclass(frozen=True)
class Operator:
    """How a kind of node is computed.

    host: numbers of the inputs that are wanted as numpy arrays. on_shapes: whether it computes with
    arrays too. as_found: it takes values as they are, constants as pairs of a tensor and its numbers.
    """

    function: Callable[..., Any]
    host: Sequence[int] = ()
    on_shapes: bool = False
    as_found: bool = False
    prepare: Callable[[Node, dict[str, Any]], dict[str, Tensor]] | None = field(default=None)


OPERATORS: dict[str, Operator] = {}


def operator(
    *kinds: str,
    host: Sequence[int] = (),
    on_shapes: bool = False,
    as_found: bool = False,
    prepare: Any = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function (node, *values) as the computation of these kinds."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS.update(dict.fromkeys(kinds, Operator(function, tuple(host), on_shapes, as_found, prepare)))
        return function

    return add


def ints(value: np.ndarray | Sequence[int] | None) -> list[Any]:
    """Numbers of a shape or a list of axes, symbolic ones as they are."""
    if value is None:
        return []
    return [_plain(v) for v in np.asarray(value).reshape(-1).tolist()]


def _plain(number: Any) -> Any:
    """A number as an int; a symbol stays one, unless arithmetic left a number of it (`0 * n + 3`)."""
    if isinstance(number, torch.SymInt) and not number.node.expr.is_number:
        return number
    return int(number)


def axes_of(node: Node, operand: np.ndarray | None, rank: int) -> list[int] | None:
    """Axes of an input or, in older opsets, of the attribute, counted from the front; None where unstated."""
    axes = ints(operand) if operand is not None else node.get("axes")
    return None if axes is None else [int(a) % rank for a in axes]


def as_array(value: Any) -> np.ndarray:
    """What numpy made of arrays of sizes, one number too, as an array."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def is_symbolic(value: np.ndarray) -> bool:
    """Whether some of an array's numbers are torch's symbols."""
    kinds = (torch.SymInt, torch.SymFloat, torch.SymBool)
    return value.dtype == object and any(isinstance(v, kinds) for v in value.reshape(-1))


def as_tensor(value: Any, device: torch.device, float_type: torch.dtype) -> Tensor:
    """A numpy array of numbers, or of symbolic sizes, as a tensor."""
    if isinstance(value, Tensor):
        return value
    if is_symbolic(value):
        parts = [torch.scalar_tensor(v, dtype=torch.int64, device=device) for v in value.reshape(-1)]
        return torch.stack(parts).reshape(value.shape)
    plain = np.array(value.tolist()) if value.dtype == object else value
    kind = float_type if plain.dtype.kind == "f" else getattr(torch, str(plain.dtype))
    return torch.tensor(plain, dtype=kind, device=device)


MAX_NUMBERS = 2**28


def check_size(node: Node, sizes: Sequence[Any]) -> None:
    """Refuse a constant tensor that a few bytes of a file would make fill the memory."""
    count = 1
    for size in sizes:
        count *= size if isinstance(size, int) else 1
    if count > MAX_NUMBERS:
        raise node.refuse(f"makes a tensor of shape {list(sizes)}, expected at most {MAX_NUMBERS} numbers")
