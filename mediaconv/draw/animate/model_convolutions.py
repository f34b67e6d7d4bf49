"""The convolutions inside of captured models, as layers that can be drawn, with what comes into them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mediaconv.draw.subject import Subject, input_of
from mediaconv.errors import UsageError
from mediaconv.nn.streaming.protocol import leaves
from mediaconv.nn.summary.node_rows import is_captured
from mediaconv.nn.summary.sliding import slides


def has_own_layer(stack: nn.Module, name: str | None) -> bool:
    """Whether a layer of the stack itself is meant, or no model is captured in it."""
    sliding = [path for path, module in leaves(stack) if slides(module)]
    captured = [path for path, module in leaves(stack) if is_captured(module)]
    if name is None or not captured:
        return bool(sliding) or not captured
    return any(path == name or path.startswith(f"{name}.") for path in sliding)


def convolution_named(made: Subject, name: str | None) -> tuple[str, nn.Module, Tensor]:
    """A convolution of a captured model by its dotted name (`0.encoder.conv1`); by default the first.

    With it, what comes into it, (C, ...): from the file, or of random values. Raises UsageError listing those
    there are.
    """
    there = []
    for path, layer, given in _convolutions(made):
        if name in (None, path) or path.startswith(f"{name}."):
            return path, layer.double(), given.double()
        there.append(path)
    if not there:
        raise UsageError(
            "stack: its model has no convolution that can be drawn: one with its input and output laid out "
            "as (N, C, ...); mediaconv inspect shows the values of its other operations"
        )
    raise UsageError(f"layer: got {name!r}; these can be drawn: {', '.join(there)}")


def _convolutions(made: Subject) -> Iterator[tuple[str, nn.Module, Tensor]]:
    from mediaconv.nn.graph.graph import StreamingGraph
    from mediaconv.nn.graph.operation_outputs import outputs_of

    for path, module in list(leaves(made.stack)):
        if not isinstance(module, StreamingGraph):
            continue
        example = module._example[:1].float()
        x = example if made.x is None else input_of(made.stack, module, made.x)[None].float()
        module.float()
        with torch.no_grad():
            for found in outputs_of(module, [x]):
                if found.convolution is not None and found.given is not None:
                    yield f"{path}.{found.operation.name}", found.convolution, found.given[0][0]
