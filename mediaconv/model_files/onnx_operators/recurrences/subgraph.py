"""The graph inside of a node (the body of a Loop or a Scan), and how one step of it is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.evaluation import evaluate
from mediaconv.model_files.onnx_operators.node import Node, as_tensor
from mediaconv.nn.graph.capture.stepwise import Body, Once


@dataclass
class Subgraph:
    """A node's own graph. captured: names of the graph around it that it reads, constants of its own too."""

    inputs: list[str]
    outputs: list[str]
    nodes: list[Node]
    captured: list[str]
    made: dict[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.made = {name: node for node in self.nodes for name in node.outputs}

    def origin(self, name: str) -> str:
        """The name that a value had before nodes which give what they are given."""
        while name in self.made and self.made[name].kind == "Identity":
            name = self.made[name].inputs[0]
        return name

    def needed(self, names: Iterable[str], given: Iterable[str]) -> list[Node]:
        """The nodes that make these names of what is given, in order."""
        wanted, seen, todo = set(), set(given), list(names)
        while todo:
            name = todo.pop()
            if name not in seen and name in self.made:
                wanted.add(id(self.made[name]))
                todo.extend(self.made[name].inputs)
            seen.add(name)
        return [node for node in self.nodes if id(node) in wanted]


class GraphBody(Body):
    """A step of a subgraph. xs, state, constants: names of what comes; outputs, after: of what is given.

    numbers: values that are no tensors, or those of constants, by name.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        xs: Sequence[str],
        state: Sequence[str],
        constants: Sequence[str],
        outputs: Sequence[str],
        after: Sequence[str],
        numbers: Mapping[str, np.ndarray],
    ) -> None:
        self.xs, self.state, self.constants = list(xs), list(state), list(constants)
        self.outputs, self.after, self.numbers = list(outputs), list(after), dict(numbers)
        changing = {*xs, *state}
        self.fixed: list[Node] = []
        self.changing: list[Node] = []
        for node in nodes:
            moves = any(name in changing for name in node.inputs)
            (self.changing if moves else self.fixed).append(node)
            changing.update(node.outputs if moves else ())

    def begin(self, constants: Sequence[Tensor]) -> Once:
        tensors = dict(zip(self.constants, constants, strict=True))
        known: dict[str, Any] = {
            name: (tensors[name], self.numbers[name]) if name in self.numbers else value
            for name, value in tensors.items()
        }
        known |= {name: value for name, value in self.numbers.items() if name not in tensors}
        if constants:
            self._compute(self.fixed, known, constants)

        def once(xs: list[Tensor], state: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            env = {
                **known,
                **dict(zip(self.xs, xs, strict=True)),
                **dict(zip(self.state, state, strict=True)),
            }
            self._compute([*([] if constants else self.fixed), *self.changing], env, [*xs, *state])
            like = [*xs, *state, *constants]
            device, kind = like[0].device, _float_type(like)

            def tensor(name: str) -> Tensor:
                value = env[name]
                return as_tensor(value[0] if isinstance(value, tuple) else value, device, kind)

            return [tensor(name) for name in self.outputs], [tensor(name) for name in self.after]

        return once

    def _compute(self, nodes: Sequence[Node], env: dict[str, Any], like: Sequence[Tensor]) -> None:
        kind, device = _float_type(like), like[0].device
        for node in nodes:
            node.float_type = kind
            env.update(zip(node.outputs, evaluate(node, env.__getitem__, device), strict=False))


def _float_type(tensors: Iterable[Tensor]) -> torch.dtype:
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
