"""Reactions of both stacks to the events of an input: a second pass that stops after the last event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from mediaconv.compare.causal_pair import Side
from mediaconv.compare.measure.events import Event
from mediaconv.compare.measure.preecho import Margins, Piece, Reaction, piece_around, pre_echo, reaction
from mediaconv.engine.computation import FLOATS, Computation
from mediaconv.pipeline import Chunk, Pipeline
from mediaconv.run.jobs.plan import Job

CURVE = 500
WINDOW = 192
"""Of pictures, only a window of so many pixels a side is looked at, where the event changes most."""


@dataclass(frozen=True)
class Reactions:
    """of: by side's name, one reaction an event, in order."""

    of: dict[str, list[Reaction]] = field(default_factory=dict)

    def pre_echo(self, side: str, channel: int) -> float | None:
        """Energy before all events relative to that after them, of a channel; None without events."""
        reactions = self.of.get(side, [])
        before = sum(float(r.before[channel]) for r in reactions)
        after = sum(float(r.after[channel]) for r in reactions)
        return pre_echo(before, after)

    def to(self, event: int) -> dict[str, list[dict[str, Any]]]:
        """By side's name, a row a channel: step, energy before and after, pre-echo, and the reaction, thinned
        out. event: its number."""
        return {
            side: [_row(reactions[event], i) for i in range(len(reactions[event].energy))]
            for side, reactions in self.of.items()
        }


def _row(reaction: Reaction, channel: int) -> dict[str, Any]:
    curve = peaks(reaction.offsets, np.sqrt(reaction.energy[channel]))
    before, after = float(reaction.before[channel]), float(reaction.after[channel])
    return {
        "step": reaction.event,
        "before": before,
        "after": after,
        "pre_echo": pre_echo(before, after),
        "offsets": [int(o) for o, _ in curve],
        "reaction": [float(f"{v:.5g}") for _, v in curve],
    }


def peaks(offsets: np.ndarray, values: np.ndarray) -> list[tuple[int, float]]:
    """A curve of at most `CURVE` points: of each stretch the largest value, so that none is lost."""
    group = -(-len(offsets) // CURVE) or 1
    largest = []
    for i in range(0, len(offsets), group):
        best = i + int(np.argmax(values[i : i + group]))
        largest.append((int(offsets[best]), float(values[best])))
    return largest


def measure_reactions(
    job: Job,
    sides: Sequence[Side],
    pipeline: Pipeline,
    models: Sequence[Computation],
    events: Sequence[Event],
    *,
    axis: int = 0,
) -> Reactions:
    """Run both stacks over a piece around each event, with and without it.

    axis: which is time; along another than the first the whole input is held, which is one image.
    """
    if not events:
        return Reactions({side.name: [] for side in sides})
    margins = [Margins.of(model.module, axis) for model in models]
    width = max(m.receptive_field for m in margins)
    pieces = [piece_around(event.step, margins) for event in events]
    reactions: dict[str, list[Reaction]] = {side.name: [] for side in sides}
    with pipeline.open(job.input, sides[0].config.read, sides[0].config.limits) as source:
        size = min(model.chunk_size(source.info) for model in models)
        chunks: Iterable[Chunk] = source.chunks(size)
        if axis:
            chunks = [Chunk(np.concatenate([c.data for c in chunks]).swapaxes(0, axis))]
        for piece, data in cut(chunks, pieces):
            part = windowed(data, piece.event - piece.start).swapaxes(0, axis)
            for side, model, margin in zip(sides, models, margins, strict=True):
                make = partial(model.step, source.info, FLOATS)
                options = {"width": width, "chunk": size, "axis": axis}
                reactions[side.name].append(reaction(make, part, piece, stride=margin.stride, **options))
    return Reactions(reactions)


def cut(chunks: Iterable[Chunk], pieces: Sequence[Piece]) -> Iterator[tuple[Piece, np.ndarray]]:
    """Each piece with its steps of the input, (n, ..., C), as soon as they are read; pieces in order."""
    held: list[tuple[int, np.ndarray]] = []
    waiting = list(pieces)
    position = 0
    for chunk in chunks:
        held.append((position, chunk.data))
        position += len(chunk.data)
        while waiting and waiting[0].stop <= position:
            yield waiting[0], _joined(held, waiting.pop(0))
        if not waiting:
            return
        held = [(at, data) for at, data in held if at + len(data) > waiting[0].start]
    for piece in waiting:
        yield piece, _joined(held, piece)


def _joined(held: Sequence[tuple[int, np.ndarray]], piece: Piece) -> np.ndarray:
    parts = [
        data[max(0, piece.start - at) : max(0, piece.stop - at)]
        for at, data in held
        if at < piece.stop and at + len(data) > piece.start
    ]
    return np.concatenate(parts)


def windowed(data: np.ndarray, event: int) -> np.ndarray:
    """The part of each picture, or of each row, where the event changes most; all of a small one."""
    if data.ndim < 3:
        return data
    change = np.abs(data[event].astype(np.float64) - data[max(0, event - 1)]).sum(-1)
    index: list[slice] = [slice(None)]
    for axis, size in enumerate(change.shape):
        if size <= WINDOW:
            index.append(slice(None))
            continue
        others = tuple(a for a in range(change.ndim) if a != axis)
        sums = np.concatenate([[0.0], np.cumsum(change.sum(others))])
        best = int(np.argmax(sums[WINDOW:] - sums[:-WINDOW]))
        start = best - best % 16 if best - best % 16 + WINDOW <= size else best
        index.append(slice(start, start + WINDOW))
    return data[tuple(index)]
