"""An ONNX graph as one torch module: its forward runs the nodes as torch operations.

Initializers are parameters, but for single numbers without axes (as PyTorch's newer exporter writes those of
a mask), other constants buffers. What depends on constants alone is computed once. Shapes
are computed beside the tensors: torch.export sees the layers and nothing of the arithmetic around them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mediaconv.model_files.onnx_operators.evaluation import evaluate
from mediaconv.model_files.onnx_operators.going_on import Pass
from mediaconv.model_files.onnx_operators.node import (
    OPERATORS,
    Node,
    UnsupportedError,
    as_tensor,
    check_size,
)
from mediaconv.nn.graph.capture.quiet_export import quiet

_ENLARGING = ("Pad", "Resize", "Upsample", "ConvTranspose", "OneHot")
"""Operators of which small inputs may state a large result."""
_PLAIN = 2**20
"""Numbers that a constant may have without a look at how many there will be."""
_TRIED = 64
"""Positions along an axis of any size, where a file that is refused is looked through for other reasons."""
_SMALL = 4096
"""Constants of so many numbers are kept as arrays too, for shapes, axes and sizes."""


class Constant:
    """A constant's name in the module (None where it is no tensor of it) and, if small, its numbers."""

    def __init__(self, key: str | None, numbers: np.ndarray | None) -> None:
        self.key, self.numbers = key, numbers


class OnnxModule(nn.Module):
    """The part of an ONNX graph between one input and one output.

    nodes: in an order in which each reads what is there. tensors: constants by name; `trained` names those
    that are parameters. Forms that are not read are told by `refusals` or when it is called.
    """

    captured_as = ""  # reasons name the file's own nodes

    def __init__(
        self, nodes: Sequence[Node], tensors: Mapping[str, Tensor], trained: set[str], input: str, output: str
    ) -> None:
        super().__init__()
        self.input, self.output = input, output
        self.input_shape: tuple[int | None, ...] | None = None
        self.notes: list[str] = []
        self.input_type = "float"
        self._made = 0
        self._constants: dict[str, Constant] = {}
        self._nodes = self._folded(nodes, dict(tensors), trained)

    def _folded(self, nodes: Sequence[Node], known: dict[str, Any], trained: set[str]) -> list[Node]:
        """The nodes that depend on the input; what the others give are constants."""
        kept: list[Node] = []

        def constant(name: str) -> Any:
            return _both(known[name])

        for node in nodes:
            prepare = OPERATORS[node.kind].prepare if node.kind in OPERATORS else None
            try:
                if prepare is not None:
                    made = prepare(node, {k: v for k, v in known.items() if isinstance(v, Tensor | list)})
                    known |= made
                    trained |= set(made)
                if node.refused is None and all(not name or name in known for name in node.inputs):
                    self._check_made(node, constant)
                    with torch.no_grad():
                        values = evaluate(node, constant)
                    known |= dict(zip(node.outputs, values, strict=False))
                    continue
            except UnsupportedError as error:
                node.refused = error
            kept.append(node)
        read = {name for node in kept for name in node.inputs} | {self.output}
        for name in read & set(known):
            self._constants[name] = self._held(name, known[name], name in trained)
        return kept

    def _check_made(self, node: Node, constant: Callable[[str], Any]) -> None:
        """Refuse a constant that a few bytes of a file would make fill the memory, before it is made."""
        found = {name: constant(name) for name in node.inputs if name}
        numbers = [math.prod(v[0].shape) for v in found.values() if isinstance(v, tuple)]
        if node.kind not in _ENLARGING and math.prod(numbers) <= _PLAIN:
            return
        with quiet(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
            for name, v in found.items():
                if isinstance(v, tuple) and isinstance(v[0], Tensor):
                    found[name] = (mode.from_tensor(v[0]), v[1])
            try:
                made = [v.numel() for v in evaluate(node, found.__getitem__) if isinstance(v, Tensor)]
            except (RuntimeError, NotImplementedError):
                return  # its sizes follow from values, or it fails, which is told where it is computed
        self._made += sum(int(n) for n in made)
        check_size(node, [self._made])

    def _held(self, name: str, value: Any, trained: bool) -> Constant:
        if isinstance(value, list):
            raise TypeError(f"{name}: a constant sequence")
        numbers = _numbers(value)
        if numbers is not None and numbers.dtype.kind != "f":
            return Constant(None, numbers)
        tensor = as_tensor(value, torch.device("cpu"), torch.float32)
        key = re.sub(r"\W", "_", name) or "constant"
        while hasattr(self, key):
            key += "_"
        if trained and tensor.is_floating_point() and tensor.ndim:
            self.register_parameter(key, nn.Parameter(tensor.detach().clone()))
        else:
            self.register_buffer(key, tensor.detach().clone())
        return Constant(key, numbers)

    def forward(self, x: Tensor) -> Tensor:
        """The output for the input, in the shapes and the layout of the file.

        Raises UnsupportedError with all forms that are not read.
        """
        return self._run(x, Pass(x, exporting=torch.compiler.is_exporting()))

    def refusals(
        self, known: Sequence[str], others: Mapping[str, tuple[int | None, ...] | None]
    ) -> list[str]:
        """All forms that are not read, after those that are known, so far as declared shapes tell them.

        others: shapes of other inputs that the output needs.
        """
        own = [reason for node in self._nodes if node.refused is not None for reason in node.refused.reasons]
        known = list(dict.fromkeys([*known, *own]))
        if not known or self.input_shape is None:
            return known
        there = {*others, *self._constants, self.input, *(n for node in self._nodes for n in node.outputs)}
        lost = {name for node in self._nodes for name in node.inputs if name not in there}
        lost |= {name for name, shape in others.items() if shape is None}
        try:
            with quiet(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
                env = {name: _zeros(shape) for name, shape in others.items() if shape is not None}
                x = _zeros(self.input_shape)
                self._run(x, Pass(x, known=known, lost=lost), env)
        except UnsupportedError as error:
            return error.reasons
        except Exception:  # what is missing in it may let all that follows fail
            pass
        return known

    def _run(self, x: Tensor, run: Pass, others: Mapping[str, Tensor] | None = None) -> Tensor:
        env: dict[str, Any] = {**(others or {}), self.input: x}

        def find(name: str) -> Any:
            if name in env:
                return env[name]
            constant = self._constants[name]
            tensor = getattr(self, constant.key) if constant.key is not None else constant.numbers
            return tensor, constant.numbers

        last = {name: i for i, node in enumerate(self._nodes) for name in node.inputs}
        for i, node in enumerate(self._nodes):
            node.float_type = x.dtype if x.is_floating_point() else torch.float32
            env |= run.values(node, find)
            for name in node.inputs:
                if last.get(name) == i and name != self.output:
                    env.pop(name, None)
        result = run.end(self.output, find)
        result = result[0] if isinstance(result, tuple) else result
        return as_tensor(result, x.device, x.dtype)


def _zeros(shape: Sequence[int | None]) -> Tensor:
    """An input of a declared shape."""
    return torch.zeros([size or (_TRIED if i else 1) for i, size in enumerate(shape)])


def _both(value: Any) -> Any:
    """A constant as a pair, as `find` gives it."""
    return value if isinstance(value, list) else (value, _numbers(value))


def _numbers(value: Any) -> np.ndarray | None:
    """A constant's numbers where they are few."""
    if isinstance(value, np.ndarray):
        return value
    if value.ndim > 1 or value.numel() > _SMALL or value.dtype in (torch.bfloat16, torch.complex64):
        return None
    return value.detach().cpu().numpy()
