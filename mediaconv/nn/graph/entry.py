"""Capture a module or an exported program and hand it out checked. The one entry of this room."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from mediaconv.nn.graph.check import check, phase
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.graph.refusal import CaptureError


def streaming_graph(
    module: nn.Module | ExportedProgram,
    example: Tensor | None = None,
    axis: int = 0,
    output: str | int | None = None,
    causal: bool = False,
) -> StreamingGraph:
    """A module as a graph that streams, compared with the module in ragged chunks before it is given.

    example: an input (N, C, ...); an exported program brings its own. The other arguments are those of
    `to_streaming`. Raises CaptureError (a TypeError) with every reason why it cannot stream.
    """
    if isinstance(module, ExportedProgram):
        if example is None:
            example = _own_example(module)
        module = module.module(check_guards=False)
    name = type(module).__name__
    if example is None:
        raise CaptureError(["an example input is needed: pass example=, a tensor (N, C, ...)"], name)
    if not 0 <= axis < example.ndim - 2:
        raise CaptureError(
            [f"example of shape {tuple(example.shape)}: expected (N, C, ...) with an axis {axis} after C"],
            name,
        )
    refused: CaptureError | None = None
    first: tuple[StreamingGraph, Tensor] | None = None
    for longer in (0, 1):
        # a branch on the length (padding where it is no multiple) is captured as the example takes it
        last = example.narrow(axis + 2, example.shape[axis + 2] - 1, 1)
        x = torch.cat([example, *[last] * longer], axis + 2)
        try:
            graph = StreamingGraph(module, x, axis, output=output, causal=causal)
        except CaptureError as error:
            refused = refused or error
            break
        try:
            check(graph, x, axis)
        except CaptureError as error:
            refused = refused or error
            first = first or (graph, x)
        else:
            return graph
    if first is not None:
        graph, x = first
        multiple = phase(graph, x, axis)
        if multiple:
            graph.keep_phase(multiple, x.shape[axis + 2] % multiple)
            return graph
    assert refused is not None
    raise CaptureError(refused.reasons, name)


def _own_example(program: ExportedProgram) -> Tensor | None:
    arguments: Any = (program.example_inputs or ((), {}))[0]
    return arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
