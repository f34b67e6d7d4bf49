"""A first configuration for a file or a folder: commented, and run as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig, parse_config
from mediaconv.counted import counted
from mediaconv.guide.describe_input import video_rate
from mediaconv.guide.input_kind import InputKind, open_plainly
from mediaconv.guide.levels import fitted_normalize
from mediaconv.guide.propose_stack import Proposal
from mediaconv.guide.yaml_text import flow, scalar
from mediaconv.pipeline import Pipeline, SourceInfo

LAYERS: Mapping[str, dict[str, Any]] = {
    "audio": {"out_channels": 4, "kernel_size": 9, "bias": False},
    "image": {"out_channels": 4, "kernel_size": 3},
    "video": {"out_channels": 4, "kernel_size": 3},
}
"""The first layer of a starter, by kind; any other kind gets that of an image."""
VIDEO_AXES = 3
_COLOURS = {1: "gray", 3: "rgb", 4: "rgba"}
KERNELS = {"audio": "{low_pass: {cutoff_hz: 700}}", "image": "sobel", "video": "motion"}


@dataclass(frozen=True)
class Starter:
    """A configuration's text, and what it was checked to be."""

    text: str
    config: RunConfig


def default_output(path: Path) -> str:
    """Where the outputs of an input go unless said otherwise: `out/NAME`."""
    return f"out/{path.stem if path.suffix else path.resolve().name or 'all'}"


def starter(kind: InputKind, *, proposal: Proposal | None = None) -> Starter:
    """The configuration for an input; its normalizer is measured on the input itself.

    proposal: a stack that fits weights of the user's. Raises UsageError, ReadError.
    """
    with open_plainly(kind.pipeline, kind.first) as source:
        info = source.info
        rate = video_rate(source, kind.pipeline.step_units[0]) if len(info.shape) == VIDEO_AXES else ""
    name = kind.pipeline.name
    output = default_output(kind.path)
    read = _read_for(kind, info, proposal)
    stack = [{"conv": dict(LAYERS.get(name, LAYERS["image"]))}] if proposal is None else proposal.stack
    weights = None if proposal is None else proposal.weights
    values = {"pipeline": name, "input": str(kind.path), "output": output, "read": read, "stack": stack}
    if weights is not None:
        values["weights"] = weights
    first = parse_config("{}", name="starter", values=values)
    normalize = fitted_normalize(first, kind.first, trained=proposal is not None)
    text = "\n".join(
        [
            f"# For {kind.words}: {described(kind, info, rate)}.",
            *_others(kind),
            "# Run it: mediaconv run THIS.yaml. Paths count from where it runs. All keys: mediaconv schema.",
            f"pipeline: {name}",
            f"input: {scalar(str(kind.path))}",
            f"output: {scalar(output)}",
            *causal_lines(name),
            *([f"read: {flow(read)}"] if read else []),
            *(_stack_lines(name, stack) if proposal is None else proposal.lines),
            *([] if weights is None else [f"weights: {scalar(weights)}"]),
            *_normalize_lines(normalize),
            "",
        ]
    )
    return Starter(text, parse_config(text, name="starter"))


def described(kind: InputKind, info: SourceInfo, rate: str = "") -> str:
    """Channels, lengths and rate of the file, in words. rate: where it is known better than its mean."""
    units = kind.pipeline.step_units
    parts = [counted(info.channels, "channel")]
    parts += [counted(n, unit) for n, unit in zip(info.shape, units, strict=True) if n is not None]
    if info.rate:
        parts.append(rate or f"{float(info.rate):g} {units[0]} a second")
    if kind.counts:
        return f"the first, {kind.first.name}, has " + ", ".join(parts)
    return ", ".join(parts)


def _others(kind: InputKind) -> list[str]:
    rest = {name: n for name, n in kind.counts.items() if name != kind.pipeline.name}
    if not rest:
        return []
    words = ", ".join(f"{n} of pipeline {name}" for name, n in rest.items())
    return [f"# The folder also holds {words}: these need a configuration of their own."]


def _read_for(kind: InputKind, info: SourceInfo, proposal: Proposal | None) -> dict[str, Any]:
    """`read` options that give the stack the channels that it needs; of a folder, from every file."""
    if proposal is None:
        return {}
    axes = len(kind.pipeline.axes)
    if proposal.input_shape is not None and len(proposal.input_shape) - 2 == axes:
        shape = (info.channels, *info.shape)
        fits = all(wanted in (None, n) for wanted, n in zip(proposal.input_shape[1:], shape, strict=True))
        return {} if fits and not kind.counts else read_for_shape(kind.pipeline, proposal.input_shape)
    if proposal.in_channels is None or (proposal.in_channels == info.channels and not kind.counts):
        return {}
    return read_for_shape(kind.pipeline, (None, proposal.in_channels, *[None] * axes))


def read_for_shape(pipeline: Pipeline, shape: Sequence[int | None]) -> dict[str, Any]:
    """`read` options that give a model the channels and the size that it states, (N, C, ...)."""
    channels, *sizes = shape[1:]
    if pipeline.name == "audio":
        return {"channels": "mono"} if channels == 1 else {}
    read: dict[str, Any] = {}
    if channels in _COLOURS:
        read["color"] = _COLOURS[channels]
    if None not in sizes[-2:]:
        read["size"] = [sizes[-1], sizes[-2]]
    return read


def causal_lines(name: str) -> list[str]:
    """The key `causal` with what it would mean."""
    order = "above and to the left" if name == "image" else "now and before"
    return [f"causal: false   # true: every output depends only on what lies {order}"]


def _stack_lines(name: str, stack: list[Any]) -> list[str]:
    (layer,) = stack
    return [
        "stack:   # layers, first to last; `mediaconv animate THIS.yaml -o layer.gif` draws the first",
        f"  - conv: {flow(layer['conv'])}   # random weights, the same every time",
        f"  # - conv: {{kernel: {KERNELS.get(name, 'sobel')}}}   # or a well-known one: mediaconv kernels",
        "  # - relu",
    ]


def _normalize_lines(normalize: Any) -> list[str]:
    said = {
        "none": "values are taken as they are",
        "clip": "values outside become the ends of the range",
        "sigmoid": "to the file's range; measured on the input",
    }
    name = normalize if isinstance(normalize, str) else next(iter(normalize))
    return [f"normalize: {flow(normalize)}   # {said[name]}"]
