"""A configuration's stack over files, taken apart: maps, kernels, sums and statistics of every layer.

Computed in float32 on the CPU, whatever the configuration's device and precision. Draws nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch

import mediaconv.nn as mnn
from mediaconv.compute.normalize import make_normalizer
from mediaconv.config import RunConfig
from mediaconv.draw.inspect.budget import MAX_SHOWN, choose_scale
from mediaconv.draw.inspect.clip import Clip, read_clip
from mediaconv.draw.inspect.excerpt import Survey, choose_part
from mediaconv.draw.inspect.findings import UNITS, Findings
from mediaconv.draw.inspect.follow import follow
from mediaconv.draw.inspect.inspect_page import page
from mediaconv.draw.inspect.png import write_pngs
from mediaconv.draw.inspect.record import Flow, Node, Recorder
from mediaconv.draw.inspect.sheets import MAX_COLUMNS
from mediaconv.errors import UsageError
from mediaconv.filesystem import write_made
from mediaconv.layers.construct import iter_bound_layers
from mediaconv.model.binding import Bound, bind
from mediaconv.pipeline import Pipeline, SourceInfo, find
from mediaconv.web.page import notebook_frame

STEPS = {1: 16384, 3: 24}
"""Steps looked at unless asked otherwise, by the number of axes; pictures are looked at whole."""
MAX_TICKS = 24
"""Steps of film that a page shows."""
MAX_FILES = 8


class Inspection(Findings):
    """What was found, and the files that it can be written as."""

    def html(self) -> str:
        """The page, in one file without network."""
        return page(self, title=f"Inside the stack · {', '.join(clip.name for clip in self.clips)}")

    def _repr_html_(self) -> str:
        return notebook_frame(self.html(), height=800)

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the page, one HTML file that needs no network; its name ends in .html or .htm.

        An earlier page is replaced, another file only with `overwrite`. Raises UsageError, WriteError.
        """
        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"{path}: got {path.suffix or 'no extension'!r}, expected .html")
        return write_made(path, self.html().encode(errors="backslashreplace"), overwrite=overwrite)

    def save_pngs(self, folder: Path | str, *, overwrite: bool = False) -> list[Path]:
        """Write pictures of every layer into a folder, by the same rule. Raises UsageError, WriteError."""
        return write_pngs(self, Path(folder), overwrite=overwrite)


def inspect_config(
    config: RunConfig, inputs: Sequence[Path], *, start: int = 0, steps: int | None = None
) -> Inspection:
    """Send a part of each file through the stack and note everything on the way.

    inputs: files of as many channels each; they are the batch. start, steps: the part looked at, in steps of
    time at the stack's input (frames, samples); pictures are looked at whole. The part's surroundings
    are read too, so that its values are those of a run over the whole file, unless a note says otherwise.
    Raises UsageError, ReadError.
    """
    _check(inputs, start, steps)
    pipeline = find(config.pipeline)
    axes = len(pipeline.axes)
    notes = (
        [] if axes != 2 or (start == 0 and steps is None) else ["an image is looked at whole: no time axis"]
    )
    looked = None if axes == 2 else (steps or STEPS[axes])
    stack, clips, rate, more = _read_all(config, pipeline, inputs, 0 if axes == 2 else start, looked)
    notes += more
    survey = Survey(stack, clips[0].x.shape[1], clips[0].x.shape[2:])
    notes += survey.notes
    ticks = tuple(_ticks(clip, survey) if axes == 3 else (Fraction(0),) for clip in clips)
    recorder = Recorder(
        clips,
        axes=axes,
        ticks=ticks,
        ports=survey.ports,
        titles=_titles(config, stack),
        scale=choose_scale(survey, stack, copies=len(clips) * max(map(len, ticks))),
    )
    flow = follow(stack, recorder.start(survey.source), recorder)
    _normalized(config, pipeline, recorder, flow, notes)
    notes += _limits(recorder.nodes, clips, ticks, axes)
    return Inspection(
        config=config,
        pipeline=pipeline,
        clips=tuple(clips),
        nodes=tuple(recorder.nodes),
        outline=tuple(recorder.outline),
        ticks=ticks,
        rate=rate,
        notes=tuple(dict.fromkeys(notes)),
    )


def _check(inputs: Sequence[Path], start: int, steps: int | None) -> None:
    if not 1 <= len(inputs) <= MAX_FILES:
        raise UsageError(f"input: got {len(inputs)} files, expected 1 to {MAX_FILES}")
    if start < 0:
        raise UsageError(f"start: got {start}, expected a whole number of at least 0")
    if steps is not None and steps < 1:
        raise UsageError(f"frames: got {steps}, expected a whole number of at least 1")


def _read_all(
    config: RunConfig, pipeline: Pipeline, inputs: Sequence[Path], start: int, steps: int | None
) -> tuple[mnn.Sequential, list[Clip], float | None, list[str]]:
    """The stack, and the same part of every file."""
    stack: mnn.Sequential | None = None
    clips: list[Clip] = []
    rates: list[float | None] = []
    axes = len(pipeline.axes)
    for path in inputs:
        with pipeline.open(path, config.read, config.limits) as source:
            bound = _bound(config, pipeline, source.info, path)
            rate = bound.rate_hz
            if clips and clips[0].x.shape[1] != source.info.channels:
                raise UsageError(
                    f"input: {path.name} has {source.info.channels} channels, {inputs[0].name} has "
                    f"{clips[0].x.shape[1]}: inspect them one by one"
                )
            stack = _same_stack(stack, bound.stack, inputs[0], path)
            rates.append(rate)
            part = choose_part(
                stack,
                source.info.channels,
                source.info.shape,
                start=start,
                steps=steps,
                files=len(inputs),
                unit=UNITS[axes],
            )
            clips.append(read_clip(source, path, part, prelude=bound.prelude, rate=rate))
    if stack is None:
        raise UsageError("input: got no file")
    notes = [note if len(clips) == 1 else f"{c.name}: {note}" for c in clips for note in c.notes]
    return stack, clips, rates[0], notes


def _bound(config: RunConfig, pipeline: Pipeline, info: SourceInfo, path: Path) -> Bound:
    """The stack for a file, which an error names."""
    try:
        return bind(config.model_copy(update={"precision": "float32"}), pipeline, info)
    except UsageError as error:
        raise UsageError(f"{path.name}: {error}") from error


def _same_stack(first: mnn.Sequential | None, other: mnn.Sequential, a: Path, b: Path) -> mnn.Sequential:
    """The first stack, which every file goes through. Raises UsageError where another's differs."""
    if first is None:
        return other
    mine, its = first.state_dict(), other.state_dict()
    if any(mine[key].shape != its[key].shape or not torch.equal(mine[key], its[key]) for key in mine):
        raise UsageError(
            f"input: {a.name} and {b.name} need different stacks, by their sample rates; "
            "inspect them one by one"
        )
    return first


def _ticks(clip: Clip, survey: Survey) -> tuple[Fraction, ...]:
    """The input steps that the page stands at: those of the finest layer, evenly chosen if they are many."""
    finest = min(port.stride for port in survey.all)
    count = max(1, math.ceil((clip.stop - clip.start) / finest))
    kept = min(count, MAX_TICKS)
    return tuple(clip.start + finest * (i * count // kept) for i in range(kept))


def _titles(config: RunConfig, stack: mnn.Sequential) -> dict[str, str]:
    """What a configuration calls each layer, by its module's name."""
    titles = {}
    for bound in iter_bound_layers(config.stack, stack):
        titles[bound.name] = bound.spec.name
        if isinstance(bound.module, mnn.Gated):
            titles |= {f"{bound.name}.conv": "gated: conv", f"{bound.name}.gate": "gated: gate"}
    return titles


def _normalized(
    config: RunConfig, pipeline: Pipeline, recorder: Recorder, flow: Flow, notes: list[str]
) -> None:
    """What a file would hold: the configuration's normalizer over the stack's output."""
    kind = config.normalize
    if kind.name == "none":
        return
    normalizer = make_normalizer(kind.name, kind.chosen_options, pipeline.signal_range)
    tensors = []
    for t in flow.tensors:
        if kind.name == "minmax":
            normalizer.reset()  # type: ignore[attr-defined]
            normalizer.observe(t)  # type: ignore[attr-defined]
            notes.append("normalize minmax: over what was read here, not over the whole file")
        tensors.append(normalizer(t.clone()))
    recorder.finish(f"normalize: {kind.name}", tensors, flow, normalizer)


def _limits(
    nodes: Sequence[Node], clips: Sequence[Clip], ticks: Sequence[Sequence[Fraction]], axes: int
) -> list[str]:
    """What the page leaves out, in words."""
    notes = []
    for clip, stands in zip(clips, ticks, strict=True):
        who = f"{clip.name}: " if len(clips) > 1 else ""
        count = clip.stop - clip.start
        if axes != 2 and not clip.whole:
            notes.append(
                f"{who}{UNITS[axes]} {clip.start} to {clip.stop - 1} of the file (--start, --frames)"
            )
        if axes == 3 and len(stands) < count:
            notes.append(f"{who}{len(stands)} of these {count} frames are shown; numbers are of all")
    longest = max(n.lengths[0] for n in nodes)
    if axes == 1 and longest > MAX_COLUMNS:
        notes.append(
            f"curves of more than {MAX_COLUMNS} samples are drawn by the lowest and highest of every few; "
            "for single samples give fewer (--frames)"
        )
    many = [n for n in nodes if n.channels > MAX_SHOWN]
    if many:
        notes.append(f"of layers with more channels the first {MAX_SHOWN} are shown; numbers are of all")
    if any(_shrunk(n) for n in nodes) and axes != 1:
        notes.append("large maps are shown shrunk by averaging; numbers are of the full size")
    return notes


def _shrunk(node: Node) -> bool:
    return len(node.lengths) > 1 and node.sheets[0].height < node.lengths[-2]
