"""`export_step`: any stack that streams as one function of tensors, which ONNX and `torch.export` take."""

from __future__ import annotations

from torch import Tensor, nn

from mediaconv.nn.convert import to_streaming
from mediaconv.nn.export.checking import TOLERANCE, check, random_inputs
from mediaconv.nn.export.exported_step import Step
from mediaconv.nn.export.fixed import Level
from mediaconv.nn.export.fixing import fix, only_known
from mediaconv.nn.export.lengths_taken import lengths_of
from mediaconv.nn.summary.dependence import check_eval, geometry, streams


def export_step(module: nn.Module, example: Tensor, *, finish: nn.Module | None = None) -> Step:
    """The streaming step of a module as a function of tensors, ready for torch.export and torch.onnx.

    module: any that `stream` takes, in eval mode. example: (N, C, chunk, ...), a chunk of the length and size
        that every step will have; its values do not matter.
    finish: a module that is called with the outputs of each step and looks at each value alone.
    Raises ValueError for a layer that reads the whole input, by name, or a chunk that the strides do not
    divide; TypeError for a layer that cannot stream.

    >>> import torch
    >>> from mediaconv.nn import CausalConv1d
    >>> step = export_step(CausalConv1d(1, 2, 3), torch.zeros(1, 1, 4))
    >>> y, *state = step(torch.ones(1, 1, 4), *step.start())
    >>> y.shape, step.info.skip
    (torch.Size([1, 2, 4]), 0)
    """
    module = module if streams(module) else to_streaming(module)
    check_eval(module)
    along = geometry(module, 0)
    chunk = example.shape[2]
    if not along.whole and (chunk < 1 or chunk % along.input_period):
        raise ValueError(
            f"chunk: got {chunk}, the strides of this stack need a multiple of {along.input_period}"
        )
    step = Step(fix(module, Level(0, chunk, lambda n: n)), example, along, finish, lengths_of(module))
    if not only_known(module):
        _hold_to_module(step, module)
    return step


def _hold_to_module(step: Step, module: nn.Module) -> None:
    """Run a step over random inputs, where classes of somebody's own may be other than they declare."""
    for x in random_inputs(step, module):
        if not check(lambda *tensors: list(step(*tensors)), step, module, x) <= TOLERANCE:
            raise ValueError(
                f"{type(module).__name__}: its step is not its call on the whole: a layer keeps a state "
                "that it does not declare, or computes something else than the class that it is made of"
            )
