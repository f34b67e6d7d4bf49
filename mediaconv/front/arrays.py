"""Arrays and streams of arrays as sources: what a pipeline's reader gives, without a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np

from mediaconv.errors import ReadError, UsageError
from mediaconv.pipeline import Chunk, Pipeline, Source, SourceInfo


class ArraySource(Source):
    """An array (C, n, ...) that is there as a whole; may be read any number of times."""

    def __init__(self, data: np.ndarray, pipeline: Pipeline, rate: Fraction | None) -> None:
        self._data = np.moveaxis(data, 0, -1)
        self.info = info_of(data, pipeline, rate)

    def chunks(self, size: int) -> Iterator[Chunk]:
        for start in range(0, len(self._data), size):
            yield Chunk(np.ascontiguousarray(self._data[start : start + size]))

    def close(self) -> None:
        """There is nothing to close."""


class StreamSource(Source):
    """Arrays (C, n, ...) as they come, of any n, read once. How many will come is not known."""

    def __init__(self, chunks: Iterable[Any], pipeline: Pipeline | None, rate: Fraction | None) -> None:
        iterator = iter(chunks)
        first = next((array_of(chunk) for chunk in iterator), None)
        if first is None:
            raise UsageError("input: the iterator gave no chunk")
        self.pipeline = pipeline or pipeline_for(first)
        info = info_of(first, self.pipeline, rate)
        self.info = replace(info, shape=(None, *info.shape[1:]))
        self._first = first
        self._chunks = chain([first], map(array_of, iterator))

    def chunks(self, size: int = 0) -> Iterator[Chunk]:
        for data in self._chunks:
            if data.ndim != self._first.ndim or data.dtype != self._first.dtype:
                raise ReadError(
                    f"a chunk of shape {data.shape} and {data.dtype} follows one of shape "
                    f"{self._first.shape} and {self._first.dtype}; expected equal types and axes"
                )
            yield Chunk(np.ascontiguousarray(np.moveaxis(data, 0, -1)))

    def close(self) -> None:
        """The iterator is its owner's."""


def array_of(value: Any) -> np.ndarray:
    """A numpy array or a torch tensor as a numpy array on the CPU. Raises UsageError for anything else."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    raise UsageError(f"input: got {type(value).__name__}, expected a numpy array or a torch tensor")


def pipeline_for(data: np.ndarray) -> Pipeline:
    """The kind of media of an array (C, n, ...), by its number of axes. Raises UsageError."""
    from mediaconv.pipeline import find

    kinds = {2: "audio", 3: "image", 4: "video"}
    if data.ndim not in kinds:
        raise UsageError(
            f"input: got an array of shape {data.shape}, expected (C, T) audio, (C, H, W) an image or "
            "(C, T, H, W) video, without a batch axis"
        )
    return find(kinds[data.ndim])


def info_of(data: np.ndarray, pipeline: Pipeline, rate: Fraction | None) -> SourceInfo:
    """What is known of samples (C, n, ...): integers stand for their type's range, floats for themselves."""
    channels, *lengths = data.shape
    if len(lengths) != len(pipeline.axes):
        raise UsageError(
            f"input: got an array of shape {data.shape}, {pipeline.name} takes (C, "
            f"{', '.join(pipeline.axes)})"
        )
    integer = np.issubdtype(data.dtype, np.integer)
    if not integer and not np.issubdtype(data.dtype, np.floating):
        raise UsageError(f"input: got {data.dtype}, expected floats or integers")
    bits = 8 * data.itemsize
    scale = 1.0 if not integer else 2.0 ** (bits - 1) if data.dtype.kind == "i" else 2.0**bits - 1
    return SourceInfo(channels, tuple(lengths), scale, rate, bit_depth=min(32, bits), floating=not integer)
