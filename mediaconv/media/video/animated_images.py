"""Animations that FFmpeg does not read exactly, as film: WebP by Pillow, PNG by its parts.

The interface is that of `VideoReader`. Each picture is what is seen of the canvas. Writes nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from mediaconv.errors import ReadError
from mediaconv.media.image import png_rows
from mediaconv.media.image.decoders import from_bgr
from mediaconv.media.image.png_rows import PNG
from mediaconv.media.image.reader import COLORS, resized
from mediaconv.media.input_file import one_line, read_head
from mediaconv.media.integrity.completeness import check_complete
from mediaconv.media.limits import Limits, check_pixels
from mediaconv.media.samples import full_scale
from mediaconv.media.source import Chunk, Source, time_window
from mediaconv.media.video import timeline
from mediaconv.media.video.video_info import VideoInfo
from mediaconv.media.video.video_stream import FALLBACK_RATE

Shown = tuple[Fraction, np.ndarray]
"""How long a picture is seen in seconds, and the picture: (H, W, C) in RGB or RGBA."""
DISPOSE_BACKGROUND, DISPOSE_PREVIOUS = 1, 2
PLAIN = frozenset({0, 2, 4, 6})
"""Colour types of PNG without a palette."""
SHORTEST = Fraction(1, 100)
"""Seconds: a picture that is shown for none is shown so long, as in FFmpeg."""


def is_animation(head: bytes) -> bool:
    """Whether a file is one of those that are read here, by its first bytes."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return head[12:16] == b"VP8X" and bool(head[20] & 2)
    if not head.startswith(PNG) or len(head) < 33 or head[24] not in (8, 16) or head[25] not in PLAIN:
        return False
    before = head[: max(0, head.find(b"IDAT"))]
    return b"acTL" in before and b"tRNS" not in before


class AnimationReader(Source):
    """One animation; options as those of `VideoReader`. Raises ReadError, on opening and while reading."""

    info: VideoInfo

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] | None = None,
        fps: Fraction | float | None = None,
        color: str = "rgb",
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._path = Path(path)
        self._limits = limits or Limits()
        self._color, self._size = color, size
        head = read_head(self._path)
        check_complete(self._path, head)
        self._pictures = _webp if head.startswith(b"RIFF") else _png
        self._fps = None if fps is None else Fraction(fps).limit_denominator(1001 * 1000)
        self._start, self._end = time_window(self._path, start_seconds, duration_seconds)
        self._last_shown: tuple[Fraction, Fraction] | None = None
        first = next(self._frames(), None)
        if first is None:
            raise ReadError(f"{self._path}: no frame can be decoded from {start_seconds} s on (zero frames)")
        height, width, channels = first[1].shape
        self.info = VideoInfo(
            channels=channels,
            shape=(None, height, width),
            scale=full_scale(first[1].dtype),
            rate=self._fps or self._average_rate(),
            bit_depth=8 * first[1].itemsize,
            time_base=1 / self._fps if self._fps else Fraction(1, 1000),
            last_shown=lambda: self._last_shown,
        )

    def _average_rate(self) -> Fraction:
        if self._pictures is _webp:
            return FALLBACK_RATE
        durations = [part.seconds or SHORTEST for part in _parts(self._path.read_bytes())]
        return len(durations) / sum(durations, Fraction(0))

    def close(self) -> None:
        return  # nothing stays open between pictures

    def chunks(self, size: int) -> Iterator[Chunk]:
        block: list[np.ndarray] = []
        times: list[Fraction] = []
        for time, picture in self._frames():
            block.append(picture)
            times.append(time)
            if len(block) == size:
                yield Chunk(np.stack(block), times)
                block, times = [], []
        if block:
            yield Chunk(np.stack(block), times)

    def _frames(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        """Of the window, at their times from its start."""
        frames: Iterator[tuple[Fraction, np.ndarray]] = self._timed()
        if self._start or self._end is not None:
            frames = timeline.between(frames, start=self._start, end=self._end)
        if self._fps is not None:
            most = self._limits.max_repeats
            frames = timeline.at_rate(frames, rate=self._fps, last_duration=1 / self._fps, max_repeats=most)
        try:
            for time, picture in frames:
                yield time, self._coloured(picture)
        except timeline.TooManyRepeatsError as error:
            raise ReadError(f"{self._path}: {error}") from error

    def _timed(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        time = Fraction(0)
        try:
            for duration, picture in self._pictures(self._path, self._limits):
                self._last_shown = (time - self._start, duration)
                yield time, picture
                time += duration or SHORTEST
        except ReadError:
            raise
        except Exception as error:  # decoders of damaged files raise anything
            raise ReadError(f"{self._path}: damaged: decoding stopped ({one_line(error)})") from error

    def _coloured(self, picture: np.ndarray) -> np.ndarray:
        picture = COLORS[self._color](picture)
        return np.ascontiguousarray(picture if self._size is None else resized(picture, self._size))


def _webp(path: Path, limits: Limits) -> Iterator[Shown]:
    with PIL.Image.open(path) as file:
        check_pixels(path, *file.size, limits)
        for index in range(getattr(file, "n_frames", 1)):
            file.seek(index)
            file.load()
            yield Fraction(int(file.info.get("duration", 0)), 1000), np.asarray(file.convert("RGBA"))


@dataclass(frozen=True)
class _Part:
    """One picture's place on the canvas, how long it is seen, and what becomes of it then."""

    width: int
    height: int
    left: int
    top: int
    seconds: Fraction
    dispose: int
    over: bool
    data: list[bytes]


def _png(path: Path, limits: Limits) -> Iterator[Shown]:
    content = path.read_bytes()
    header = content[len(PNG) + 8 : len(PNG) + 21]
    width, height = struct.unpack_from(">II", header)
    check_pixels(path, width, height, limits)
    canvas = np.zeros((height, width, 4), np.uint8 if header[8] == 8 else np.uint16)
    for index, part in enumerate(_parts(content)):
        before = canvas.copy()
        area = np.s_[part.top : part.top + part.height, part.left : part.left + part.width]
        picture = _decoded(header, part)
        canvas[area] = _over(canvas[area], picture) if part.over else picture
        yield part.seconds, canvas.copy()
        if part.dispose == DISPOSE_BACKGROUND or (part.dispose == DISPOSE_PREVIOUS and index == 0):
            canvas[area] = 0
        elif part.dispose == DISPOSE_PREVIOUS:
            canvas = before


def _parts(content: bytes) -> Iterator[_Part]:
    """A first picture (IDAT) without a control chunk before it is no part of the animation."""
    part: _Part | None = None
    for kind, begin, end in png_rows.chunks(content):
        body = content[begin:end]
        if kind == b"fcTL":
            if part is not None:
                yield part
            _, w, h, x, y, numerator, denominator, dispose, blend = struct.unpack(">IIIIIHHBB", body)
            part = _Part(w, h, x, y, Fraction(numerator, denominator or 100), dispose, blend == 1, [])
        elif kind == b"IDAT" and part is not None:
            part.data.append(body)
        elif kind == b"fdAT" and part is not None:
            part.data.append(body[4:])
    if part is not None:
        yield part


def _decoded(header: bytes, part: _Part) -> np.ndarray:
    """As a PNG of its own, in RGBA: (height, width, 4), uint8 or uint16."""
    own = struct.pack(">II", part.width, part.height) + header[8:]
    chunks = ((b"IHDR", own), (b"IDAT", b"".join(part.data)), (b"IEND", b""))
    whole = PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    data = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_UNCHANGED)
    if data is None:
        came = png_rows.missing(whole)
        raise ValueError(f"a picture holds {came}" if came else "a picture cannot be decoded")
    return COLORS["rgba"](from_bgr(data))


def _over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """One picture over another, both with straight alpha, to the nearest."""
    top = full_scale(above.dtype)
    alpha, under = above[..., 3:] / top, below[..., 3:] / top
    left = under * (1 - alpha)
    whole = alpha + left
    mixed = above[..., :3] * alpha + below[..., :3] * left
    colours = np.divide(mixed, whole, out=np.zeros_like(mixed), where=whole > 0)
    return np.rint(np.concatenate([colours, whole * top], axis=2)).astype(above.dtype)
