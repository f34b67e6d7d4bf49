"""Reading film: any file that PyAV decodes, as chunks of frames with their exact times.

Reads pictures only; their sound is for `audio_copy` and for `mediaconv.media.audio`. Writes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.input_file import one_line
from mediaconv.media.limits import Limits, check_pixels
from mediaconv.media.orientation import Orientation, from_display_matrix
from mediaconv.media.source import Chunk, Source
from mediaconv.media.video.frames.cropping import Rectangle, stated_crop
from mediaconv.media.video.frames.deinterlace import Filter
from mediaconv.media.video.frames.pixels import CHANNELS, PixelConverter
from mediaconv.media.video.frames.planes import stored_bits
from mediaconv.media.video.video_info import STATED_SIZE, AudioOrigin, VideoInfo
from mediaconv.media.video.video_window import Window

OTHER_COLOURS = {8: "YCgCo", 11: "Y'D'zD'x", 14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-R"}
"""That FFmpeg's scaler makes no RGB of, by the matrix's number."""
FIRST_BLOCK = 64  # frames allocated at first for a chunk: a chunk longer than the film costs no more


class VideoReader(Source):
    """The best video stream of a film, as players choose it, opened and its first frame decoded.

    size: (width, height) to scale to, after turning. fps: frames a second to choose at; None keeps every
    frame at its own time. color: "rgb", "gray" or "rgba". start_seconds counts from the file's start; times
    count from it, and from the file's start where none is given. stream: which film of several, by its number
    from 0 or its language; None: as players choose. deinterlace: a filter for interlaced film, or None.
    part: of a film whose size changes the frames of one run of equal sizes, by its number from 0; None: all,
    scaled to the first size.

    Raises ReadError, on opening and while reading.
    """

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
        stream: int | str | None = None,
        deinterlace: Filter | None = None,
        part: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._path = path if isinstance(path, Path) else Path(path)
        self._last_shown: tuple[Fraction, Fraction] | None = None
        self._audio = AudioOrigin(self._path, start_seconds, duration_seconds)
        self._limits = limits or Limits()
        self._fps = None if fps is None else Fraction(fps).limit_denominator(1001 * 1000)
        self._window = Window(
            self._path,
            start_seconds=start_seconds,
            duration_seconds=duration_seconds,
            fps=self._fps,
            alpha=color == "rgba",
            stream=stream,
            deinterlace=deinterlace,
            part=part,
            limits=self._limits,
        )
        try:
            self._frames = self._window.frames()
            self._prime(size, color)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._window.close()

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Chunks of `size` frames, the last one shorter, each with its times in seconds. May be called once.

        Shape: (n, H, W, C), uint8 or uint16. Every chunk is a fresh array.
        """
        while True:
            block = np.empty((min(size, FIRST_BLOCK), *self._converter.shape), self._converter.dtype)
            times: list[Fraction] = []
            previous: av.VideoFrame | None = None
            for time, frame in itertools.islice(self._frames, size):
                index = len(times)
                if index == len(block):
                    grown = np.empty((min(size, 2 * index), *block.shape[1:]), block.dtype)
                    grown[:index] = block
                    block = grown
                if frame is previous:
                    block[index] = block[index - 1]
                else:
                    self._convert(frame, block[index])
                previous = frame
                times.append(time)
            if not times:
                return
            if previous is not None:
                self._last_shown = self._shown(times[-1], previous)
            yield Chunk(block[: len(times)], times)

    def notes(self) -> list[str]:
        return self._window.notes()

    def _shown(self, time: Fraction, frame: av.VideoFrame) -> tuple[Fraction, Fraction] | None:
        duration = self._window.shown_for(time, frame)
        return (time, duration) if duration > 0 and self._fps is None else None

    def _convert(self, frame: av.VideoFrame, out: np.ndarray) -> None:
        try:
            self._converter.convert(frame, out)
        except (av.error.FFmpegError, ValueError) as error:
            colours = OTHER_COLOURS.get(int(frame.colorspace))
            what = f"pixel format {frame.format.name}" + (f" of {colours} colours" if colours else "")
            raise ReadError(
                f"{self._path}: {what} cannot be converted ({one_line(error)}); convert the film to BT.709"
            ) from error

    def _prime(self, size: tuple[int, int] | None, color: str) -> None:
        """Decode the first frame: it tells what the header may not."""
        window = self._window
        first = next(self._frames, None)
        if first is None:
            past = f" from {float(window.start)} s on" if window.start else ""
            past += f" in part {window.part}" if window.part else ""
            raise ReadError(f"{self._path}: no frame can be decoded{past} (zero frames)")
        frame = first[1]
        check_pixels(self._path, frame.width, frame.height, self._limits)
        orientation = _orientation(frame)
        coded = (frame.width, frame.height)
        visible = self._stated_size(frame) or stated_crop(self._path, window.number(), *coded)
        shown = orientation.size(*(visible[2:] if visible else coded))
        width, height = size or shown
        bits = stored_bits(frame)
        self._converter = PixelConverter(
            width=width,
            height=height,
            color=color,
            bits=bits,
            orientation=orientation,
            visible=visible,
            coded=coded,
        )
        self._frames = itertools.chain([first], self._frames)
        aspect = Fraction(window.stream.sample_aspect_ratio or 1) or Fraction(1)
        aspect = 1 / aspect if orientation.transpose else aspect
        self.info = VideoInfo(
            channels=CHANNELS[color],
            shape=(window.frame_count(), height, width),
            scale=255.0 if bits <= 8 else 65535.0,
            rate=self._fps or window.source_rate,
            bit_depth=8 if bits <= 8 else 16,
            duration_seconds=window.duration(),
            audio=self._audio if window.container.streams.audio else None,
            rotation=orientation.clockwise_degrees,
            time_base=1 / self._fps if self._fps else Fraction(window.stream.time_base),
            sample_aspect_ratio=aspect * Fraction(shown[0] * height, shown[1] * width),
            last_shown=lambda: self._last_shown,
        )

    def _stated_size(self, frame: av.VideoFrame) -> Rectangle | None:
        """The true size of a film that our writer padded to an even one; None for all others."""
        comments = [v for k, v in self._window.container.metadata.items() if k.lower() == "comment"]
        for width in {frame.width, frame.width - 1}:
            for height in {frame.height, frame.height - 1}:
                padded = (width, height) != (frame.width, frame.height)
                if padded and STATED_SIZE.format(width, height) in comments:
                    return 0, 0, width, height
        return None


def _orientation(frame: Any) -> Orientation:
    """Of the display matrix that the container or the stream states."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return from_display_matrix(np.frombuffer(bytes(data), np.int32).tolist())
    return Orientation()
