"""A first configuration for a model file alone: what it states of its input; the files are left to name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediaconv.config import parse_config
from mediaconv.counted import counted
from mediaconv.errors import UsageError
from mediaconv.guide.input_kind import WORDS
from mediaconv.guide.starter import causal_lines, default_output, read_for_shape
from mediaconv.guide.yaml_text import flow, scalar
from mediaconv.pipeline import find

PIPELINES = {1: "audio", 2: "image", 3: "video"}
FRAMES_AS_BATCH = "t c h w"
ONE_CHANNEL = "n t"
"""Of a model that takes samples without an axis of channels."""
PLACEHOLDER = "FILE_OR_FOLDER"


@dataclass(frozen=True)
class ModelStarter:
    """A configuration's text, and the model in words."""

    text: str
    words: str


def model_starter(path: Path, *, kind: str | None = None) -> ModelStarter:
    """The configuration of a stack that is the model. kind: a pipeline; an image model runs over video, too.

    Raises UsageError, also where the model has not the axes of a kind of media.
    """
    from mediaconv.model_files.open_model import open_model

    shape: Sequence[int | None] = open_model(str(path)).input_shape  # type: ignore[assignment]
    stated = ", ".join("?" if size is None else str(size) for size in shape)
    dims, squeezed = len(shape) - 2, len(shape) == 2 and shape[1] is None
    if squeezed:
        shape, dims = (shape[0], 1, shape[1]), 1
    if dims not in PIPELINES:
        raise UsageError(
            f"{path}: its input ({stated}) has {len(shape)} axes, expected 3 (sound), 4 (images) or 5 (film)"
        )
    pipeline = find(kind or PIPELINES[dims])
    over_frames = dims == 2 and len(pipeline.axes) == 3
    if len(pipeline.axes) != dims and not over_frames:
        raise UsageError(f"{path}: its input ({stated}) is not of pipeline {pipeline.name}")
    axes = FRAMES_AS_BATCH if over_frames else ONE_CHANNEL if squeezed else None
    model: Any = {"file": str(path), "axes": axes} if axes else str(path)
    read = read_for_shape(pipeline, shape)
    output = default_output(path)
    values = {"pipeline": pipeline.name, "input": PLACEHOLDER, "output": output, "read": read}
    parse_config("{}", name="starter", values={**values, "stack": [{"model": model}]})
    lines = [
        f"# For the model {path.name}: its input is {stated}; ? is any number.",
        f"# Run it over your own: mediaconv run THIS.yaml --input {PLACEHOLDER}. All keys: mediaconv schema.",
        f"pipeline: {pipeline.name}",
        f"input: {PLACEHOLDER}   # UNKNOWN: yours",
        f"output: {scalar(output)}",
        *causal_lines(pipeline.name),
        *([f"read: {flow(read)}   # what the model takes"] if read else []),
        "stack:",
        f"  - model: {flow(model)}   # captured, and streamed exactly",
        "normalize: none   # values are taken as they are; sigmoid brings any into the file's range",
        "",
    ]
    word = WORDS.get(pipeline.name, pipeline.name)
    channels = "any number of channels" if shape[1] is None else counted(shape[1], "channel")
    return ModelStarter("\n".join(lines), f"a model that takes {channels} of {word}")
