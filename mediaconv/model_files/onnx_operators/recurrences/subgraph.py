"""The graph inside of a node (the body of a Loop or a Scan), and how one step of it is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.going_on import Pass
from mediaconv.model_files.onnx_operators.node import Node, as_tensor
from mediaconv.nn.graph.capture.stepwise import Body


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

        self.known = list(constants)

    def begin(self, constants: Sequence[Tensor]) -> list[Any]:
        env: dict[str, Any] = self._with_numbers(dict(zip(self.constants, constants, strict=True)))
        made: dict[str, Any] = {}
        if constants:
            self._compute(self.fixed, env, constants)
            made = {name: env[name] for node in self.fixed for name in node.outputs if name}
        self.numbers |= {name: v for name, v in made.items() if isinstance(v, np.ndarray)}
        made = {name: v for name, v in made.items() if name not in self.numbers}
        self.known = [*self.constants, *made]
        return [*constants, *made.values()]

    def once(
        self, xs: list[Tensor], state: list[Tensor], known: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        env = self._with_numbers(dict(zip(self.known, known, strict=True)))
        env |= dict(zip(self.xs, xs, strict=True)) | dict(zip(self.state, state, strict=True))
        self._compute([*([] if self.constants else self.fixed), *self.changing], env, [*xs, *state])
        like = [*xs, *state, *known]
        device, kind = like[0].device, _float_type(like)

        def tensor(name: str) -> Tensor:
            value = env[name]
            return as_tensor(value[0] if isinstance(value, tuple) else value, device, kind)

        return [tensor(name) for name in self.outputs], [tensor(name) for name in self.after]

    def _with_numbers(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """Tensors, with their numbers where these are known, and what is known as numbers alone."""
        return {
            **self.numbers,
            **{n: (t, self.numbers[n]) if n in self.numbers else t for n, t in tensors.items()},
        }

    def _compute(self, nodes: Sequence[Node], env: dict[str, Any], like: Sequence[Tensor]) -> None:
        kind = _float_type(like)
        run = Pass(like[0])
        for node in nodes:
            node.float_type = kind
            env.update(run.values(node, env.__getitem__))
        run.check()


def _float_type(tensors: Iterable[Tensor]) -> torch.dtype:
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
