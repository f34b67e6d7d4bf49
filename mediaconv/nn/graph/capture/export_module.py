"""Capturing a module by `torch.export`. Which of its operations stream is not known here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._export.utils import _get_decomp_for_cia
from torch.export import Dim, ExportedProgram, export
from torch.fx.traceback import preserve_node_meta

from mediaconv.nn.graph.capture.assertions import assertions_hold
from mediaconv.nn.graph.capture.called import called
from mediaconv.nn.graph.capture.captured import Captured, of_program
from mediaconv.nn.graph.capture.export_failure import reasons_of
from mediaconv.nn.graph.capture.items_alone import items_alone
from mediaconv.nn.graph.capture.layout_hints import input_hint
from mediaconv.nn.graph.capture.obstacles import obstacles_removed
from mediaconv.nn.graph.capture.quiet_export import quiet
from mediaconv.nn.graph.capture.sizes.lengths_fixed import lengths_fixed
from mediaconv.nn.graph.capture.stated_layout import call_hint
from mediaconv.nn.graph.refusal import CaptureError, refusals_in
from mediaconv.nn.model_layout import ModelLayout


class _Selected(nn.Module):
    """A module whose call takes (N, C, ...) and gives the one tensor of its output, laid out so, too."""

    def __init__(self, module: nn.Module, output: str | int | None, layout: ModelLayout | None) -> None:
        super().__init__()
        self.module = module
        self.output, self.layout = output, layout

    def forward(self, x: Tensor) -> Tensor:
        return called(self.module, x, self.output, self.layout)


def capture(
    module: nn.Module,
    example: Tensor,
    axis: int,
    output: str | int | None = None,
    known: Callable[[Any], bool] = lambda operation: True,
    layout: ModelLayout | None = None,
) -> Captured:
    """Export a module in eval mode; every axis but the channels is dynamic where the module allows it.

    known: operations that stay as they are; of the others, those that torch composes of simpler ones are
    taken apart. layout: the module's own, where it is not that of the example.

    Raises CaptureError with torch's reason where it cannot be exported.
    """
    wrapped = _Selected(module, output, layout)
    wrapped = wrapped if module.training else wrapped.train(False)
    wrapped.training = module.training
    stream = axis + 2
    attempts: list[tuple[Tensor, list[int]]] = []
    sizes = list(range(2, example.ndim))
    if _of_one_item(wrapped, example):
        attempts.append((example, sizes))
    elif example.ndim > 2:
        pair = torch.cat([example, example]) if example.shape[0] == 1 else example
        attempts.append((pair, [0, *sizes]))
    if not attempts or sizes != [stream]:
        attempts.append((example, [stream]))
    reasons, fixed = [], False
    for x, dynamic in attempts:
        try:
            with assertions_hold() as assertions, lengths_fixed(wrapped, stream) as lengths:
                program = _export(wrapped, x, dynamic, known)
        except CaptureError:
            raise
        except Exception as error:
            reasons = reasons_of(error, wrapped)  # of the last attempt: its sizes are the example's own
            continue
        captured = of_program(program, x.dtype)
        captured.assertions = list(dict.fromkeys(assertions))
        if captured.sizes[stream].symbol is not None:
            return captured
        if told := refusals_in(captured.graph):  # what stands for them may be why it is of one length
            raise CaptureError(told)
        reasons += lengths.reasons(example.shape[stream])
        fixed = True
    if fixed and layout is None and (hint := _hint(wrapped, example, stream, known)):
        reasons.append(hint)
    in_torch = reasons[0].startswith(("in ", "torch.export: "))  # not of a file's node, nor what we know of
    if in_torch and not fixed and layout is None and (failing := _call_hint(module, example)):
        reasons = [failing]
    raise CaptureError(list(dict.fromkeys(reasons)))


def _call_hint(module: nn.Module, example: Tensor) -> str | None:
    """What to write where it is the call itself that fails, not its export."""
    with quiet(), torch.no_grad():
        return call_hint(module, example)


def _of_one_item(wrapped: _Selected, example: Tensor) -> bool:
    """Whether a module says that it takes a batch of one, and does not take the items of a larger one apart.

    Such a module of a file may fold what it has of them into the stream, for there it is one.
    """
    declared = getattr(wrapped.module, "input_shape", None)
    if not declared or declared[0] != 1 or example.shape[0] != 1 or not example.is_floating_point():
        return False
    return not items_alone(lambda x: wrapped(x.to(example)), example.shape[1:], count=2)


def _hint(module: nn.Module, example: Tensor, stream: int, known: Callable[[Any], bool]) -> str | None:
    """What to write where another axis than the stream's grows; None where none does, or it is not known."""
    try:
        program = _export(module, example, list(range(1, example.ndim)), known)
        return input_hint(of_program(program, example.dtype), stream)
    except Exception:  # whatever an export says: the reason of the first one is told
        return None


def _export(
    module: nn.Module, x: Tensor, dynamic: list[int], known: Callable[[Any], bool]
) -> ExportedProgram:
    shapes = dict.fromkeys(dynamic, Dim.AUTO)

    def exported() -> ExportedProgram:
        with preserve_node_meta():  # which node of a file an operation comes from
            program = export(module, (x,), dynamic_shapes=(shapes,), strict=False)
        return _taken_apart(program, known)

    try:
        with quiet(), obstacles_removed(module), torch.no_grad():
            return exported()
    except (AttributeError, TypeError):  # torch's own sizes do not compute with fractions
        with quiet(), obstacles_removed(module, fractions=False), torch.no_grad():
            return exported()


def _taken_apart(program: ExportedProgram, known: Callable[[Any], bool]) -> ExportedProgram:
    """The program without writes in place, and without operations that torch composes of others and that are
    not known. Each round traces the program anew, so that the first does both.
    """
    for first in (True, False, False):  # what they are composed of may be composed
        composed = {
            node.target
            for node in program.graph.nodes
            if isinstance(node.target, torch._ops.OpOverload)
            and not known(node.target)
            and node.target._can_decompose()
            and not node.target._schema.is_mutable
        }
        if not composed and not first:
            break
        try:
            program = program.run_decompositions({op: _get_decomp_for_cia(op) for op in composed})
        except Exception:  # what torch cannot take apart stays, and is refused by its name
            if not first:
                break
            program = program.run_decompositions({})
    return program
