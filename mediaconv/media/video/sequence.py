"""Still images in name order as one clip, with the same interface as `VideoReader`.

Every frame has one size and type; times come from `fps`. Decodes one image at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.image.reader import read_image
from mediaconv.media.limits import Limits
from mediaconv.media.samples import full_scale
from mediaconv.media.source import Chunk, Source, time_window
from mediaconv.media.video.video_info import VideoInfo

DEFAULT_FPS = Fraction(25)


class SequenceReader(Source):
    """A clip of still images.

    paths: in any order; they are read in natural name order (frame2 before frame10). size, color and the
    window are those of `VideoReader`. Raises ReadError that names the file.
    """

    info: VideoInfo

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        fps: Fraction | float = DEFAULT_FPS,
        size: tuple[int, int] | None = None,
        color: str = "rgb",
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        limits: Limits | None = None,
    ) -> None:
        if not paths:
            raise ReadError("a sequence of no images: expected at least one")
        rate = Fraction(fps).limit_denominator(1001 * 1000)
        if rate <= 0:
            raise ReadError(f"fps: got {fps}, expected a number above 0")
        ordered = sorted((Path(path) for path in paths), key=natural_key)
        times = [index / rate for index in range(len(ordered))]
        start, end = time_window(ordered[0].parent, start_seconds, duration_seconds)
        chosen = [
            (time - start, path)
            for time, path in zip(times, ordered, strict=True)
            if time >= start and (end is None or time < end)
        ]
        if not chosen:
            raise ReadError(
                f"{ordered[0].parent}: no image of {len(ordered)} at {rate} a second from {float(start)} s on"
            )
        self._frames = chosen
        self._color, self._size, self._limits = color, size, limits or Limits()
        self._first = self._read(chosen[0][1])
        height, width, channels = self._first.shape
        self.info = VideoInfo(
            channels=channels,
            shape=(len(chosen), height, width),
            scale=full_scale(self._first.dtype),
            rate=rate,
            bit_depth=8 * self._first.itemsize,
            duration_seconds=len(chosen) / rate,
            time_base=1 / rate,
        )

    def close(self) -> None:
        return  # nothing stays open between images

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Chunks of `size` frames, the last one shorter, with their times in seconds.

        Shape: (n, H, W, C), uint8 or uint16.
        """
        for begin in range(0, len(self._frames), size):
            part = self._frames[begin : begin + size]
            block = np.empty((len(part), *self._first.shape), self._first.dtype)
            for index, (_, path) in enumerate(part):
                block[index] = self._first if begin + index == 0 else self._checked(path)
            yield Chunk(block, [time for time, _ in part])

    def _read(self, path: Path) -> np.ndarray:
        return read_image(path, color=self._color, size=self._size, limits=self._limits).data

    def _checked(self, path: Path) -> np.ndarray:
        data = self._read(path)
        if data.shape != self._first.shape:
            raise ReadError(
                f"{path}: {data.shape[1]}x{data.shape[0]} pixels, expected "
                f"{self._first.shape[1]}x{self._first.shape[0]} as {self._frames[0][1].name}; "
                "set `size` to scale them all"
            )
        if data.dtype != self._first.dtype:
            raise ReadError(
                f"{path}: {8 * data.itemsize} bit, expected {8 * self._first.itemsize} bit as "
                f"{self._frames[0][1].name}"
            )
        return data


def natural_key(path: Path) -> tuple:
    """Sorting key that counts the numbers in a name, its folder first.

    >>> [p.name for p in sorted([Path("f10.png"), Path("f2.png")], key=natural_key)]
    ['f2.png', 'f10.png']
    """
    parts = re.split(r"([0-9]+)", path.name)
    counted = tuple((int(p), "") if p.isascii() and p.isdecimal() else (-1, p.lower()) for p in parts)
    return str(path.parent), counted, path.name
