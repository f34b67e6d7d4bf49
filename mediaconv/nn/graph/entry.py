"""Capture a module or an exported program and hand it out checked. The one entry of this room."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from mediaconv.nn.graph.capture.exported_program import module_of
from mediaconv.nn.graph.capture.lengths_run import RunLengths, lengths_run
from mediaconv.nn.graph.capture.stated_layout import check_layout
from mediaconv.nn.graph.check import DiffersError, agrees, check, runs
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.graph.lengths.captured_lengths import Phase
from mediaconv.nn.graph.lengths.table_ends import within_tables
from mediaconv.nn.graph.lengths.tried_ways import tried_ways
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.model_layout import ModelLayout


def streaming_graph(
    module: nn.Module | ExportedProgram,
    example: Tensor | None = None,
    axis: int = 0,
    output: str | int | None = None,
    causal: bool = False,
    into_past: bool = False,
    *,
    layout: ModelLayout | None = None,
    hold: bool = False,
) -> StreamingGraph:
    """A module as a graph that streams, compared with the module in ragged chunks before it is given.

    into_past: its causal twin, every window along the axis moved into the past, is given instead.
    layout: the module's own, where it is not (N, C, ...).
    example: an input (N, C, ...); an exported program brings its own. The other arguments are those of
    `to_streaming`. Raises CaptureError (a TypeError) with every reason why it cannot stream.
    """
    if example is not None and not isinstance(example, Tensor):
        raise CaptureError(
            [f"example: got a {type(example).__name__}, expected a tensor (N, C, ...)"], type(module).__name__
        )
    if isinstance(module, ExportedProgram):
        if example is None:
            example = _own_example(module)
        module = module_of(module)
    if not isinstance(module, nn.Module):
        name = getattr(module, "__name__", type(module).__name__)
        raise CaptureError(
            [
                "expected a torch.nn.Module or a torch.export.ExportedProgram (a function: call it in a "
                "module's forward; a file: use model: in a configuration)"
            ],
            name,
        )
    name = _name_of(module)
    _refuse_unseen(module, example, name)
    if example is None:
        raise CaptureError(["an example input is needed: pass example=, a tensor (N, C, ...)"], name)
    if not 0 <= axis < example.ndim - 2:
        squeezed = (
            ": for a model of (N, T) give one of (N, 1, T), and axes='n t'" if example.ndim == 2 else ""
        )
        raise CaptureError(
            [
                f"example of shape {tuple(example.shape)}: expected (N, C, ...) with an axis {axis} after "
                f"C{squeezed}"
            ],
            name,
        )
    if not example.numel():
        raise CaptureError([f"example of shape {tuple(example.shape)}: expected one with values"], name)
    with torch.compiler.set_stance("force_eager"):  # compiled parts would be compiled at every length
        if layout is not None:
            with torch.no_grad():
                check_layout(module, example, layout, output, name)
        options = {"output": output, "causal": causal, "into_past": into_past, "layout": layout, "hold": hold}
        return _first_that_holds(module, example, axis, options)


def _name_of(module: nn.Module) -> str:
    """What a module is called in reasons: its class, or what it says that it was captured as."""
    return getattr(module, "captured_as", type(module).__name__)


def _first_that_holds(
    module: nn.Module, example: Tensor, axis: int, options: dict[str, Any]
) -> StreamingGraph:
    """A capture that holds at all lengths, else one that holds at some. Raises CaptureError for none.

    options: of a StreamingGraph.
    """
    name = _name_of(module)
    refused: CaptureError | None = None
    narrow: StreamingGraph | None = None
    for longer in (0, 1):
        # a branch on the length (padding where it is no multiple) is captured as the example takes it
        last = example.narrow(axis + 2, example.shape[axis + 2] - 1, 1)
        x = torch.cat([example, *[last] * longer], axis + 2)
        try:
            graph = StreamingGraph(module, x, axis, **options)
            if narrow is not None and graph.axis_map(axis).whole > narrow.axis_map(axis).whole:
                break  # of any length, but it holds what the first one streams
            broken = _checked_as_it_rounds(graph)
        except CaptureError as error:
            if isinstance(error, DiffersError) and not options["into_past"] and _changes(graph, x):
                raise CaptureError([_CHANGES], name) from None
            if isinstance(error, DiffersError):
                error.reasons[:0] = graph.unstreamed
            refused = refused or error
            if not isinstance(error, DiffersError):
                break
            continue
        if broken <= graph.conditions().phase_numbers or graph.resizes_alone(broken):
            return graph
        narrow = narrow or graph
    if narrow is not None:
        return narrow
    assert refused is not None
    raise CaptureError(refused.reasons, name)


def for_length(graph: StreamingGraph, length: int) -> StreamingGraph:
    """A capture for inputs of a length along its axis: where what is padded in front follows from the length,
    or the module goes another way, another one than the graph itself may be needed. It is checked as any.

    Raises ValueError where none was found, with the lengths that the graph is for.
    """
    if graph.takes(length):
        return graph.at_phase(None, length)
    graph.refuse_longer(length)
    phases = graph.__dict__["_phases"]
    for n in graph.similar_lengths(length):
        if n not in phases:
            phases[n] = _phase_at(graph, n)
        if phases[n] is not None:
            found = graph.at_phase(phases[n], length)
            if found.takes(length):
                return found
    graph.check_length(length, tried=True)
    raise ValueError(f"length {length}: the model could not be captured for it")


def _phase_at(graph: StreamingGraph, length: int) -> Phase | None:
    """What belongs to a graph for an example of a length; None where it does not stream there."""
    for made in (graph.with_example, graph.captured_at):
        try:
            other = made(length)
            if not other.takes(length):
                continue
            with torch.compiler.set_stance("force_eager"):
                _checked_as_it_rounds(other)
        except (CaptureError, ValueError, RuntimeError):
            continue
        return other.phase()
    return None


_CHANGES = (
    "called again on the same input the module gives other values: it keeps something from call to call (a "
    "cache, a counter, a noise), which belongs to a stream's state: take that out, or reset it in forward"
)


def _refuse_unseen(module: nn.Module, example: Tensor | None, name: str) -> None:
    """Raise CaptureError for a module that hides its code, or that has no values to compare."""
    scripted = [path for path, part in module.named_modules() if isinstance(part, torch.jit.ScriptModule)]
    if scripted:
        where = f" ({', '.join(scripted)})" if scripted[0] else ""
        raise CaptureError(
            [
                f"it is TorchScript{where}, which cannot be captured: give the module that it was made of, "
                "or export that by torch.export.save or torch.onnx.export"
            ],
            name,
        )
    devices = {str(t.device) for t in (*module.parameters(), *module.buffers())}
    if "meta" in devices:
        raise CaptureError(
            ["its parameters are on the meta device, without values: load its weights first"], name
        )
    if example is not None and devices and str(example.device) not in devices:
        raise CaptureError(
            [
                f"the example is on {example.device}, the module on {', '.join(sorted(devices))}: move one "
                "to the other's device"
            ],
            name,
        )


def _changes(graph: StreamingGraph, x: Tensor) -> bool:
    """Whether the module itself gives other values when it is called again on one input."""
    with torch.no_grad():
        first, second = graph(x.clone()), graph(x.clone())
    return first.shape != second.shape or not bool(torch.eq(first, second).logical_or(first.isnan()).all())


def _exact(graph: StreamingGraph, x: Tensor, axis: int) -> StreamingGraph | None:
    """A module's capture in float64, where it holds: a difference is then the rounding of `x`'s type."""
    if not x.is_floating_point() or x.dtype == torch.float64:
        return None
    try:
        module = copy.deepcopy(graph.__dict__["_module"]).double()
        exact = StreamingGraph(
            module, x.double(), axis, output=graph._output, layout=graph._layout, hold=graph._hold
        )
        _checked(exact, x.double(), axis)
    except Exception:  # of any kind: the module may not run in float64, or not be copied
        return None
    return exact


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


_STEPS = 96
"""Of the input with which a model that takes step after step is checked, beside what its windows take."""


def _checked_as_it_rounds(graph: StreamingGraph) -> frozenset[int]:
    """`_checked` at short lengths where every step is slow, if the module and its windows take them, else at
    the example's.
    """
    x, dim = graph._example, graph._axis + 2
    field = graph.axis_map(graph._axis).window_field
    short = _STEPS + (0 if math.isinf(field) else 3 * int(field))
    if graph.stepwise and short < x.shape[dim]:
        length = next((n for n in range(short, x.shape[dim]) if graph.takes(n)), x.shape[dim])
        try:
            return _rounding_checked(graph, x.narrow(dim, 0, length))
        except (CaptureError, ValueError, RuntimeError):  # it may want longer ones
            pass
    return _rounding_checked(graph, x)


def _rounding_checked(graph: StreamingGraph, x: Tensor) -> frozenset[int]:
    """`_checked`, against the module in float64 where it rounds more than a capture may differ."""
    axis = graph._axis
    try:
        return _checked(graph, x, axis)
    except DiffersError:
        exact = None if graph._into_past else _exact(graph, x, axis)
        if exact is None:
            raise
        graph.notes.append(f"its own rounding is large in {_type(x)}: chunks may round otherwise")
        return _checked(graph, x, axis, exact)


def _checked(graph: StreamingGraph, x: Tensor, axis: int, exact: nn.Module | None = None) -> frozenset[int]:
    """Compare a capture with its module, and find the conditions on lengths that it depends on."""
    conditions, dim = graph.conditions(), axis + 2

    def holds(length: int) -> bool:
        return not conditions.broken([length if d == dim else n for d, n in enumerate(x.shape)])

    def agrees_at(length: int) -> bool:
        if most is None and length > 2 * x.shape[dim] + 64 and not runs(graph, x, axis, length):
            return True  # no other way of the module: it takes none so long, as past a slice of a table
        try:
            return agrees(graph, x, axis, length, exact=exact)
        except CaptureError:
            return False

    most = within_tables(graph.a_capture()[1], dim, x.shape[dim])
    if most is not None:
        graph.keep_run_lengths(RunLengths(1, 0, 1, most))
        conditions = graph.conditions()
    refused = check(graph, x, axis, holds, exact)
    short = next((n for n in range(1, x.shape[dim]) if holds(n)), x.shape[dim])
    refused += [] if runs(graph, x, axis, short) else [short]
    if refused and not graph._into_past:
        length = x.shape[dim]
        later = max(refused) > length
        found = lengths_run(lambda n: runs(graph, x, axis, n), holds, length, later=later)
        if found is None:
            graph.notes.append(
                f"at {refused[0]} steps, and at others, the module itself raises: a stream gives values there"
            )
        else:
            graph.keep_run_lengths(found if most is None else replace(found, most=most))
            conditions = graph.conditions()
    _check_lengths(graph, x, axis, holds, exact)
    ways = tried_ways(conditions, x.shape, agrees_at)
    broken = frozenset(i for i in ways.bad if not conditions.about_ends(i, x.shape))
    graph.keep_conditions(ways, broken)
    ends = graph.ends()
    return frozenset(i for i in broken if conditions.all[i] not in ends)


def _check_lengths(
    graph: StreamingGraph, x: Tensor, axis: int, holds: Callable[[int], bool], exact: nn.Module | None
) -> None:
    """Run the lengths at which the graph's formula for the output's length is not the export's."""
    length = x.shape[axis + 2]
    for n in (*range(1, 65), *range(length, length + 65)):
        if not holds(n):
            continue
        try:
            same = graph.analysed_length(n) == graph.exported_length(n)
        except ValueError:
            same = False
        if not same:
            agrees(graph, x, axis, n, exact=exact)
            return


def _own_example(program: ExportedProgram) -> Tensor | None:
    arguments: Any = (program.example_inputs or ((), {}))[0]
    return arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
