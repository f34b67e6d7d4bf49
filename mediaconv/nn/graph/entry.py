"""Capture a module or an exported program and hand it out checked. The one entry of this room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from mediaconv.nn.graph.check import DiffersError, agrees, check
from mediaconv.nn.graph.conditions import tried_ways
from mediaconv.nn.graph.exported_program import module_of
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.graph.refusal import CaptureError


def streaming_graph(
    module: nn.Module | ExportedProgram,
    example: Tensor | None = None,
    axis: int = 0,
    output: str | int | None = None,
    causal: bool = False,
    into_past: bool = False,
) -> StreamingGraph:
    """A module as a graph that streams, compared with the module in ragged chunks before it is given.

    into_past: its causal twin, every window along the axis moved into the past, is given instead.
    example: an input (N, C, ...); an exported program brings its own. The other arguments are those of
    `to_streaming`. Raises CaptureError (a TypeError) with every reason why it cannot stream.
    """
    if isinstance(module, ExportedProgram):
        if example is None:
            example = _own_example(module)
        module = module_of(module)
    name = type(module).__name__
    if example is None:
        raise CaptureError(["an example input is needed: pass example=, a tensor (N, C, ...)"], name)
    if not 0 <= axis < example.ndim - 2:
        raise CaptureError(
            [f"example of shape {tuple(example.shape)}: expected (N, C, ...) with an axis {axis} after C"],
            name,
        )
    refused: CaptureError | None = None
    narrow: StreamingGraph | None = None
    for longer in (0, 1):
        # a branch on the length (padding where it is no multiple) is captured as the example takes it
        last = example.narrow(axis + 2, example.shape[axis + 2] - 1, 1)
        x = torch.cat([example, *[last] * longer], axis + 2)
        try:
            graph = StreamingGraph(module, x, axis, output=output, causal=causal, into_past=into_past)
            broken = _checked(graph, x, axis)
        except CaptureError as error:
            refused = refused or error
            if not isinstance(error, DiffersError):
                break
            continue
        if not broken:
            return graph
        narrow = narrow or graph
    if narrow is not None:
        return narrow
    assert refused is not None
    raise CaptureError(refused.reasons, name)


def _checked(graph: StreamingGraph, x: Tensor, axis: int) -> frozenset[int]:
    """Compare a capture with its module, and find the conditions on lengths that it depends on."""
    conditions, dim = graph.conditions(), axis + 2

    def holds(length: int) -> bool:
        return not conditions.broken([length if d == dim else n for d, n in enumerate(x.shape)])

    def agrees_at(length: int) -> bool:
        try:
            return agrees(graph, x, axis, length)
        except CaptureError:
            return False

    check(graph, x, axis, holds)
    _check_lengths(graph, x, axis, holds)
    ways = tried_ways(conditions, x.shape, agrees_at)
    broken = frozenset(i for i in ways.bad if not conditions.about_ends(i, x.shape))
    graph.keep_conditions(ways, broken)
    return broken


def _check_lengths(graph: StreamingGraph, x: Tensor, axis: int, holds: Callable[[int], bool]) -> None:
    """Run the lengths at which the graph's formula for the output's length is not the export's."""
    length, along = x.shape[axis + 2], graph.axis_map(axis)
    for n in (*range(1, 65), *range(length, length + 65)):
        if not holds(n):
            continue
        try:
            same = along.output_length(n) == graph.exported_length(n)
        except ValueError:
            same = False
        if not same:
            agrees(graph, x, axis, n)
            return


def _own_example(program: ExportedProgram) -> Tensor | None:
    arguments: Any = (program.example_inputs or ((), {}))[0]
    return arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
