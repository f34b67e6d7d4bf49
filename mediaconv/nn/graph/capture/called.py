"""A module called: the one tensor of its result, laid out as (N, C, ...), whatever its own layout is."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.model_layout import ModelLayout


def called(module: nn.Module, x: Tensor, output: str | int | None, layout: ModelLayout | None) -> Tensor:
    """The tensor of a module's result for an input (N, C, ...), as (N, C', ...)."""
    if layout is None:
        return select(module(x), output)
    return layout.from_model(select(module(layout.to_model(x)), output), x.shape[0])


def select(result: Any, output: str | int | None) -> Tensor:
    """The tensor of a module's result: itself, or one by name or number. Raises CaptureError otherwise."""
    if isinstance(result, Tensor):
        return result
    if output is not None:
        try:
            result = result[output]
        except (KeyError, IndexError, TypeError):
            result = getattr(result, str(output), None)
        if isinstance(result, Tensor):
            return result
        raise CaptureError([f"output {output!r}: the module's result has no such tensor"])
    if not hasattr(result, "__len__") and not hasattr(result, "values"):
        raise CaptureError([f"the module gives a {type(result).__name__}, expected a tensor"])
    values = list(result.values()) if hasattr(result, "values") else list(result)
    tensors = [v for v in values if isinstance(v, Tensor)]
    if len(tensors) == 1:
        return tensors[0]
    names = list(result.keys()) if hasattr(result, "keys") else list(range(len(values)))
    raise CaptureError([f"the module gives {len(tensors)} tensors: choose one with output=, of {names}"])
