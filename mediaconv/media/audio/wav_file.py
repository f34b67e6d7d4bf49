"""A WAV file that is written from its first sample to its last; RF64 once it is over 4 GiB.

The bytes are those of FFmpeg's own writer, which takes ten times as long to open and close a short sound.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from mediaconv.filesystem import write_all
from mediaconv.media.samples import SampleFormat

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format's tag in the name of a subformat."""
SPEAKERS = {1: 0x4, 2: 0x3}
"""Masks of mono and stereo; more channels are not told."""
ROOM_FOR_SIZES = 28
"""Bytes of the chunk that holds the sizes of an RF64 file, and is junk in others."""
HIGHEST_PLAIN_RATE = 48_000
HELD_BYTES = 1 << 16
UNTOLD = 2**32 - 1


class WavFile:
    """One open file. format: of the samples, as `AudioWriter` takes them. Raises OSError."""

    def __init__(self, path: Path, *, rate_hz: int, format: SampleFormat, channels: int) -> None:
        self._format, self._channels, self._rate_hz = format, channels, rate_hz
        self._frames = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._written = False
        self._handle: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def write(self, block: np.ndarray) -> None:
        """Append samples, (n, C)."""
        self._frames += len(block)
        stored = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
        if self._format.bits == 24:
            stored = stored.view(np.uint8).reshape(-1, 4)[:, :3]
        self._held.append(stored.tobytes())
        self._held_bytes += len(self._held[-1])
        if self._held_bytes >= HELD_BYTES:
            self._hand_on(b"")

    def close(self) -> None:
        """Complete the file."""
        if self._handle is None:
            return
        end = b"\0" * (self._data_bytes % 2)
        if self._written:
            self._hand_on(end)
            os.lseek(self._handle, 0, os.SEEK_SET)
            write_all(self._handle, self._header())
        else:
            self._hand_on(end)  # a short one: header and samples at once
        self.abort()

    def abort(self) -> None:
        """Let go of the file as it is. May be called twice."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)

    def _hand_on(self, end: bytes) -> None:
        assert self._handle is not None
        begin = b"" if self._written else self._header()
        self._written = True
        write_all(self._handle, b"".join((begin, *self._held, end)))
        self._held, self._held_bytes = [], 0

    @property
    def _frame_bytes(self) -> int:
        return self._channels * self._format.bits // 8

    @property
    def _data_bytes(self) -> int:
        return self._frames * self._frame_bytes

    def _header(self) -> bytes:
        """All that comes before the samples, whose number it tells; as long for any number."""
        floating, bits, channels = self._format.floating, self._format.bits, self._channels
        tag = IEEE_FLOAT if floating else PCM
        extensible = self._rate_hz > HIGHEST_PLAIN_RATE or (bits > 16 and not floating)
        bytes_a_second = self._rate_hz * self._frame_bytes % 2**32
        fields = struct.pack(
            "<HHIIHH",
            EXTENSIBLE if extensible else tag,
            channels,
            self._rate_hz,
            bytes_a_second,
            self._frame_bytes,
            bits,
        )
        if extensible:
            fields += struct.pack("<HHIH", 22, bits, SPEAKERS.get(channels, 0), tag) + SUBFORMAT
        elif floating:
            fields += bytes(2)
        before_fact = 12 + 8 + ROOM_FOR_SIZES + 8 + len(fields)
        size = before_fact + (12 if floating else 0) + 8 + self._data_bytes + self._data_bytes % 2 - 8
        large = size > UNTOLD
        sizes = (
            struct.pack("<QQQI", size, self._data_bytes, self._frames, 0) if large else bytes(ROOM_FOR_SIZES)
        )
        frames = UNTOLD if large else self._frames
        return b"".join(
            (
                struct.pack("<4sI4s", b"RF64" if large else b"RIFF", UNTOLD if large else size, b"WAVE"),
                struct.pack("<4sI", b"ds64" if large else b"JUNK", ROOM_FOR_SIZES),
                sizes,
                struct.pack("<4sI", b"fmt ", len(fields)),
                fields,
                struct.pack("<4sII", b"fact", 4, frames) if floating else b"",
                struct.pack("<4sI", b"data", UNTOLD if large else self._data_bytes),
            )
        )
