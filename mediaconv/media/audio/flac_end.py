"""Whether a FLAC file holds more than it states, by the number that its last frame bears. Nothing is decoded.

The count in its first block is 0 where a pipe wrote it, and that of the first part where files were joined.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

FILE_MARK = b"fLaC"
LARGEST_COUNT = 1 << 36
TAIL_BYTES = 1 << 18
BLOCK_SIZES = {1: 192} | {k: 576 << (k - 2) for k in range(2, 6)} | {k: 256 << (k - 8) for k in range(8, 16)}
"""Samples of a frame by their code; 6 and 7 stand for a number of 8 and 16 bits behind it."""
EXTRA_BYTES = {6: 1, 7: 2}
RATE_BYTES = {12: 1, 13: 2, 14: 2}
LONGEST_NUMBER = 7
MIN_BLOCK = 16
VARIABLE = 1


def goes_on(path: Path, stated: int) -> bool:
    """Whether a file holds more than the samples that its first block states, or states none."""
    if not 0 < stated < LARGEST_COUNT:
        return True
    end = _last_sample(path)
    if end is None or end == stated:
        return False
    return end > stated or _is_joined(path)


def _is_joined(path: Path) -> bool:
    """Whether another file begins in it."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(FILE_MARK + b"\0\0\0", len(FILE_MARK)) > 0


def _last_sample(path: Path) -> int | None:
    """The end of the last frame in a file, in samples; None where none is found."""
    with open(path, "rb") as file:
        head = file.read(42)
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        tail = file.read()
    if not head.startswith(FILE_MARK):  # tags before it, which move all
        return None
    block = int.from_bytes(head[8:10], "big")
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        end = _end_of_frame(tail[at : at + 16], block)
        if end is not None:
            return end
    return None


def _end_of_frame(header: bytes, block: int) -> int | None:
    """In samples from the beginning; None: no header of a frame. block: samples of each but the last."""
    if len(header) < MIN_BLOCK or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    ones = 8 - (header[4] ^ 0xFF).bit_length()
    length = max(1, ones)  # of a number written as in UTF-8
    if size_code == 0 or rate_code == 15 or ones in (1, 8) or length > LONGEST_NUMBER:
        return None
    number = header[4] & (0xFF >> (ones + 1)) if ones else header[4]
    for byte in header[5 : 4 + length]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    extra = EXTRA_BYTES.get(size_code, 0)
    check = 4 + length + extra + RATE_BYTES.get(rate_code, 0)
    if check >= len(header) or _checksum(header[:check]) != header[check]:
        return None
    follows = int.from_bytes(header[4 + length : 4 + length + extra], "big")
    samples = BLOCK_SIZES.get(size_code) or follows + 1
    return (number if header[1] & VARIABLE else number * block) + samples


def _checksum(data: bytes) -> int:
    """CRC of 8 bits with the polynomial x^8 + x^2 + x + 1.

    >>> hex(_checksum(b"123456789"))
    '0xf4'
    """
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1) ^ (0x107 if value & 0x80 else 0)
    return value
