"""One file's part as a tensor: opened by its pipeline, resampled where the configuration says so, cut out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.counted import counted
from mediaconv.draw.inspect.excerpt import Part
from mediaconv.errors import UsageError
from mediaconv.pipeline import Source

CHUNK = {1: 65536, 2: 1024, 3: 4}
"""Steps read at a time, by the number of axes."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A part of one file.

    x: (1, C, ...) float32 as the stack gets it, the context included. first: which step of the file its
        first one is. start, stop: the steps looked at, counted in the file. whole: nothing was left out.
    seconds: time of each step from `first` on, or None where axis 0 is not time.
    """

    name: str
    x: Tensor
    first: int
    start: int
    stop: int
    whole: bool
    seconds: tuple[float, ...] | None
    notes: tuple[str, ...]


def read_clip(
    source: Source, path: Path, part: Part, *, prelude: nn.Module | None, rate: float | None
) -> Clip:
    """Read a part of an open file. rate: steps a second behind the prelude. Raises UsageError, ReadError."""
    axes = len(source.info.shape)
    pieces: list[Tensor] = []
    times: list[float] = []
    count, more = 0, False
    with torch.no_grad():
        for x, stamps in _steps(source, prelude, CHUNK[axes]):
            length = x.shape[2]
            low = max(0, part.first - count)
            high = length if part.last is None else min(length, part.last - count)
            if low < high:
                pieces.append(_middle(x[:, :, low:high], part, axes).clone())
                times += stamps[low:high]
            count += length
            if part.last is not None and count > part.last:
                more = True
                break
    if count <= part.start:
        raise UsageError(f"start: got {part.start}, but {path.name} has {counted(count, 'step')}")
    whole_x = torch.cat(pieces, 2)
    stop = min(count, count if part.stop is None else part.stop)
    whole = part.start == 0 and stop == count and not more
    return Clip(
        path.name,
        whole_x,
        part.first,
        part.start,
        stop,
        whole,
        _seconds(times, whole_x, part, rate),
        part.notes,
    )


def _steps(source: Source, prelude: nn.Module | None, size: int) -> Iterator[tuple[Tensor, list[float]]]:
    """Chunks (1, C, n, ...) in the signal's range, behind the prelude, with the times of the file."""
    running = None if prelude is None else mnn.stream(prelude)
    for chunk in source.chunks(size):
        data = torch.from_numpy(chunk.data.copy()).to(torch.float32) / source.info.scale
        x = data.movedim(-1, 0)[None]
        if running is None:
            yield x, [float(t) for t in chunk.times or ()]
        else:
            yield running.push(x), []
    if running is not None:
        yield running.flush(), []


def _middle(x: Tensor, part: Part, axes: int) -> Tensor:
    """The middle of every axis that is cropped; `part.crop` is for the last axes."""
    for axis, size in enumerate(part.crop, start=2 + axes - len(part.crop)):
        if size is not None and size < x.shape[axis]:
            x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
    return x


def _seconds(times: Sequence[float], x: Tensor, part: Part, rate: float | None) -> tuple[float, ...] | None:
    if len(times) == x.shape[2]:
        return tuple(times)
    return None if rate is None else tuple((part.first + i) / rate for i in range(x.shape[2]))
