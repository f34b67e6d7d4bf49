"""The pages of an Ogg file: is each whole and as its checksum says? Decoders pass over those that are not.

Nothing is decoded.
"""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO

HEADER_BYTES = 27
FIRST_OF_STREAM = 2
CHECKSUM = slice(22, 26)
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class DamagedPageError(Exception):
    """A page whose checksum does not hold."""


def check_pages(file: BinaryIO, head: bytes, size: int) -> int | None:
    """The size that the last page promises, or None where all are whole. Raises DamagedPageError.

    What follows the last page and is no page is passed over.
    """
    offset = 0
    file.seek(0)
    while offset < size:
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return offset + HEADER_BYTES if b"OggS".startswith(header[:4]) else None
        if header[:4] != b"OggS":
            if offset + HEADER_BYTES < size and b"OggS" in file.read(1 << 16):
                raise DamagedPageError(f"the page at byte {offset} is lost")
            return None
        table = file.read(header[26])
        body = file.read(sum(table))
        length = HEADER_BYTES + header[26] + sum(table)
        if offset + length > size:
            return offset + length
        if checksum(header[:22] + bytes(4) + header[26:] + table + body) != int.from_bytes(
            header[CHECKSUM], "little"
        ):
            raise DamagedPageError(f"the page at byte {offset} does not match its checksum")
        offset += length
    return None


def links(file: BinaryIO) -> list[int]:
    """Where the streams of a file begin that follow one another (a chained recording); [0] of other files."""
    starts, offset, in_head = [0], 0, True
    while len(header := file.read(HEADER_BYTES)) == HEADER_BYTES and header[:4] == b"OggS":
        table = file.read(header[26])
        begins = bool(header[5] & FIRST_OF_STREAM)
        if begins and not in_head:
            starts.append(offset)
        in_head = begins
        file.seek(sum(table), os.SEEK_CUR)
        offset += HEADER_BYTES + len(table) + sum(table)
    return starts


def checksum(page: bytes) -> int:
    """Ogg's CRC: zlib's polynomial, but with the highest bit first and nothing inverted.

    >>> hex(checksum(b"123456789"))
    '0x89a1897f'
    """
    mirrored = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
