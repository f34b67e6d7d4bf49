"""What a reader of media is to the engine: an open input that gives chunks of raw samples. Opens no file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np

from mediaconv.errors import ReadError


@dataclass(frozen=True)
class SourceInfo:
    """What is known of an input once it is open; a pipeline whose sinks ask for more subclasses it.

    channels: number of channels C.
    shape: length along each axis of the pipeline, the stream axis first; None where only the end tells.
    scale: raw samples divided by it lie in [0, 1] (pictures) or [-1, 1] (sound).
    rate: steps of the stream axis a second; None where the axis is not time.
    bit_depth: bits of a stored sample.
    """

    channels: int
    shape: tuple[int | None, ...]
    scale: float
    rate: Fraction | None = None
    bit_depth: int = 8
    floating: bool = False

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What the file calls its channels ("FL", "FR", ...); empty where it does not tell."""
        return ()


@dataclass(frozen=True, repr=False)
class Chunk:
    """Consecutive raw samples of one input.

    data: (n, ..., C) channels last, the stream axis first: (T, C), (H, W, C) or (T, H, W, C).
    times: presentation time of each step in seconds, or None where the rate says it all.

    Raises ReadError for data that no source may give: other types of samples, axes or times missing.
    """

    data: np.ndarray
    times: Sequence[Fraction] | None = None

    def __post_init__(self) -> None:
        data = self.data
        if not isinstance(data, np.ndarray) or data.ndim < 2 or data.dtype.kind not in "uif":
            got = (
                f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
            )
            raise ReadError(f"a chunk of {got}: expected numbers of shape (n, ..., C), channels last")
        if self.times is not None and len(self.times) != len(data):
            raise ReadError(f"a chunk of {len(data)} steps with {len(self.times)} times, expected one each")

    def __repr__(self) -> str:
        return f"Chunk(shape={self.data.shape}, dtype={self.data.dtype})"


def time_window(
    path: Path, start_seconds: float, duration_seconds: float | None
) -> tuple[Fraction, Fraction | None]:
    """Start and end of the part of a file that is read, in seconds. Raises ReadError where there is none."""
    if start_seconds < 0 or (duration_seconds is not None and duration_seconds <= 0):
        raise ReadError(
            f"{path}: start_seconds {start_seconds}, duration_seconds {duration_seconds}: expected "
            "a start of 0 or more and a duration above 0"
        )
    start = Fraction(start_seconds).limit_denominator(10**9)
    if duration_seconds is None:
        return start, None
    return start, start + Fraction(duration_seconds).limit_denominator(10**9)


class Source(ABC):
    """One open input. A context manager; `chunks` may be called once."""

    info: SourceInfo

    @abstractmethod
    def chunks(self, size: int) -> Iterator[Chunk]:
        """Chunks of `size` steps along the stream axis, the last one shorter. Raises ReadError."""

    @abstractmethod
    def close(self) -> None:
        """Release the file. May be called twice."""

    def notes(self) -> list[str]:
        """What a user should know of what was read: further pages that were left out."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
