"""A WAV file written in pieces: RIFF, and RF64 once it outgrows 4 GiB. Writes no dates, so that the same
samples give the same bytes (libsndfile stamps a time into float files). Reads nothing.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from mediaconv.media.samples import SampleFormat

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
LARGEST_RIFF = 0xFFFFFFFF
RESERVED = 28  # a JUNK chunk of this size becomes ds64


class WavFile:
    """Append samples, then close. largest_riff: bytes above which the file becomes RF64.

    Raises OSError.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate_hz: int,
        channels: int,
        format: SampleFormat,
        largest_riff: int = LARGEST_RIFF,
    ) -> None:
        self._format = format
        self._frame_bytes = channels * format.bits // 8
        self._largest_riff = largest_riff
        self._data_bytes = 0
        tag = IEEE_FLOAT if format.floating else PCM
        rate = struct.pack("<II", rate_hz, rate_hz * self._frame_bytes)
        shape = struct.pack("<HH", self._frame_bytes, format.bits)
        if channels > 2:
            extension = struct.pack("<HHI", 22, format.bits, 0) + struct.pack("<H", tag) + GUID_TAIL
            fmt = struct.pack("<HH", EXTENSIBLE, channels) + rate + shape + extension
        else:
            fmt = struct.pack("<HH", tag, channels) + rate + shape + (b"\0\0" if format.floating else b"")
        self._fmt = b"fmt " + struct.pack("<I", len(fmt)) + fmt
        self._fact = b"fact" + struct.pack("<II", 4, 0) if tag == IEEE_FLOAT else b""
        self._file = open(path, "wb")  # noqa: SIM115 - lives as long as this
        try:
            self._file.write(self._header())
        except OSError:
            self.abort()
            raise

    def write(self, samples: np.ndarray) -> None:
        """Shape: (n, C), in the format's type; 24-bit samples in the low bits of int32."""
        if self._format.floating:
            data = samples.astype(f"<f{self._format.bits // 8}").tobytes()
        elif self._format.bits == 24:
            data = samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        else:
            data = samples.astype(f"<i{self._format.bits // 8}").tobytes()
        self._file.write(data)
        self._data_bytes += len(data)

    def close(self) -> None:
        """Complete the file: its header now tells the lengths."""
        if self._file.closed:
            return
        try:
            if self._data_bytes % 2:
                self._file.write(b"\0")
            self._file.seek(0)
            self._file.write(self._header())
        finally:
            self._file.close()

    def abort(self) -> None:
        """Close the file as it is. Errors of a last flush are of no interest any more."""
        try:
            self._file.close()
        except OSError:
            return

    def _header(self) -> bytes:
        frames = self._data_bytes // self._frame_bytes
        fact = self._fact[:8] + struct.pack("<I", min(frames, LARGEST_RIFF)) if self._fact else b""
        size = 4 + 8 + RESERVED + len(self._fmt) + len(fact) + 8 + self._data_bytes + self._data_bytes % 2
        if size <= self._largest_riff:
            start = b"RIFF" + struct.pack("<I", size) + b"WAVE" + b"JUNK" + struct.pack("<I", RESERVED)
            return start + bytes(RESERVED) + self._fmt + fact + b"data" + struct.pack("<I", self._data_bytes)
        start = b"RF64" + struct.pack("<I", LARGEST_RIFF) + b"WAVE" + b"ds64" + struct.pack("<I", RESERVED)
        sizes = struct.pack("<QQQI", size, self._data_bytes, frames, 0)
        return start + sizes + self._fmt + fact + b"data" + struct.pack("<I", LARGEST_RIFF)
