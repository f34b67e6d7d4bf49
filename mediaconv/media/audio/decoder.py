"""What the reader of sound needs of a library: blocks of floats from a given sample on. Decodes nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mediaconv.errors import ReadError


class Decoder(ABC):
    """One sound, opened. samples: None where only the end tells. layout: speakers, in WAV's order."""

    rate_hz: int
    channels: int
    bit_depth: int
    floating: bool
    samples: int | None = None
    layout: tuple[str, ...] = ()

    @abstractmethod
    def blocks(self, first: int) -> Iterator[np.ndarray]:
        """Blocks from sample `first` to the end: (n, C), any n, float32 or float64. Raises ReadError."""

    @abstractmethod
    def close(self) -> None:
        """Release the file. May be called twice."""

    def notes(self) -> list[str]:
        """What a user should know of what was decoded."""
        return []


def check_same(path: Path, rate_hz: int, channels: int, later_rate_hz: int, later_channels: int) -> None:
    """Raise ReadError where a sound goes on at another rate, or in other channels."""
    if (later_rate_hz, later_channels) != (rate_hz, channels):
        raise ReadError(
            f"{path}: the sound changes from {rate_hz} Hz, {channels} channels to "
            f"{later_rate_hz} Hz, {later_channels} channels; split the file there"
        )
