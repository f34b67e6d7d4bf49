"""What a film or a sequence of images is, as its reader gives it. Reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

STATED_SIZE = "mediaconv size {}x{}"  # the comment of a film that is padded: its true size


@dataclass(frozen=True)
class VideoInfo:
    """What a film's stream is, as it comes out of the reader.

    width, height: pixels, after turning and `size`.
    channels: C of the frames. frames: how many, None where only the end tells.
    rate: average frames a second. bit_depth: 8 (uint8) or 16 (uint16, filling 0..65535).
    duration_seconds: of the stream, None where unknown. has_sound: the file holds a sound stream.
    rotation: clockwise degrees that were applied. time_base: seconds; every time of the file is a multiple.
    sample_aspect_ratio: width of a pixel over its height, as shown.
    """

    width: int
    height: int
    channels: int
    frames: int | None
    rate: Fraction
    bit_depth: int
    duration_seconds: Fraction | None
    has_sound: bool
    rotation: int
    time_base: Fraction
    sample_aspect_ratio: Fraction = Fraction(1)
