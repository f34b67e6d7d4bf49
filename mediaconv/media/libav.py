"""Opening files through PyAV: quiet, closed on failure, errors in our words. Decodes nothing itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
from av.sidedata.sidedata import Type as SideDataType

from mediaconv.errors import ReadError
from mediaconv.media.file_part import PartOfFile
from mediaconv.media.input_file import describe, one_line, read_head
from mediaconv.media.integrity.completeness import check_complete

av.logging.set_level(None)  # FFmpeg's own words about a damaged file stay off the user's terminal
av.logging.set_libav_level(av.logging.PANIC)


def _unknown_side_data(kind: type, value: int) -> Any:
    """A member for what FFmpeg puts beside a frame and PyAV 18 has no name for (EXIF): it would raise."""
    member: Any = object.__new__(kind)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


SideDataType._missing_ = classmethod(_unknown_side_data)  # type: ignore[assignment]

# Demuxers of lists of other files, of text and of devices: the file alone is the input.
NOT_MEDIA = frozenset({"concat", "hls", "dash", "imf", "tty", "lavfi", "sdp", "rtsp", "sap", "ffmetadata"})

UNSIGNED = {".mlp": "mlp", ".thd": "truehd", ".dts": "dts", ".mp3": "mp3", ".mp2": "mp3"}
"""Demuxers of streams that no signature begins, by suffix: tried where the content tells nothing, or rubbish
before it something else."""


STATING_STARTS = frozenset({"mov", "matroska"})
WRAPPING_CLOCKS = frozenset({"mpegts", "mpeg"})
FIRST_PACKETS = 128
MICROSECOND = Fraction(1, av.time_base)


def open_container(path: Path, *, skip: int = 0, part: tuple[int, int | None] | None = None) -> Any:
    """Open a sound or film file, told by its content. Raises ReadError; the caller closes it.

    skip: bytes at the beginning that are passed over. part: where the bytes that are read begin and end
    (None: with the file), of a file that is known to be complete.

    Typed loosely because PyAV's stubs know streams only by their common base.
    """
    head = read_head(path)
    if part is None:
        check_complete(path, head)
    try:
        if part is not None:
            return av.open(PartOfFile(path, *part), metadata_errors="replace")
        try:
            container = _opened(path, None, skip)
        except av.error.InvalidDataError:
            if path.suffix.lower() not in UNSIGNED:
                raise
            container = _opened(path, UNSIGNED[path.suffix.lower()], skip)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ReadError(
            f"{path}: no sound or film that can be read ({one_line(error)}; {describe(head)})"
        ) from error
    if NOT_MEDIA.intersection(container.format.name.split(",")):
        container.close()
        raise ReadError(f"{path}: no sound or film: {describe(head)}")
    return container


def _opened(path: Path, format: str | None, skip: int = 0) -> Any:
    """By descriptor, because by name FFmpeg goes by some suffixes; it keeps a copy."""
    with open(path, "rb", buffering=0) as file:
        options = {"fd": str(file.fileno()), "protocol_whitelist": "fd"}
        options |= {"skip_initial_bytes": str(skip)} if skip else {}
        return av.open("fd:", format=format, metadata_errors="replace", container_options=options)


def packets(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    """A stream's packets to the end of the file. Raises ReadError after a last one that is not whole."""
    cut, unsized = False, container.format.name == "caf"  # where `completeness` knows of a stated size
    for packet in container.demux(stream):
        cut = packet.is_corrupt and not unsized if packet.size else cut
        if packet.size or packet.pts is None:  # Theora repeats a picture by an empty packet
            yield packet
    if cut:
        raise ReadError(f"{path}: the file is cut off within its last frame; copy or download it again")


def clock_origin(path: Path, container: Any) -> Fraction:
    """The time of the file that counts as zero, in seconds: its start, or 0 where it starts before.

    What lies before 0 is an encoder's delay, which players leave out; but the clocks of MPEG streams wrap.
    Where the container states no start, FFmpeg's is an estimate, which is not believed where packets come
    before it.
    """
    names = container.format.name.split(",")
    start = _exact_start(container)
    if not STATING_STARTS.intersection(names):
        start = min([start, *_first_times(path)])
    return start if WRAPPING_CLOCKS.intersection(names) else max(Fraction(0), start)


def counts_slots(container: Any) -> bool:
    """AVI and ASF state no times of showing: a time or slot for each packet, in the order of decoding.

    The k-th frame shown has the k-th of them, whatever the order.
    """
    return container.format.name in ("avi", "asf")


def _exact_start(container: Any) -> Fraction:
    """FFmpeg rounds a file's start to microseconds: here it is that of the stream that begins then."""
    start = Fraction(container.start_time or 0, av.time_base)
    exact = [s.start_time * Fraction(s.time_base) for s in container.streams if s.start_time is not None]
    return min((time for time in exact if abs(time - start) < 2 * MICROSECOND), default=start)


def _first_times(path: Path) -> list[Fraction]:
    """Of the first packets of sound and film."""
    times = []
    try:
        with _opened(path, UNSIGNED.get(path.suffix.lower())) as container:
            slots = counts_slots(container)
            streams = [*container.streams.video, *container.streams.audio]
            for packet in itertools.islice(container.demux(streams), FIRST_PACKETS):
                time = packet.dts if slots else packet.pts
                if time is not None and packet.size and not packet.is_discard:
                    times.append(time * Fraction(packet.time_base))
    except (av.error.FFmpegError, OSError, ValueError):  # told where the packets are read
        pass
    return times
