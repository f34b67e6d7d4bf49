"""Where the frames of an MP3 begin, and what its encoder says of samples that are none of the sound.

FFmpeg cuts by a count of frames that may be wrong, in the midst of the sound, and finds none of this behind
rubbish. Nothing is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mediaconv.media.integrity.mpeg import id3_bytes, mp3_frame_bytes

DECODER_DELAY = 529
"""Samples that every decoder of Layer III is late."""
LARGEST_RUBBISH = 1 << 20
FRAMES_IN_A_ROW = 3
LARGEST_FRAME = 1 << 12
SAME = bytes((0xFF, 0xFE, 0x0C, 0))
"""Bits of a header that are the same in all frames of a file: version, layer and rate."""
NUMBERS = {1: 4, 2: 4, 4: 100, 8: 4}
"""Bytes of what the flags of a Xing header say is there: frames, bytes, a table, the quality."""
ID3V1_BYTES, APE_HEADER_BYTES = 128, 32
DELAYS_AT, DELAYS_END = 21, 24


@dataclass(frozen=True)
class Mp3Start:
    """offset: of the first frame, in bytes. rubbish: there is some before it that is no tag. delay, padding:
    samples before and after the sound. frames: as stated, None where they are not.
    """

    offset: int
    rubbish: bool
    delay: int = 0
    padding: int = 0
    frames: int | None = None


def read_mp3_start(path: Path) -> Mp3Start | None:
    """None where no row of frames is found."""
    tags = 0
    with open(path, "rb") as file:
        while (length := id3_bytes(file.read(10))) is not None:
            tags += length
            file.seek(tags)
        file.seek(tags)
        head = file.read(LARGEST_RUBBISH + FRAMES_IN_A_ROW * LARGEST_FRAME)
    at = _first_frame(head)
    if at is None:
        return None
    return _stated(head[at : at + LARGEST_FRAME], tags + at, rubbish=at > 0)


def without_tags(data: bytes) -> bytes:
    """What follows tags at the beginning, such as those between files that were joined."""
    while data:
        length = id3_bytes(data)
        if length is None and data.startswith(b"TAG"):
            length = ID3V1_BYTES
        if length is None and data.startswith(b"APETAGEX") and len(data) >= 16:
            length = APE_HEADER_BYTES + int.from_bytes(data[12:16], "little")
        if length is None:
            break
        data = data[length:]
    return data


def has_counts(frame: bytes) -> bool:
    """Whether a frame holds a header of Xing, and no sound."""
    return b"Xing" in frame[:64] or b"Info" in frame[:64]


def _first_frame(head: bytes) -> int | None:
    at = head.find(b"\xff")
    while 0 <= at <= LARGEST_RUBBISH:
        if _is_row(head, at):
            return at
        at = head.find(b"\xff", at + 1)
    return None


def _is_row(head: bytes, at: int) -> bool:
    """Whether frames of one kind follow one another from there, or up to the end."""
    first = head[at : at + 4]
    for _ in range(FRAMES_IN_A_ROW):
        header = head[at : at + 4]
        length = mp3_frame_bytes(header)
        if length is None or any((a ^ b) & same for a, b, same in zip(header, first, SAME, strict=True)):
            return False
        at += length
        if at >= len(head):
            break
    return True


def _stated(frame: bytes, offset: int, *, rubbish: bool) -> Mp3Start:
    """By the header of Xing and LAME in the first frame."""
    mark = max(frame.find(b"Xing", 0, 64), frame.find(b"Info", 0, 64))
    if mark < 0:
        return Mp3Start(offset, rubbish)
    flags = int.from_bytes(frame[mark + 4 : mark + 8], "big")
    frames = int.from_bytes(frame[mark + 8 : mark + 12], "big") if flags & 1 else 0
    encoder = mark + 8 + sum(size for flag, size in NUMBERS.items() if flags & flag)
    delays = int.from_bytes(frame[encoder + DELAYS_AT : encoder + DELAYS_END], "big")
    if frame[encoder : encoder + 4] not in (b"LAME", b"Lavf", b"Lavc"):
        return Mp3Start(offset, rubbish, frames=frames or None)
    delay, padding = delays >> 12, delays & 0xFFF
    return Mp3Start(offset, rubbish, delay + DECODER_DELAY, max(0, padding - DECODER_DELAY), frames or None)
