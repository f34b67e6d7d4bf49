"""What a writer of media is to the engine: the files that one input's output becomes. Writes none itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from mediaconv.media.samples import SampleFormat


@dataclass(frozen=True)
class OutputInfo:
    """What the stack makes of an input: channels, and per axis the length (None: not known before the
    end) and the output steps for one input step (1/2 after a stride of 2).

    float_bits: of a computed value: 32, or 64 with `precision: float64`. origins: the input channel that each
    output channel is made of, where each is made of one alone.
    """

    channels: int
    shape: tuple[int | None, ...]
    ratio: tuple[Fraction, ...]
    float_bits: int = 32
    origins: tuple[int, ...] | None = None


class Sink(ABC):
    """The files that one input's output becomes, written in the folder it was made with.

    format: what `write` wants: the engine quantizes to it (floats as they are for a tensor).
    """

    format: SampleFormat

    @abstractmethod
    def write(self, samples: np.ndarray, times: Sequence[Fraction] | None) -> None:
        """Append. samples: (C, n, ...) in `format`. times: of each step, in seconds. Raises WriteError."""

    @abstractmethod
    def finish(self) -> list[Path]:
        """Complete and close all files; their paths, in channel order. Raises WriteError."""

    @abstractmethod
    def abort(self) -> None:
        """Close all files at once, complete or not. The caller removes them. May follow `finish`."""

    def notes(self) -> list[str]:
        """What a user should know of what was written: a rounded rate, a copied sound track left out."""
        return []
