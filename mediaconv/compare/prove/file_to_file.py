"""Causality from file to file: change the input file after a time, run both, compare what was written.

The variants are lossless files, the outputs are the normalized values themselves, compared bit by bit: lossy
encoders look ahead on their own account. Runs the real pipeline; looks at no layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from mediaconv.compare.prove.function_reads.reads import Order
from mediaconv.config import RunConfig
from mediaconv.engine.computation import ArraySink, Computations
from mediaconv.model.stand_in import assumed_info
from mediaconv.pipeline import Pipeline, Source, SourceInfo
from mediaconv.temporary_folder import temporary_folder

LARGEST_SIDE = 96
"""Pictures are cut to so many pixels a side: causality does not depend on their size."""
CHUNKS = {1: 1000, 2: 7, 3: 5}
"""Steps of a chunk by number of axes: small, so that changes fall inside chunks and on their seams."""
LONGEST = {1: 2**20, 2: 512, 3: 256}
SHORTEST = {1: 4000, 2: 48, 3: 24}
FEWEST = 8
MOST_OUTPUTS = 2**21
"""Steps of the outputs; of stacks that make many of each input step fewer are tried."""


@dataclass(frozen=True)
class FileProof:
    """What the written files say.

    causal: nothing written before a change differs. lookahead: the most steps before a change at which a
    written value differs, along `axis`, the first of the order along which there are any.
    scale: steps of the file for one that the stack takes, where reading changes the rate or the size.
    changes: where the input was changed, in steps along the order's axes.
    shape: of the input file that was tried, without channels. input: the file it was cut from, or None.
    """

    causal: bool
    lookahead: int
    axis: int
    scale: Fraction
    changes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    input: str | None


def prove_files(
    config: RunConfig,
    pipeline: Pipeline,
    order: Order,
    *,
    source: Path | None,
    channels: int,
    reach: int,
    fits: Callable[[int, int], bool],
) -> FileProof | None:
    """Run the pipeline over a file and over variants of it. None where none can be written.

    source: an input to cut the file from; without one it is noise of `channels` channels.
    reach: steps of the input that one output reads, which makes the file long enough.
    fits: whether the stack takes so many steps along an axis, given first.
    """
    dims = len(pipeline.axes)
    if source is not None and source.is_dir():
        source = None
    lossless = _settings(config, pipeline, scaled=source is not None and (len(order.axes) > 1 or dims == 2))
    data, info = _material(lossless, pipeline, source, channels, _steps(order, dims, reach))
    worst: tuple[int, ...] | None = None
    with temporary_folder() as folder:
        path = pipeline.write_lossless(folder, data, info)
        if path is None:
            return None
        scales = _scales(path, data, info, lossless, pipeline)
        data = _cut_to_fit(data, scales, fits)
        scale = scales[order.axes[0]]
        order = replace(
            order, strides=tuple(s * scales[a] for a, s in zip(order.axes, order.strides, strict=True))
        )
        changes = _changes(data.shape, order, max(1, math.floor(CHUNKS[data.ndim - 1] * scale)))
        base = _run(folder / "as_it_is", data, info, lossless, pipeline)
        for i, change in enumerate(changes):
            other = _run(folder / f"changed_{i}", _changed(data, order, change), info, lossless, pipeline)
            ahead = _ahead(base, other, order, change)
            if ahead is not None and (worst is None or ahead > worst):
                worst = ahead
    steps = zip(order.axes, worst or (), strict=False)
    axis, most = next(((a, n) for a, n in steps if n), (order.axes[0], 0))
    return FileProof(
        causal=most <= 0,
        lookahead=max(0, most),
        axis=axis,
        scale=scale,
        changes=tuple(changes),
        shape=data.shape[:-1],
        input=source.name if source else None,
    )


def _steps(order: Order, dims: int, reach: int) -> int:
    """How long an input to try: twice what an output reads and more, where that is not beyond all measure."""
    wanted = SHORTEST[dims] + (2 * reach if 2 * reach < LONGEST[dims] else 0)
    return max(FEWEST, min(LONGEST[dims], wanted, int(MOST_OUTPUTS * order.strides[0])))


def _settings(config: RunConfig, pipeline: Pipeline, *, scaled: bool) -> RunConfig:
    """The configuration for the proof: the whole variant, in small chunks, on the CPU.

    scaled: whether pictures are scaled as in a run: in reading order, what is scaled reads what comes later.
    """
    whole: dict[str, object] = {"start_seconds": 0.0, "duration_seconds": None, "sequence": False}
    whole |= {} if scaled else {"size": None}
    known = {k: v for k, v in whole.items() if k in type(config.read).model_fields}
    return config.model_copy(
        update={
            "read": config.read.model_copy(update=known),
            "device": "cpu",
            "chunk": CHUNKS[len(pipeline.axes)],
        }
    )


def _scales(
    path: Path, data: np.ndarray, info: SourceInfo, config: RunConfig, pipeline: Pipeline
) -> list[Fraction]:
    """Steps of the file a step of what the stack takes, along each axis: `read` may change rate and size."""
    with pipeline.open(path, config.read, config.limits) as opened:
        taken = opened.info
    scales = [Fraction(n, m or n) for n, m in zip(data.shape[:-1], taken.shape, strict=True)]
    if info.rate and taken.rate:
        scales[0] = info.rate / taken.rate
    return scales


def _material(
    config: RunConfig, pipeline: Pipeline, source: Path | None, channels: int, wanted: int
) -> tuple[np.ndarray, SourceInfo]:
    """The steps to try, (n, ..., C), from the beginning of an input, repeated where it is short; or noise."""
    dims = len(pipeline.axes)
    if source is None:
        typical, sides = pipeline.typical_input(), (LARGEST_SIDE,) * (dims - 1)
        rate = Fraction(getattr(config.read, "fps", None) or typical.rate or 0) or None
        info = replace(typical, channels=channels, shape=(wanted, *sides), rate=rate)
        info = assumed_info(config, pipeline, info)
        random = np.random.default_rng(0)
        shape = (wanted, *sides, channels)
        if info.scale > 1:
            kind = np.uint8 if info.scale == 255 else np.uint16
            return random.integers(0, int(info.scale) + 1, shape, kind), info
        return random.uniform(-0.5, 0.5, shape).astype(np.float32), info
    with pipeline.open(source, pipeline.read_options(), config.limits) as opened:
        chunk = 4096 if dims == 1 else 8
        most = None if dims == 2 else -(-wanted // chunk)
        parts = [c.data.copy() for c in islice(opened.chunks(chunk), most)]
        info = opened.info
    data = np.concatenate(parts)
    if dims == 2 and getattr(config.read, "size", None):  # by how much it is scaled depends on all of it
        return data, info
    data = data[:wanted]
    for axis in range(1, dims):
        data = data.take(range(min(LARGEST_SIDE, data.shape[axis])), axis=axis)
    repeats = -(-wanted // len(data)) if dims != 2 else 1
    return np.concatenate([data] * repeats)[:wanted], info


def _cut_to_fit(data: np.ndarray, scales: Sequence[Fraction], fits: Callable[[int, int], bool]) -> np.ndarray:
    """The data without the last steps of each axis at which the stack would refuse it, as blocks in part.

    As it is along axes that reading scales: the stack gets other lengths there.
    """
    for axis, (length, scale) in enumerate(zip(data.shape, scales, strict=False)):
        if scale == 1:
            fitting = (n for n in range(length, 0, -1) if fits(axis, n))
            data = data.take(range(next(fitting, length)), axis=axis)
    return data


def _changes(shape: Sequence[int], order: Order, chunk: int) -> list[tuple[int, ...]]:
    """Where to change: after the first step, within a chunk, at a seam, before the last step.

    In reading order also within the first row, where a copied row above would be read ahead.
    """
    size = shape[order.axes[0]]
    seam = size // 2 - size // 2 % chunk
    steps = sorted({1, min(size - 1, size // 3 // chunk * chunk + chunk // 2), max(1, seam), size - 1})
    rest = tuple(shape[a] // 2 for a in order.axes[1:])
    within = [tuple(0 for _ in order.axes[:-1]) + rest[-1:]] if rest else []
    return [*within, *((t, *rest) for t in steps if 0 < t < size)]


def _changed(data: np.ndarray, order: Order, change: Sequence[int]) -> np.ndarray:
    """The data with other values from a position on, in the order's sense."""
    later = np.zeros([data.shape[a] for a in order.axes], bool)
    later.reshape(-1)[np.ravel_multi_index(tuple(change), later.shape) :] = True
    view = [1] * data.ndim
    for axis, n in zip(order.axes, later.shape, strict=True):
        view[axis] = n
    random = np.random.default_rng(1)
    if np.issubdtype(data.dtype, np.integer):
        top = np.iinfo(data.dtype).max
        moved = data.astype(np.int64) + top // 2 + random.integers(0, top // 4, data.shape)
        other = (moved % (top + 1)).astype(np.float64)
    else:
        other = random.uniform(-0.9, 0.9, data.shape)
    return np.where(later.reshape(view), other, data).astype(data.dtype)


def _run(
    folder: Path, data: np.ndarray, info: SourceInfo, config: RunConfig, pipeline: Pipeline
) -> np.ndarray:
    """One file through the pipeline. Shape of the result: (C', n, ...)."""
    folder.mkdir()
    path = pipeline.write_lossless(folder, data, info) or folder

    def opened() -> Source:
        return pipeline.open(path, config.read, config.limits)

    with opened() as source:
        computation, _ = Computations(config, pipeline).prepare(source.info, opened)
        sink = ArraySink()
        computation.write(source, sink)
        return sink.values


def _ahead(
    base: np.ndarray, other: np.ndarray, order: Order, change: Sequence[int]
) -> tuple[int, ...] | None:
    """How far before the change the first differing output stands; None where none differs."""
    if base.shape != other.shape:
        return (max(1, change[0]), *change[1:])
    differs = (base != other) & ~(np.isnan(base) & np.isnan(other))
    others = tuple(a for a in range(base.ndim) if a - 1 not in order.axes)
    changed = np.argwhere(differs.any(axis=others))
    if not len(changed):
        return None
    first = order.time([int(v) for v in changed[0]])
    return tuple(c - f for c, f in zip(change, first, strict=True))
