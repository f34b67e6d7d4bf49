"""The layer `model` of a first configuration: which media it is for, and `axes` where its layout is not ours.

What a model gives is laid out as it shows when it is called on inputs of two sizes. Nothing is captured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaconv.errors import UsageError
from mediaconv.layers.model import EXAMPLE_SIZES, PIPELINES
from mediaconv.pipeline import Pipeline, find

if TYPE_CHECKING:
    from torch import nn

    from mediaconv.nn.axes_pattern import AxesPattern

FRAMES_AS_BATCH = "t c h w"
ONE_CHANNEL = "n t"
"""Of a model that takes samples without an axis of channels."""


@dataclass(frozen=True)
class ModelLayer:
    """options: what stands below `model`. shape: (N, C, ...) that it takes; None where any size is.

    stated: the shape of its own input, in words; "" where it states none. outputs: what `output` chooses
    from, where the model has several.
    """

    options: Any
    pipeline: Pipeline
    shape: tuple[int | None, ...]
    stated: str
    outputs: tuple[str | int, ...] = ()

    @property
    def comment(self) -> str:
        """What a configuration says beside the layer."""
        others = f"; output is one of {', '.join(map(str, self.outputs))}" if self.outputs else ""
        return f"captured, and streamed exactly{others}"


def model_layer(name: str, *, kind: str | None = None) -> ModelLayer:
    """The layer for a model's file, or for an installed one; of several outputs the first.

    kind: a pipeline; an image model runs over video, too. Raises UsageError, also where the model has not the
    axes of a kind of media.
    """
    from mediaconv.model_files.open_model import open_model
    from mediaconv.nn.axes_pattern import AxesPattern

    names = _names_of_outputs(name)
    model = open_model(name, output=names[0] if len(names) > 1 else None)
    own: tuple[int | None, ...] | None = getattr(model, "input_shape", None)
    shape = _known(name) if own is None else tuple(own)
    stated = "" if own is None else ", ".join("?" if size is None else str(size) for size in own)
    dims, squeezed = len(shape) - 2, len(shape) == 2 and shape[1] is None
    if squeezed:
        shape, dims = (shape[0], 1, shape[1]), 1
    if dims not in PIPELINES:
        raise UsageError(
            f"{name}: its input ({stated}) has {len(shape)} axes, expected 3 (sound), 4 (images) or 5 (film)"
        )
    pipeline = find(kind or PIPELINES[dims])
    over_frames = dims == 2 and len(pipeline.axes) == 3
    if len(pipeline.axes) != dims and not over_frames:
        what = f"its input ({stated})" if stated else f"a model of {PIPELINES[dims]}"
        raise UsageError(f"{name}: {what} is not of pipeline {pipeline.name}")
    letters = tuple(axis[0] for axis in pipeline.axes)
    taken = FRAMES_AS_BATCH if over_frames else ONE_CHANNEL if squeezed else " ".join(["n", "c", *letters])
    if over_frames:
        shape = (None, shape[1], None, *shape[2:])
    pattern = AxesPattern.parse(taken, letters)
    sizes = _sizes(letters, shape)
    outputs = tuple(names or _keys_of_outputs(model, pattern, sizes))
    options: dict[str, Any] = {"file": name}
    if len(outputs) > 1:
        options["output"] = outputs[0]
    axes = _with_output(model, taken, letters, sizes, None if names else options.get("output"))
    if axes != " ".join(["n", "c", *letters]):
        options["axes"] = axes
    several = outputs if len(outputs) > 1 else ()
    return ModelLayer(options if len(options) > 1 else name, pipeline, shape, stated, several)


def _names_of_outputs(name: str) -> list[str]:
    """Of an ONNX file, which is read for one output at a time; of other models none."""
    path = Path(name)
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return []
    from mediaconv.model_files.onnx_file import onnx_outputs

    return onnx_outputs(path)


def _keys_of_outputs(model: nn.Module, pattern: AxesPattern, sizes: Mapping[str, int]) -> list[str | int]:
    """What tells the tensors of a model's result apart; none where it is one, or a call fails."""
    import torch

    from mediaconv.nn.graph.capture.called import tensors_of

    try:
        with torch.no_grad():
            result = model(torch.zeros(_lengths(pattern, sizes)))
    except Exception:  # of any kind: it is the model's own, and a run tells of it
        return []
    return [] if isinstance(result, torch.Tensor) else list(tensors_of(result))


def _sizes(letters: Sequence[str], shape: Sequence[int | None]) -> dict[str, int]:
    """Sizes of an input (N, C, ...) by its axes: those that are stated, or usual ones."""
    usual = zip(letters, shape[2:], EXAMPLE_SIZES[len(letters)], strict=True)
    return {"n": 1, "c": shape[1] or 1} | {letter: size or else_ for letter, size, else_ in usual}


def _lengths(pattern: AxesPattern, sizes: Mapping[str, int]) -> list[int]:
    return [math.prod(sizes.get(name, 1) for name in token.split()) for token in pattern.order]


def _known(name: str) -> tuple[int | None, ...]:
    """The shape that a model without a stated one takes, by its first layers. Raises UsageError."""
    from mediaconv.model_files.open_model import axes_of, channels_of

    dims = axes_of({"file": name})
    if dims is None:
        raise UsageError(f"{name}: no layer of it tells how many axes its input has: write `axes` yourself")
    return (None, channels_of({"file": name}, 1), *[None] * dims)


def _with_output(
    model: nn.Module,
    taken: str,
    letters: Sequence[str],
    sizes: Mapping[str, int],
    output: str | int | None,
) -> str:
    """The pattern of what a model takes, and of what it gives where that is laid out in another way."""
    from mediaconv.nn.axes_pattern import AxesPattern, told_output

    pattern = AxesPattern.parse(taken, letters)
    seen = _seen(model, pattern, sizes, output)
    told = None if seen is None else told_output(letters, *seen)
    if told is None:
        return taken
    full = f"{taken} -> {told.replace(f'(n {letters[0]})', letters[0])}"
    try:
        parsed = AxesPattern.parse(full, letters)
    except ValueError:
        return taken
    return taken if parsed.output == pattern.output else full


def _seen(
    model: nn.Module, pattern: AxesPattern, sizes: Mapping[str, int], output: str | int | None
) -> tuple[list[str | None], list[int]] | None:
    """For each dimension of the output the axis that it follows, and its size; None where a call fails."""
    import torch

    from mediaconv.nn.graph.capture.called import select

    def called(sizes: Mapping[str, int]) -> list[int]:
        return list(select(model(torch.zeros(_lengths(pattern, sizes))), output).shape)

    try:
        with torch.no_grad():
            base = called(sizes)
            known: list[str | None] = [None] * len(base)
            for token in (token for token in pattern.order if token not in ("c", "1")):
                name = token.split()[-1]
                for i, (was, now) in enumerate(
                    zip(base, called({**sizes, name: 2 * sizes[name]}), strict=True)
                ):
                    known[i] = token if was != now else known[i]
    except Exception:  # of any kind: it is the model's own, and a run tells of it
        return None
    return known, base
