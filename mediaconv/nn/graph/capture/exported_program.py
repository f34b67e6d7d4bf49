"""What a program of `torch.export` computes, as a module that can be exported again: captured."""

from __future__ import annotations

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
    """Let a program's module compute in float32 instead of the type that it was exported in, in place.

    Its graph names that type wherever the model took the type of its input.
    """
    module.float()
    for part in module.modules():
        if not isinstance(part, fx.GraphModule):
            continue
        for node in part.graph.nodes:
            node.args, node.kwargs = fx.node.map_aggregate(
                (node.args, node.kwargs), lambda a: torch.float32 if a is dtype else a
            )
        part.recompile()
