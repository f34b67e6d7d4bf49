"""How large a decoded input may be before it is refused: a header is a promise that memory must keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mediaconv.errors import ReadError
from mediaconv.machine import memory_bytes

MAX_SIDE = 2**16 - 1
"""Largest width or height that a picture is scaled to: no common image format stores a longer side."""

BANDS_OF_A_PIXEL = 4
MEMORY_SHARE = 0.5
"""Of the machine's memory that one job may take unless `max_memory` says otherwise."""
HELD_COPIES = 3
"""Of a decoded picture at the peak; 2.6 were measured of 16384 x 16384 in RGBA of 16 bits."""


def _check_size(value: Any) -> Any:
    sides = value if isinstance(value, list | tuple) else ()
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"expected [width, height] in pixels, integers from 1 to {MAX_SIDE}")
    return value


_Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
PictureSize = Annotated[tuple[_Side, _Side], BeforeValidator(_check_size)]
"""The type of a `size` option: width and height in pixels."""


class Limits(BaseModel):
    """Largest input that is decoded at all, as told from its header and shapes before a job begins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_pixels: int = Field(
        default=2**28, ge=1, description="pixels of one image or film frame, of up to four bands"
    )
    max_channels: int = Field(default=256, ge=1, description="channels of a sound, bands of an image")
    max_repeats: int = Field(
        default=10_000,
        ge=1,
        description="times that one frame is repeated to reach `read.fps`; in all, a hundred times as often",
    )
    max_memory: int | None = Field(
        default=None, ge=1, description="bytes that a job may hold; default: half of the machine's memory"
    )


def image_bytes(width: int, height: int, bands: int, sample_bytes: int) -> int:
    """About what reading a whole picture holds at its peak: as decoded, in order, and turned upright."""
    return HELD_COPIES * width * height * bands * sample_bytes


def check_pixels(
    path: Path, width: int, height: int, limits: Limits, *, bands: int = 1, sample_bytes: int = 1
) -> None:
    """Raise ReadError for a picture without pixels, or with more than the limits.

    A picture of more than four bands counts by its samples: four of them are a pixel.
    """
    if width < 1 or height < 1:
        raise ReadError(f"{path}: the picture has no pixels ({width}x{height})")
    if width * height > limits.max_pixels:
        raise ReadError(
            f"{path}: {width}x{height} pixels are more than the limit of {limits.max_pixels} (max_pixels)"
        )
    if width * height * bands > BANDS_OF_A_PIXEL * limits.max_pixels:
        raise ReadError(
            f"{path}: {width}x{height} pixels of {bands} bands are more than the limit of "
            f"{limits.max_pixels} pixels of {BANDS_OF_A_PIXEL} (max_pixels)"
        )
    needed = image_bytes(width, height, bands, sample_bytes)
    most = limits.max_memory or int(memory_bytes() * MEMORY_SHARE)
    if needed > most:
        raise ReadError(
            f"{path}: {width}x{height} pixels of {bands} bands need about {needed / 2**30:,.2f} GiB of "
            f"memory, more than limits.max_memory: {most / 2**30:,.2f} GiB"
        )
