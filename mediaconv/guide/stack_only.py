"""Configurations for commands that only look at a stack: they need no input, no output, often no pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig, load_config, parse_config
from mediaconv.errors import UsageError

NO_INPUT = "no-input-given"
KINDS = {1: "audio", 2: "image", 3: "video"}
_PER_AXIS = ("kernel_size", "stride", "dilation", "padding", "output_padding", "scale_factor")


def load_stack_only(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    input: str | None = None,
    axes: int | None = None,
) -> RunConfig:
    """The configuration in a file, of which `stack` alone is required.

    input: a media file, whose kind is the pipeline where the file says none. axes: how many are convolved.
    Raises ConfigError.
    """
    return load_config(path, overrides=overrides, fill=what_is_missing(input=input, axes=axes))


def load_model_only(
    model: str, *, overrides: Sequence[str], input: str | None = None, output: str | None = None
) -> RunConfig:
    """The configuration of a model alone, which `overrides` make the stack.

    Its pipeline is told by an input, by `pipeline` among the overrides, or by the axes of what it takes.
    Raises ConfigError.
    """

    def fill(value: Mapping[str, Any]) -> dict[str, Any]:
        from mediaconv.model_files.open_model import axes_of

        named = input or value.get("input")
        axes = None if "pipeline" in value or named else axes_of(_model_layer(value))
        return what_is_missing(input=input, axes=axes)(value)

    return parse_config("{}", name=model, overrides=overrides, input=input, output=output, fill=fill)


def _model_layer(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands below `model` in a stack that `--model` made."""
    layer = value["stack"][0]["model"]
    return {"file": layer} if isinstance(layer, str) else layer


def what_is_missing(
    *, input: str | None = None, axes: int | None = None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Makes the keys that a configuration lacks and a look at its stack does not need."""

    def fill(value: Mapping[str, Any]) -> dict[str, Any]:
        filled: dict[str, Any] = {}
        if "input" not in value:
            filled["input"] = input or NO_INPUT
        if "output" not in value:
            filled["output"] = "out"
        if "pipeline" not in value and "stack" in value:
            filled["pipeline"] = _kind(value, input or value.get("input"), axes)
        return filled

    return fill


def _kind(value: Mapping[str, Any], input: Any, axes: int | None) -> str:
    if isinstance(input, str) and Path(input).suffix:
        from mediaconv.guide.input_kind import input_kind

        if Path(input).is_file():
            return input_kind(Path(input)).pipeline.name
    counts = {axes} if axes else set(_counts(value["stack"]))
    if len(counts) == 1 and (name := KINDS.get(counts.pop())):
        return name
    raise UsageError(
        "pipeline: is missing, and the stack does not tell how many axes it has; add "
        "pipeline: audio, image or video (1, 2 or 3 axes), or --set pipeline=image"
    )


def _counts(value: Any) -> Iterator[int]:
    """Lengths of all options that are given per axis."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _PER_AXIS and isinstance(item, list):
                yield len(item)
            yield from _counts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _counts(item)
