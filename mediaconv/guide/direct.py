"""Running a media file or a folder without a configuration, and what to type where only a file was given."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig, parse_config
from mediaconv.guide.input_kind import input_kind
from mediaconv.guide.levels import fitted_normalize
from mediaconv.guide.starter import default_output


def next_steps(path: Path) -> str:
    """What to type next for a media file or a folder. Raises UsageError where it is none."""
    kind = input_kind(path)
    name = shlex.quote(str(path))
    example = "low_pass" if kind.pipeline.name == "audio" else "sobel"
    option = "'{low_pass: {cutoff_hz: 700}}'" if example == "low_pass" else example
    lines = [
        f"{path} is {kind.words}, not a configuration. Type one of these next:",
        f"  mediaconv init {name}                     writes a configuration for it",
        f"  mediaconv run {name} --kernel {option}       a well-known kernel, without a file",
        f"  mediaconv run {name} --stack '[{{conv: {{out_channels: 4, kernel_size: 3}}}}]'",
        f"  mediaconv run {name} --model YOURS.onnx     a model of yours: .onnx, .pt2, FILE.py:FUNCTION",
        f"  mediaconv info {name}                     what would be read",
    ]
    return "\n".join(lines)


def direct_config(
    path: Path,
    *,
    options: Mapping[str, str | Sequence[str]] | None = None,
    overrides: Sequence[str] = (),
    output: str | None = None,
    trained: bool = False,
) -> RunConfig:
    """The configuration of a run over a file or folder. `options` hold its `stack`; others as `run` has them.

    trained: it is a model with its weights, whose values are kept where they lie about the file's range.
    The normalizer is measured on the input, unless it is set. Raises UsageError, ReadError.
    """
    options = options or {}
    kind = input_kind(path)
    output = output or default_output(path)
    values: dict[str, Any] = {"pipeline": kind.pipeline.name, "input": str(path), "output": output}
    config = _parsed(values, options, overrides)
    if any(option.lstrip().startswith("normalize") for option in overrides):
        return config
    normalize = fitted_normalize(config, kind.first, trained=trained)
    return _parsed({**values, "normalize": normalize}, options, overrides)


def _parsed(
    values: Mapping[str, Any], options: Mapping[str, str | Sequence[str]], overrides: Sequence[str]
) -> RunConfig:
    return parse_config("{}", name="options", values=values, options=options, overrides=overrides)
