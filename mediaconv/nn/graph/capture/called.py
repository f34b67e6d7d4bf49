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
        if output not in (None, 0):
            raise CaptureError([f"output: got {output!r}, but the module gives one tensor: leave it out"])
        return result
    if output is not None:
        try:
            chosen = result[output]
        except (KeyError, IndexError, TypeError):
            chosen = getattr(result, str(output), None)
        if isinstance(chosen, Tensor):
            return chosen
        raise CaptureError([f"output: got {output!r}, expected one of {_named(result)}"])
    tensors = tensors_of(result)
    if not tensors:
        raise CaptureError([f"the module gives a {type(result).__name__}, expected a tensor"])
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    raise CaptureError(
        [f"the module gives {len(tensors)} tensors: choose one by output, of {_named(result)}"]
    )


def tensors_of(result: Any) -> dict[Any, Tensor]:
    """The tensors of a module's result by what chooses them: its keys, or numbers from 0."""
    if hasattr(result, "items"):
        named = result.items()
    elif hasattr(result, "__iter__"):
        named = enumerate(result)
    else:
        return {}
    return {key: value for key, value in named if isinstance(value, Tensor)}


def _named(result: Any) -> str:
    return ", ".join(map(str, tensors_of(result))) or f"none: it gives a {type(result).__name__}"
