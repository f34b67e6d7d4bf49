"""Loop and Scan that carry state over the steps of an axis: recurrences, as tf2onnx writes those of Keras.

A loop is read where its body takes step t of tensors from outside (`Gather` by the loop's counter), carries
tensors from step to step, and ends with the axis. Any other is refused by its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.evaluation import evaluate
from mediaconv.model_files.onnx_operators.node import Node, as_array, as_tensor, is_symbolic, operator
from mediaconv.model_files.onnx_operators.recurrences.loop_plan import WAY_OUT, Plan, Planner
from mediaconv.model_files.onnx_operators.recurrences.sequences import Stacked
from mediaconv.model_files.onnx_operators.recurrences.subgraph import GraphBody, Subgraph
from mediaconv.nn.graph.capture.stepwise import stepwise

_FAR = 2**31 - 1
"""A number of steps that means none."""


def _planned(node: Node, tensors: dict[str, Any]) -> dict[str, Tensor]:
    node.attributes["plan"] = Planner(node, tensors).run()
    return {}


def _tensor(value: Any, device: torch.device, kind: torch.dtype) -> Tensor:
    return as_tensor(value[0] if isinstance(value, tuple) else value, device, kind)


def _numbers(value: Any) -> Any:
    return value[1] if isinstance(value, tuple) else value


@operator("Loop", as_found=True, prepare=_planned)
def loop(node: Node, *values: Any) -> list[Any]:
    """States after the last step, then outputs of all steps, as the node has them."""
    plan: Plan = node.attributes["plan"]
    body: Subgraph = node.attributes["body"]
    found = {**dict(zip(node.inputs, values, strict=True)), "": None}
    starts = node.inputs[2 : len(body.inputs)]
    for name, inner in plan.outer.items():
        found[name] = found[inner]
    device = next((v.device for v in values if isinstance(v, Tensor)), torch.device("cpu"))
    for inside in plan.before:
        inside.float_type = node.float_type
        found.update(zip(inside.outputs, evaluate(inside, found.__getitem__, device), strict=False))
    names, xs = _stepped(node, plan, found, device)
    _check_length(node, plan, found, xs[0].shape[0])
    state = [_tensor(found[starts[k]], device, node.float_type) for k in plan.carried]
    before, after = (
        [body_names[k] for k in plan.carried] for body_names in (body.inputs[2:], body.outputs[1:])
    )
    outputs = plan.outputs(body)
    made = _body(node, plan, found, names, before, outputs, after)
    constants = [_tensor(found[name], device, node.float_type) for name in made.constants]
    results = stepwise(made, xs, state, constants)
    ends: dict[int, Any] = dict(zip(plan.carried, results[len(outputs) :], strict=True))
    count = len(outputs) - len(plan.appended)
    ends |= {k: Stacked(y) for k, y in zip(plan.appended, results[count : len(outputs)], strict=True)}
    for k in plan.fixed:
        value = found[starts[k]]
        ends[k] = value if isinstance(value, Tensor) else _numbers(value)
    for k, name in enumerate(body.inputs[2:]):
        if name in plan.counters:
            ends[k] = as_array(plan.counters[name] + xs[0].shape[0])
    return [*(ends[k] for k in range(len(starts))), *results[:count]]


def _stepped(
    node: Node, plan: Plan, found: dict[str, Any], device: torch.device
) -> tuple[list[str], list[Tensor]]:
    """What a step takes of each position: names in the body, and tensors with the positions first."""
    names, xs = [], []
    for read in plan.reads:
        source = found[read.source]
        array = isinstance(_numbers(source), np.ndarray) and not isinstance(source, tuple)
        if array or (isinstance(source, list) and not isinstance(source, Stacked)):
            raise node.refuse(f"takes steps of a shape or a list: {WAY_OUT}")
        if isinstance(source, Stacked):
            x = source.tensor
        else:
            x = _tensor(source, device, node.float_type)
            axis = read.axis % x.ndim
            x = x.movedim(axis, 0)
            x = x.unsqueeze(1 + axis) if read.stays else x
        names.append(read.name)
        xs.append(x)
    used = {name for n in plan.nodes for name in n.inputs}
    for name, first in plan.counters.items():
        if name in used:
            names.append(name)
            xs.append(torch.arange(first, xs[0].shape[0] + first, device=device))
    return names, xs


def _check_length(node: Node, plan: Plan, found: dict[str, Any], length: Any) -> None:
    """Raises UnsupportedError unless a loop takes as many steps as its axis has."""
    counts = [] if not node.inputs[0] else [_numbers(found[node.inputs[0]])]
    counts += [_numbers(found[source]) for source, _ in plan.limits]
    ahead = [0] * (len(counts) - len(plan.limits)) + [1 - first for _, first in plan.limits]
    if node.inputs[1]:
        condition = _numbers(found[node.inputs[1]])
        if not isinstance(condition, np.ndarray):
            raise node.refuse(f"whether it begins depends on the numbers of the input: {WAY_OUT}")
        if condition.dtype != object and not bool(condition.reshape(-1)[0]):
            raise node.refuse("its condition is false from the start: it computes nothing")
    if any(not isinstance(count, np.ndarray) for count in counts):
        raise node.refuse(f"how many steps it takes depends on the numbers of the input: {WAY_OUT}")
    steps = [count.reshape(-1)[0] + more for count, more in zip(counts, ahead, strict=True)]
    steps = [int(n) if isinstance(n, np.generic | float) else n for n in steps]
    steps = [n for n in steps if not (isinstance(n, int) and n >= _FAR)]
    ends = [n for n in steps if bool(_whole(n) == length)]
    if not ends or not all(bool(_whole(n) >= length) for n in steps):
        raise node.refuse(f"takes another number of steps than the axis has that it reads: {WAY_OUT}")


def _whole(number: Any) -> Any:
    return torch.sym_int(number) if isinstance(number, torch.SymFloat) else number


def _body(
    node: Node,
    plan: Plan,
    found: dict[str, Any],
    xs: list[str],
    state: list[str],
    outputs: list[str],
    after: list[str],
) -> GraphBody:
    """The body for what is constant in it now; made again where a number that it reads is another."""
    given = {*xs, *state, *(name for n in plan.nodes for name in n.outputs)}
    wanted = [name for n in plan.nodes for name in n.inputs] + outputs + after
    numbers: dict[str, np.ndarray] = {}
    constants: list[str] = []
    for name in dict.fromkeys(wanted):
        if not name or name in given:
            continue
        value = found[name]
        if isinstance(value, list):
            raise node.refuse(f"reads a sequence: {WAY_OUT}")
        array = _numbers(value)
        if isinstance(array, np.ndarray):
            if is_symbolic(array):
                raise node.refuse(f"computes with a size of the input in its steps: {WAY_OUT}")
            numbers[name] = array
        if isinstance(value, Tensor) or (isinstance(value, tuple) and isinstance(value[0], Tensor)):
            constants.append(name)
    bodies = node.attributes.setdefault("bodies", {})
    key = repr([(name, a.tolist(), str(a.dtype)) for name, a in numbers.items()])
    if key not in bodies:
        bodies[key] = GraphBody(plan.nodes, xs, state, constants, outputs, after, numbers)
    return bodies[key]


@operator("Scan", as_found=True)
def scan(node: Node, *values: Any) -> list[Any]:
    """Steps along an axis of each scanned input; all of it is stated by the node."""
    body: Subgraph = node.attributes["body"]
    scanned = node.attributes["num_scan_inputs"]
    states, total = len(body.inputs) - scanned, len(body.inputs)
    found = dict(zip(node.inputs, values, strict=True))
    given = [found[name] for name in node.inputs[:total]]
    kind = node.float_type
    device = next((v.device for v in given if isinstance(v, Tensor)), torch.device("cpu"))
    tensors = [_tensor(v, device, kind) for v in given]
    axes = _each(node, "scan_input_axes", scanned)
    xs = [t.movedim(axis, 0) for t, axis in zip(tensors[states:], axes, strict=True)]
    back = _each(node, "scan_input_directions", scanned)
    xs = [x.flip(0) if b else x for x, b in zip(xs, back, strict=True)]
    plan = Plan(nodes=body.needed(body.outputs, body.inputs))
    names, after, outputs = body.inputs[states:], body.outputs[:states], body.outputs[states:]
    made = _body(node, plan, found, names, body.inputs[:states], outputs, after)
    constants = [_tensor(found[name], device, kind) for name in made.constants]
    results = stepwise(made, xs, tensors[:states], constants)
    ys, last = results[: len(outputs)], results[len(outputs) :]
    back = _each(node, "scan_output_directions", len(outputs))
    ys = [y.flip(0) if b else y for y, b in zip(ys, back, strict=True)]
    axes = _each(node, "scan_output_axes", len(outputs))
    return [*last, *(y.movedim(0, axis) for y, axis in zip(ys, axes, strict=True))]


def _each(node: Node, key: str, count: int) -> list[int]:
    return list(node.get(key) or [0] * count)
