"""Decoding what no library reads of WAV: integers in more bytes than needed or of over 32 bits, floats of 16,
and samples whose length a pipe left at 0.

A sample of 24 bits in 4 bytes stands in the upper ones, as the format's specification says. Writes nothing.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.audio.decoder import Decoder
from mediaconv.media.audio.speakers import speakers_of_mask
from mediaconv.media.input_file import HEAD_BYTES
from mediaconv.media.integrity.completeness import wave_data

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
BLOCK_VALUES = 1 << 16
LARGEST_INTEGER_BYTES = 8


@dataclass(frozen=True)
class WavFormat:
    """The `fmt ` chunk. tag: PCM or IEEE_FLOAT, of extensible files that of the subformat. bits: as stated;
    valid_bits: those in use. width: bytes of a stored sample. mask: speakers, a bit each; 0: not told."""

    tag: int
    channels: int
    rate_hz: int
    width: int
    bits: int
    valid_bits: int
    mask: int


def read_format(head: bytes) -> WavFormat | None:
    """Of the first bytes of a WAV file; None where they hold none that is whole."""
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        return None
    at = head.find(b"fmt ", 12)
    if at < 0 or at + 24 > len(head):
        return None
    length = int.from_bytes(head[at + 4 : at + 8], "little")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", head, at + 8)
    valid, mask = bits, 0
    if tag == EXTENSIBLE and length >= 40 and at + 48 <= len(head):
        valid, mask, tag = struct.unpack_from("<HIH", head, at + 26)
    if not channels or align % channels:
        return None
    return WavFormat(tag, channels, rate, align // channels, bits, valid or bits, mask)


class WavDecoder(Decoder):
    """A WAV file of such samples."""

    def __init__(self, path: Path, format: WavFormat) -> None:
        self._path = path
        self._format = format
        self._file = open(path, "rb")  # noqa: SIM115 - lives as long as this
        self._start, size = _data_chunk(self._file, os.fstat(self._file.fileno()).st_size)
        self.rate_hz = format.rate_hz
        self.channels = format.channels
        self.samples = size // (format.width * format.channels)
        self.floating = format.tag == IEEE_FLOAT
        self.bit_depth = max(32, format.bits) if self.floating else min(64, format.valid_bits)
        self.layout = speakers_of_mask(format.mask, format.channels)

    @classmethod
    def open(cls, path: Path, head: bytes) -> WavDecoder | None:
        """None where libraries read the file."""
        format = read_format(head)
        if format is None or format.rate_hz < 1:
            return None
        odd = _is_odd(format)
        return cls(path, format) if odd or (_is_plain(format) and _is_unmeasured(path, head)) else None

    def blocks(self, first: int) -> Iterator[np.ndarray]:
        frame = self._format.width * self.channels
        left = (self.samples or 0) - first
        self._file.seek(self._start + first * frame)
        while left > 0:
            count = min(left, max(1, BLOCK_VALUES // self.channels))
            data = self._file.read(count * frame)
            if len(data) < count * frame:
                raise ReadError(f"{self._path}: cut off or damaged: {left} samples are missing")
            yield self._values(data).reshape(-1, self.channels)
            left -= count

    def close(self) -> None:
        self._file.close()

    def _values(self, data: bytes) -> np.ndarray:
        if self.floating:
            values = np.frombuffer(data, f"<f{self._format.width}")
            return values.astype(np.float32) if self._format.width == 2 else values
        if self._format.width == 1:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
        stored = np.frombuffer(data, np.uint8).reshape(-1, self._format.width)
        wide = np.zeros((len(stored), LARGEST_INTEGER_BYTES), np.uint8)
        wide[:, LARGEST_INTEGER_BYTES - self._format.width :] = stored  # to the upper bytes
        return wide.view("<i8")[:, 0] / 2.0**63


def _is_odd(format: WavFormat) -> bool:
    if format.tag == IEEE_FLOAT:
        return format.bits == 16 and format.width == 2
    wider = format.width > (format.bits + 7) // 8 > 0
    odd = format.width > 1 if wider else format.width > 4
    return format.tag == PCM and odd and format.width <= LARGEST_INTEGER_BYTES


def _is_plain(format: WavFormat) -> bool:
    widths = (2, 4, 8) if format.tag == IEEE_FLOAT else range(1, LARGEST_INTEGER_BYTES + 1)
    return format.tag in (PCM, IEEE_FLOAT) and format.width in widths


def _is_unmeasured(path: Path, head: bytes) -> bool:
    """Whether samples follow although the header says that there are none. A small file is not opened."""
    is_whole = len(head) < HEAD_BYTES
    with io.BytesIO(head) if is_whole else open(path, "rb") as file:
        size = len(head) if is_whole else os.fstat(file.fileno()).st_size
        return _data_chunk(file, size, stated=True)[1] == 0 and _data_chunk(file, size)[1] > 0


def _data_chunk(file: BinaryIO, size: int, *, stated: bool = False) -> tuple[int, int]:
    """Where the samples begin, and how many bytes they are.

    stated: as the file says, which may be 0 where a pipe wrote it; else to its end, unless chunks follow.
    """
    start, length = wave_data(file, size) or (size, 0)
    if length == 0 and start < size and not stated and not _are_chunks(file, start, size):
        length = size
    return start, min(length, size - start)


def _are_chunks(file: BinaryIO, offset: int, size: int) -> bool:
    """Whether chunks follow, up to the file's end."""
    while offset + 8 <= size:
        file.seek(offset)
        name, length = struct.unpack("<4sI", file.read(8))
        if not all(32 <= byte < 127 for byte in name):
            return False
        offset += 8 + length + length % 2
    return offset in (size, size + 1)
