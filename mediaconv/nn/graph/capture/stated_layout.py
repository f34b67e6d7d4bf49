"""A model's own layout as its user states it, checked by calling the model. torch.export is not loaded."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mediaconv.counted import counted
from mediaconv.nn.axes_pattern import AxesPattern
from mediaconv.nn.graph.capture.called import select
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.model_layout import ModelLayout


def layout_of(axes: str, module: nn.Module, example: Tensor | None, axis: int) -> ModelLayout | None:
    """What `axes` says of a module; None where its layout is ours. Raises ValueError."""
    try:
        pattern = AxesPattern.parse(axes, stream=axis)
    except ValueError as error:
        raise ValueError(f"axes: {error}") from None
    if not pattern.frames:
        return None if pattern.plain else ModelLayout(pattern)
    taken = next((n for m in module.modules() if isinstance(n := getattr(m, "in_channels", None), int)), None)
    if example is None or taken is None or taken % example.shape[1]:
        came = "none" if example is None else counted(example.shape[1], "channel")
        raise ValueError(
            f"axes={axes!r}: expected an example of which several frames make up the {taken or 'known'} "
            f"channels of the module's first convolution: got {came}"
        )
    return ModelLayout(pattern, window=taken // example.shape[1])


_TRIED = {1: ("n t c", "n t"), 2: ("n h w c",), 3: ("t c h w", "n t h w c")}
"""Layouts of models, by the axes after the channels, that are tried where (N, C, ...) fails."""


def call_hint(module: nn.Module, example: Tensor) -> str | None:
    """What to do where the module itself fails when it is called with the example; None where it does not."""
    try:
        module(example)
        return None
    except Exception as error:  # of the module's own
        fails = fails_at(example.shape, error)
    for axes in _TRIED.get(example.ndim - 2, ()):
        try:
            x = ModelLayout(AxesPattern.parse(axes)).to_model(example)
        except ValueError:
            continue
        if not _takes(module, x):
            continue
        words = f"{fails}; it takes {tuple(x.shape)}: give axes={axes!r}"
        if x.ndim < example.ndim:
            return words
        theirs = ", ".join(axes.upper().split())
        ours = ", ".join(["N", "C", *(name.upper() for name in axes.split() if name not in "nc")])
        return f"{words} where that is ({theirs}), or such an input where it is ({ours})"
    return f"{fails}: give an input that it takes, or state its own layout by axes="


def fails_at(shape: Sequence[int], error: Exception) -> str:
    """That a module fails at an input (N, C, ...) of a shape, and what it says."""
    return f"called with an input (N, C, ...) of {tuple(shape)} it fails: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def check_layout(
    module: nn.Module, example: Tensor, layout: ModelLayout, output: str | int | None, name: str
) -> None:
    """Call the module as a layout says. Raises CaptureError with what to write where that does not fit."""
    text = layout.pattern.text
    try:
        x = layout.to_model(example)
    except ValueError as error:
        raise CaptureError([str(error)], name) from None
    try:
        y = select(module(x), output)
    except CaptureError as error:
        raise CaptureError(error.reasons, name) from None
    except Exception as error:  # of the module's own
        if getattr(error, "of_file", False):  # told with what else stands in the way of its capture
            return
        said = _first_line(error)
        reason = f"called with {tuple(x.shape)}, which axes={text!r} makes of the example, it fails: {said}"
        if _takes(module, example):
            reason += (
                f". It takes the example as it is: give example= as the stream takes it, {layout.ours}, "
                "whatever the model's own layout is; or leave axes out"
            )
        raise CaptureError([reason], name) from None
    try:
        layout.from_model(y, example.shape[0])
    except (ValueError, RuntimeError) as error:
        raise CaptureError([str(error)], name) from None


def _takes(module: nn.Module, example: Tensor) -> bool:
    try:
        module(example)
    except Exception:  # of any kind: it is the module's own
        return False
    return True
