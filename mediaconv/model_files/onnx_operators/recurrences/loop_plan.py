"""What a Loop does in its steps: which tensors it takes step t of, what it carries, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node
from mediaconv.model_files.onnx_operators.recurrences.subgraph import Subgraph

WAY_OUT = (
    "only loops over the steps of one axis are read, which take step t and carry a state: export recurrent "
    "layers as LSTM, GRU or RNN, or the model without this loop"
)
_SAME_INDEX = ("Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape")


@dataclass
class Read:
    """Step t of a tensor or sequence: `name` in the body, of `source`, along an axis, which stays or goes."""

    name: str
    source: str
    axis: int
    stays: bool


@dataclass
class Plan:
    """A loop taken apart. Names are those of the body; `outer` has what some are outside of it.

    counters: input that counts, to its first value. fixed: inputs that never change. carried: numbers of the
    states proper; appended: of those that are a sequence which grows by a step, to what it grows by.
    limits: a value that the count may not reach, and the count in step 0. before: nodes that give the same in
    every step, of which steps are taken.
    """

    outer: dict[str, str] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)
    carried: list[int] = field(default_factory=list)
    appended: dict[int, str] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    before: list[Node] = field(default_factory=list)
    limits: list[tuple[str, int]] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def outputs(self, body: Subgraph) -> list[str]:
        """What is given in every step: outputs proper, and what sequences grow by."""
        return body.outputs[len(body.inputs) - 1 :] + list(self.appended.values())


class Planner:
    def __init__(self, node: Node, tensors: dict[str, Any]) -> None:
        self.node, self.tensors = node, tensors
        self.body: Subgraph = node.attributes["body"]
        self.states = self.body.inputs[2:]
        self.starts = node.inputs[2 : 2 + len(self.states)]
        self.plan = Plan()

    def refuse(self, text: str) -> Exception:
        return self.node.refuse(f"{text}: {WAY_OUT}")

    def run(self) -> Plan:
        plan, body = self.plan, self.body
        plan.counters[body.inputs[0]] = 0
        for k, (name, start) in enumerate(zip(self.states, self.starts, strict=True)):
            if body.origin(body.outputs[1 + k]) == name:
                plan.fixed.add(k)
                plan.outer[name] = start
        for k, (name, start) in enumerate(zip(self.states, self.starts, strict=True)):
            if k in plan.fixed or self.grows(k, name, start):
                continue
            first = self.number(start)
            plan.counters[name] = first if first is not None else 0
            if first is None or self.index(body.outputs[1 + k]) != (first + 1, 0):
                del plan.counters[name]
                plan.carried.append(k)
        plan.limits = self.limits(body.outputs[0])
        names = [body.outputs[1 + k] for k in plan.carried] + plan.outputs(body)
        for node in body.needed(names, ()):
            taking = node.kind in ("Gather", "SequenceAt")
            source = self.same(node.inputs[0]) if taking else None
            index = self.index(node.inputs[1]) if taking else None
            if source is None or index is None:
                continue
            if index[0]:
                raise self.refuse(f"reads {index[0]:+d} steps from the one it is at")
            plan.reads.append(Read(node.outputs[0], source, node.get("axis", 0), bool(index[1])))
        plan.before = body.needed([read.source for read in plan.reads], ())
        if not plan.reads:
            raise self.refuse("takes no step of a tensor from outside")
        plan.nodes = body.needed(names, [read.name for read in plan.reads])
        return plan

    def outside(self, name: str) -> str | None:
        """What a name is outside of the body; None where it is made in it."""
        name = self.body.origin(name)
        name = self.plan.outer.get(name, name)
        return None if name in self.body.made or name in self.body.inputs else name

    def same(self, name: str) -> str | None:
        """A value that is the same in every step, by its name outside if it has one; else None."""
        outside = self.outside(name)
        if outside is not None:
            return outside
        made = self.body.needed([name], ())
        read = {n for node in made for n in node.inputs if n and n not in self.body.made}
        fixed = made and all(self.outside(n) is not None for n in read)
        return name if fixed else None

    def grows(self, k: int, name: str, start: str) -> bool:
        """Whether a state is a sequence that begins empty and gets one more at its end in every step."""
        node = self.body.made.get(self.body.origin(self.body.outputs[1 + k]))
        if node is None or node.kind != "SequenceInsert" or self.tensors.get(start) != []:
            return False
        if node.inputs[0] != name or (len(node.inputs) > 2 and node.inputs[2]):
            return False
        self.plan.appended[k] = node.inputs[1]
        self.node.inputs[2 + k] = ""
        return True

    def number(self, name: str) -> int | None:
        """The whole number that a constant is."""
        value = self.tensors.get(self.outside(name) or "")
        if not isinstance(value, Tensor) or value.numel() != 1 or value.is_floating_point():
            return None
        return int(value)

    def index(self, name: str) -> tuple[int, int] | None:
        """A value that counts with the loop: its number in step 0, and its axes. None for any other."""
        if name in self.plan.counters:
            return self.plan.counters[name], 0
        node = self.body.made.get(name)
        if node is None:
            return None
        if node.kind in _SAME_INDEX:
            inner = self.index(node.inputs[0])
            axes = {"Unsqueeze": 1, "Reshape": 1, "Squeeze": -1}.get(node.kind, 0)
            return None if inner is None else (inner[0], min(1, max(0, inner[1] + axes)))
        if node.kind in ("Add", "Sub"):
            pairs = [node.inputs] if node.kind == "Sub" else [node.inputs, node.inputs[::-1]]
            for a, b in pairs:
                inner, more = self.index(a), self.number(b)
                if inner is not None and more is not None:
                    return inner[0] + (more if node.kind == "Add" else -more), inner[1]
        return None

    def limits(self, name: str) -> list[tuple[str, int]]:
        """What the loop's condition compares the count with, and the count in step 0."""
        body, name = self.body, self.body.origin(name)
        if name == body.inputs[1]:
            return []
        known = self.tensors.get(self.outside(name) or "")
        if isinstance(known, Tensor) and known.numel() == 1 and bool(known):
            return []
        node = body.made.get(name)
        if node is not None and node.kind == "Cast":
            return self.limits(node.inputs[0])
        if node is not None and node.kind == "And":
            return [limit for part in node.inputs for limit in self.limits(part)]
        if node is not None and node.kind in ("Less", "Greater"):
            count, limit = node.inputs if node.kind == "Less" else node.inputs[::-1]
            index, source = self.index(count), self.outside(self._uncast(limit))
            if index is not None and source is not None:
                return [(source, index[0])]
        raise self.refuse("ends when what it computes says so")

    def _uncast(self, name: str) -> str:
        name = self.body.origin(name)
        while name in self.body.made and self.body.made[name].kind == "Cast":
            name = self.body.origin(self.body.made[name].inputs[0])
        return name
