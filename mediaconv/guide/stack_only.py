"""Configurations for commands that only look at a stack: they need no input, no output, often no pipeline.

A model alone (`--model` without a file) is such a configuration, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig, load_config, parse_config
from mediaconv.errors import ReadError, UsageError
from mediaconv.layers.model import PIPELINES

NO_INPUT = "no-input-given"
_PER_AXIS = ("kernel_size", "stride", "dilation", "padding", "output_padding", "scale_factor")


def load_stack_only(
    path: Path | None,
    *,
    model: str | None = None,
    overrides: Sequence[str] = (),
    input: str | None = None,
    axes: int | None = None,
) -> RunConfig:
    """The configuration in a file, of which `stack` alone is required; without a file that of a model.

    model: its name, where `overrides` make it the stack. input: a media file or a folder, whose kind is the
    pipeline where the configuration says none. axes: how many are convolved. Raises ConfigError.
    """
    if path is None:
        return load_model_only(str(model), overrides=overrides, input=input, axes=axes)
    return load_config(path, overrides=overrides, fill=what_is_missing(input=input, axes=axes))


def load_model_only(
    model: str,
    *,
    overrides: Sequence[str],
    input: str | None = None,
    output: str | None = None,
    axes: int | None = None,
    refuse_leaks: bool = True,
) -> RunConfig:
    """The configuration of a model alone, which `overrides` make the stack; values stay as they are.

    Its pipeline is told by an input, by `pipeline` among the overrides, or by the axes of what it takes.
    Raises ConfigError.
    """

    def fill(value: Mapping[str, Any]) -> dict[str, Any]:
        def taken() -> int | None:
            from mediaconv.model_files.open_model import axes_of

            return axes or axes_of(_model_layer(value))

        kept = {} if "normalize" in value else {"normalize": "none"}
        return {**what_is_missing(input=input, axes=taken)(value), **kept}

    return parse_config(
        "{}",
        name=model,
        overrides=overrides,
        input=input,
        output=output,
        fill=fill,
        refuse_leaks=refuse_leaks,
    )


def _model_layer(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands below `model` in a stack that `--model` made."""
    layer = value["stack"][0]["model"]
    return {"file": layer} if isinstance(layer, str) else layer


def what_is_missing(
    *, input: str | None = None, axes: int | Callable[[], int | None] | None = None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Makes the keys that a configuration lacks and a look at its stack does not need.

    axes: how many are convolved, or what tells it where no input does.
    """

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


def _kind(value: Mapping[str, Any], input: Any, axes: int | Callable[[], int | None] | None) -> str:
    if isinstance(input, str) and Path(input).exists():
        from mediaconv.guide.input_kind import input_kind

        with suppress(UsageError, ReadError) if Path(input).is_dir() else nullcontext():
            return input_kind(Path(input)).pipeline.name
    known = axes() if callable(axes) else axes
    counts = {known} if known else set(_counts(value["stack"]))
    if len(counts) == 1 and (name := PIPELINES.get(counts.pop())):
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
