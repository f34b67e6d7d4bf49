"""What a film or a sequence of images is, as its reader gives it. Reads nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from mediaconv.media.source import SourceInfo

STATED_SIZE = "mediaconv size {}x{}"  # the comment of a film that is padded: its true size


@dataclass(frozen=True)
class AudioOrigin:
    """Where a video's audio is, and which part of it the frames were read from."""

    path: Path
    start_seconds: float
    duration_seconds: float | None


def _unknown() -> None:
    """The rate says how long the last frame is shown."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo(SourceInfo):
    """What a film's stream is, as it comes out of the reader.

    shape: (frames, height, width) after turning and `size`. rate: average frames a second.
    bit_depth: 8 (uint8) or 16 (uint16, filling 0..65535).
    duration_seconds: of the stream, None where unknown. audio: None where the file holds none.
    rotation: clockwise degrees that were applied. time_base: seconds; every time of the file is a multiple.
    sample_aspect_ratio: width of a pixel over its height, as shown.
    last_shown: of the last frame given so far, its time and how long it is shown, where the file tells.
    """

    time_base: Fraction
    duration_seconds: Fraction | None = None
    audio: AudioOrigin | None = None
    rotation: int = 0
    sample_aspect_ratio: Fraction = Fraction(1)
    last_shown: Callable[[], tuple[Fraction, Fraction] | None] = _unknown

    @property
    def frames(self) -> int | None:
        """How many; None where only the end tells."""
        return self.shape[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.shape[1] or 0

    @property
    def width(self) -> int:
        """In pixels."""
        return self.shape[2] or 0
