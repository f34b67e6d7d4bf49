"""A first configuration for a model alone: what it states of its input; the files are left to name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mediaconv.config import parse_config
from mediaconv.counted import counted
from mediaconv.guide.input_kind import WORDS
from mediaconv.guide.model_layer import model_layer
from mediaconv.guide.starter import causal_lines, default_output, read_for_shape
from mediaconv.guide.yaml_text import flow, scalar

PLACEHOLDER = "FILE_OR_FOLDER"


@dataclass(frozen=True)
class ModelStarter:
    """A configuration's text, and the model in words."""

    text: str
    words: str


def model_starter(name: str, *, kind: str | None = None) -> ModelStarter:
    """The configuration of a stack that is the model of a file, or an installed one.

    kind: a pipeline; an image model runs over video, too. Raises UsageError.
    """
    made = model_layer(name, kind=kind)
    pipeline, read = made.pipeline, read_for_shape(made.pipeline, made.shape)
    output = default_output(Path(name))
    values = {"pipeline": pipeline.name, "input": PLACEHOLDER, "output": output, "read": read}
    parse_config("{}", name="starter", values={**values, "stack": [{"model": made.options}]})
    states = f": its input is {made.stated}; ? is any number." if made.stated else "."
    lines = [
        f"# For the model {Path(name).name}{states}",
        f"# Run it over your own: mediaconv run THIS.yaml --input {PLACEHOLDER}. All keys: mediaconv schema.",
        f"pipeline: {pipeline.name}",
        f"input: {PLACEHOLDER}   # UNKNOWN: yours",
        f"output: {scalar(output)}",
        *causal_lines(pipeline.name),
        *([f"read: {flow(read)}   # what the model takes"] if read else []),
        "stack:",
        f"  - model: {flow(made.options)}   # {made.comment}",
        "normalize: none   # values are taken as they are; sigmoid brings any into the file's range",
        "",
    ]
    word = WORDS.get(pipeline.name, pipeline.name)
    channels = "any number of channels" if made.shape[1] is None else counted(made.shape[1], "channel")
    return ModelStarter("\n".join(lines), f"a model that takes {channels} of {word}")
