"""The pictures of a film as its container tells them: which stream, at what rate, each frame's time.

Converts no pixels and mends no times: that is `pixels` and `timeline`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.format import Flags
from av.stream import Disposition

from mediaconv.errors import ReadError
from mediaconv.media.input_file import one_line
from mediaconv.media.libav import counts_slots, packets

FALLBACK_RATE = Fraction(25)
LARGEST_RATE = 1000
BRANDS_OF_ROUNDED_PLACES = frozenset({"isml", "piff"})


def best_video_stream(container: Any) -> Any:
    """The stream of pictures that players choose; None where there is none that can be decoded.

    FFmpeg's choice passes over cover art and prefers the default stream; of streams alike in that and in
    their codec, which are the same film in several sizes, it is the largest.
    """
    best = container.streams.best("video")
    if best is None or best.codec_context is None:
        return None
    alike = [stream for stream in container.streams.video if _kind(stream) == _kind(best)]
    return max([best, *alike], key=lambda s: s.codec_context.width * s.codec_context.height)


def _kind(stream: Any) -> tuple[str, Disposition] | None:
    if stream.codec_context is None:
        return None
    marks = Disposition.default | Disposition.attached_pic
    return stream.codec_context.name, stream.disposition & marks


def source_rate(container: Any, stream: Any) -> Fraction:
    """Frames a second, on average."""
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if container.format.name == "avi":  # and may count two fields a frame
        rates.insert(0, stream.guessed_rate)
    for rate in rates:
        if rate and 0 < rate <= LARGEST_RATE:
            return Fraction(rate)
    return FALLBACK_RATE


def alpha_decoder(stream: Any) -> Any:
    """A decoder of the alpha that a VP8 or VP9 stream carries beside its pictures; None: it carries none.

    FFmpeg's own decoders of these pass it over.
    """
    marked = any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.codec.canonical_name)
    if not marked or name is None:
        return None
    return av.CodecContext.create(name, "r")


def finds_frames(container: Any, stream: Any) -> bool:
    """Whether a frame that is entered midway has the time and the colours of a full read.

    Not in raw streams, which state no times, nor in MPEG program streams, which state some; in AVI and ASF
    only where no frame needs another, as their times count frames; nor in Smooth Streaming, whose index
    rounds times; nor where the palette came with an earlier frame.
    """
    context = stream.codec_context
    untimed = container.format.flags & Flags.no_timestamps.value or container.format.name == "mpeg"
    if untimed or context.format is None:
        return False
    if counts_slots(container) and not context.codec.intra_only:
        return False
    if BRANDS_OF_ROUNDED_PLACES.intersection(container.metadata.get("major_brand", "").split()):
        return False
    return bool(context.format.name != "pal8")


def decoded_frames(
    path: Path, container: Any, stream: Any, context: Any = None
) -> Iterator[tuple[Fraction | None, av.VideoFrame]]:
    """Frames in the order they are shown, with the container's times (None: not told), to the file's end.

    context: a decoder in place of the stream's own. Raises ReadError, also for a frame that lacks data after
    the first whole one.
    """
    context = context or stream.codec_context
    slots: list[int] | None = [] if counts_slots(container) else None
    good = False
    try:
        for packet in packets(path, container, stream):
            if slots is not None and packet.dts is not None:
                heapq.heappush(slots, packet.dts)
            for frame in context.decode(packet):
                time = frame.pts if slots is None else _slot(slots, frame, context.has_b_frames)
                seconds = None if time is None else time * Fraction(frame.time_base)
                if not frame.is_corrupt:
                    good = True
                    yield seconds, frame
                elif good:  # before, the stream was entered between key frames: players skip these
                    where = "an unknown time" if seconds is None else f"{float(seconds):.3f} s"
                    raise ReadError(f"{path}: damaged at {where}: a frame lacks data")
    except av.error.FFmpegError as error:
        raise ReadError(f"{path}: damaged: decoding stopped ({one_line(error)})") from error


def _slot(slots: list[int], frame: Any, reordered: bool) -> int | None:
    """The time of a frame that is shown: the first one left, or its packet's where none waits for another."""
    if slots and reordered:
        return heapq.heappop(slots)
    slots[:] = [slot for slot in slots if frame.dts is None or slot > frame.dts]
    return frame.pts if frame.dts is None else int(frame.dts)
