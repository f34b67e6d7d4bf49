"""What to write for a model whose layout is not (N, C, ...): told by what it takes, and by which sizes of an
export grow.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mediaconv.counted import counted
from mediaconv.nn.axes_pattern import AxesPattern, told_output
from mediaconv.nn.graph.axis_factors import BATCH, STREAM, Dims
from mediaconv.nn.graph.capture.called import select
from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.graph.symbols import depends, expression
from mediaconv.nn.model_layout import ModelLayout

USUAL = {1: ("t",), 2: ("h", "w"), 3: ("t", "h", "w")}
"""Letters of the axes after the channels, by their number."""


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
    came = tuple(example.shape)
    try:
        module(example)
        return None
    except Exception as error:  # of the module's own
        said = _first_line(error)
    fails = f"called with an input (N, C, ...) of {came} it fails: {said}"
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


def output_hint(captured: Captured, dims: Dims, pattern: AxesPattern | None, axis: int) -> str:
    """What to write for an output whose stream is not where the input has it."""
    letters = pattern.letters if pattern else USUAL.get(len(captured.sizes) - 2, ())
    known = _known(captured, dims, letters, axis) if letters else None
    given = None
    if known is not None:
        sizes = [_number(size) for size in captured.y.meta["val"].shape]
        given = told_output(letters, known, sizes) if pattern is None else _corrected(pattern, known)
    if given is None:
        return "state by axes= what it takes and gives, such as axes='n c t -> n t c'"
    taken = pattern.text.split("->")[0].strip() if pattern else " ".join(["n", "c", *letters])
    return f"give axes='{taken} -> {given}', what it takes and gives"


def _number(size: object) -> int:
    number = expression(size)
    return number if isinstance(number, int) else 0


def _known(captured: Captured, dims: Dims, letters: Sequence[str], axis: int) -> list[str | None] | None:
    """For each dimension of the output the axis that it follows; None where an axis could be any."""
    others = {letter: captured.sizes[d + 2].symbol for d, letter in enumerate(letters) if d != axis}
    if any(symbol is None for symbol in others.values()):
        return None
    known: list[str | None] = []
    for factors, size in zip(dims, captured.y.meta["val"].shape, strict=True):
        single = captured.sizes[0].symbol is None and not known and factors == ()
        names = ["n"] if BATCH in factors or single else []
        names += [letters[axis]] if STREAM in factors else []
        if not names:
            names = [letter for letter, symbol in others.items() if depends(expression(size), symbol)]
        known.append(" ".join(names) or None)
    return known


def _corrected(pattern: AxesPattern, known: Sequence[str | None]) -> str | None:
    """The output's pattern, where the one that was given put its axes in another order."""
    ours = ["n", "c", *pattern.letters]
    if sorted(pattern.output) != sorted(ours) or len(known) != len(ours):
        return None
    truth = {ours[i]: name or "c" for i, name in enumerate(known)}
    return " ".join(truth[name] for name in pattern.output) if len(set(truth.values())) == len(ours) else None


def input_hint(captured: Captured, stream: int) -> str | None:
    """What to write where the stream axis is fixed and another grows: the channels stand elsewhere."""
    sizes = captured.sizes
    grow = [d for d in range(1, len(sizes)) if sizes[d].symbol is not None]
    if stream in grow or 1 not in grow or len(grow) != len(sizes) - 2:
        return None
    letters = iter(USUAL.get(len(sizes) - 2, ()))
    order = ["n", *(next(letters) if d in grow else "c" for d in range(1, len(sizes)))]
    return (
        f"its dimension {stream} is fixed and the others grow: where the channels are there, give "
        f"axes={' '.join(order)!r}, and example= as (N, C, ...)"
    )
