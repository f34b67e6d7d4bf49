"""What a program of `torch.export` computes, as a module that can be exported again: captured."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from mediaconv.nn.graph.capture.obstacles import RECURRENT


def module_of(program: ExportedProgram) -> fx.GraphModule:
    """A program's module, without checks of its input's sizes where torch's export had to fix them.

    torch exports recurrent layers for the example's length alone, and unrolls them when they are exported
    again: they become the operation of our own, which takes any length.
    """
    module = program.module(check_guards=False)
    module.captured_as = ""  # type: ignore[assignment]  # its class says nothing of the model
    parts = [part for part in module.modules() if isinstance(part, fx.GraphModule)]
    if sum(_keep_recurrences(part) for part in parts):
        module.validate_inputs = False  # type: ignore[assignment]
    return module


def _keep_recurrences(module: fx.GraphModule) -> int:
    """Make a graph's recurrent layers our own operation; how many it has."""
    exported = {getattr(torch.ops.aten, kind).input: kind for kind in RECURRENT}
    nodes = [node for node in module.graph.nodes if node.target in exported]
    for node in nodes:
        kind = exported[node.target]
        x, state, weights, biases, layers, _, _, bidirectional, batch_first = node.args
        states = list(state) if kind == "lstm" else [state]
        node.target = torch.ops.mediaconv.recurrent.default
        node.args = (kind, x, states, list(weights), biases, layers, bidirectional, batch_first)
    module.recompile()
    return len(nodes)


def to_single(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Let a program's module of one input compute in float32 instead of the type that it was exported in.

    In place. Its graph names that type wherever the model took the type of its input: there it takes the type
    of its input again, so that it can be moved to float64; graphs within it take float32.
    """
    module.float()
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            _retype(part, dtype, follow=part is module)


def _retype(part: fx.GraphModule, dtype: torch.dtype, *, follow: bool) -> None:
    graph = part.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    named = [node for node in graph.nodes if dtype in (*node.args, *node.kwargs.values())]
    instead: Any = torch.float32
    if follow and named:
        with graph.inserting_after(inputs[0]):
            instead = graph.call_function(getattr, (inputs[0], "dtype"))
    for node in named:
        node.args, node.kwargs = fx.node.map_aggregate(
            (node.args, node.kwargs), lambda a: instead if a is dtype else a
        )
    part.recompile()
