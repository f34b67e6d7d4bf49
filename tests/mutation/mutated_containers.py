"""The parts that a container is made of (chunks, boxes, pages, entries), so that mutation hits them."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable, Iterator

Part = tuple[int, int]
"""First byte, and the byte after the last."""
PNG = b"\x89PNG\r\n\x1a\n"
_BOXES_OF_BOXES = b"moov trak mdia minf stbl udta meta moof traf edts dinf iprp ipco mvex iloc iinf".split()


def parts_of(data: bytes) -> list[Part]:
    """The parts of a file by its magic number; of an unknown one, pieces of its first kilobyte."""
    found: list[Part] = []
    for magic, find in _FINDERS:
        if data.startswith(magic) or data[4:8] == magic:
            with contextlib.suppress(struct.error, IndexError):  # a mutant that is cut off in its head
                found = list(find(data))
            break
            break
    head = [(i, min(i + 16, len(data))) for i in range(0, min(len(data), 1024), 16)]
    return [(a, b) for a, b in found if 0 <= a < b <= len(data)] or head


def repaired(data: bytes) -> bytes:
    """With right checksums of PNG chunks and Ogg pages, so that a decoder goes on to what they hold."""
    if data.startswith(PNG):
        made = bytearray(data)
        for start, end in _png(data):
            if end - start >= 12:
                made[end - 4 : end] = zlib.crc32(made[start + 4 : end - 4]).to_bytes(4, "big")
        return bytes(made)
    if data.startswith(b"OggS"):
        made = bytearray(data)
        for start, end in _ogg(data):
            made[start + 22 : start + 26] = bytes(4)
            made[start + 22 : start + 26] = _ogg_checksum(bytes(made[start:end])).to_bytes(4, "little")
        return bytes(made)
    return data


def _png(data: bytes) -> Iterator[Part]:
    offset = 8
    while offset + 12 <= len(data):
        end = min(len(data), offset + 12 + int.from_bytes(data[offset : offset + 4], "big"))
        yield offset, end
        offset = end


def _riff(data: bytes, order: str = "<", offset: int = 12) -> Iterator[Part]:
    yield 0, 12
    while offset + 8 <= len(data):
        (size,) = struct.unpack_from(f"{order}I", data, offset + 4)
        end = min(len(data), offset + 8 + size + size % 2)
        yield offset, end
        if data[offset : offset + 4] == b"LIST":
            yield from ((a, b) for a, b in _riff(data[:end], order, offset + 12) if a)
        offset = end


def _aiff(data: bytes) -> Iterator[Part]:
    return _riff(data, ">")


def _boxes(data: bytes, offset: int = 0, end: int | None = None) -> Iterator[Part]:
    end = len(data) if end is None else end
    while offset + 8 <= end:
        size = int.from_bytes(data[offset : offset + 4], "big")
        stop = min(end, offset + size) if size >= 8 else end
        yield offset, stop
        kind = data[offset + 4 : offset + 8]
        if kind in _BOXES_OF_BOXES:
            yield from _boxes(data, offset + (12 if kind == b"meta" else 8), stop)
        offset = stop


def _jpeg(data: bytes) -> Iterator[Part]:
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF and data[offset + 1] != 0xDA:
        end = offset + 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
        yield offset, min(end, len(data))
        offset = end
    yield min(offset, len(data) - 1), len(data)


def _tiff(data: bytes) -> Iterator[Part]:
    order = "<" if data[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(f"{order}I", data, 4)
    yield 0, 8
    if offset + 2 <= len(data):
        (count,) = struct.unpack_from(f"{order}H", data, offset)
        for i in range(count):
            yield offset + 2 + 12 * i, offset + 14 + 12 * i


def _ogg(data: bytes) -> Iterator[Part]:
    offset = data.find(b"OggS")
    while offset >= 0 and offset + 27 <= len(data):
        segments = data[offset + 27 : offset + 27 + data[offset + 26]]
        end = min(len(data), offset + 27 + len(segments) + sum(segments))
        yield offset, end
        offset = data.find(b"OggS", end)


def _flac(data: bytes) -> Iterator[Part]:
    offset, last = 4, False
    while offset + 4 <= len(data) and not last:
        last = bool(data[offset] & 0x80)
        end = min(len(data), offset + 4 + int.from_bytes(data[offset + 1 : offset + 4], "big"))
        yield offset, end
        offset = end
    yield offset, min(len(data), offset + 32)


def _matroska(data: bytes, offset: int = 0, end: int | None = None, depth: int = 0) -> Iterator[Part]:
    end = len(data) if end is None else end
    while offset < end and data[offset]:
        wide = 9 - data[offset].bit_length()
        size_at = offset + wide
        if size_at >= end or not data[size_at]:
            return
        size_wide = 9 - data[size_at].bit_length()
        size = int.from_bytes(data[size_at : size_at + size_wide], "big") & ((1 << 7 * size_wide) - 1)
        stop = min(end, size_at + size_wide + size)
        yield offset, stop
        if depth < 4 and wide >= 3:
            yield from _matroska(data, size_at + size_wide, stop, depth + 1)
        offset = stop


def _lines(data: bytes) -> Iterator[Part]:
    offset = 0
    for line in data.splitlines(keepends=True):
        yield offset, offset + len(line)
        offset += len(line)


def _zip(data: bytes) -> Iterator[Part]:
    for mark in (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"):
        offset = data.find(mark)
        while offset >= 0:
            yield offset, min(len(data), offset + 64)
            offset = data.find(mark, offset + 4)


def _packets(data: bytes) -> Iterator[Part]:
    return ((i, min(i + 188, len(data))) for i in range(0, len(data), 188))


def _safetensors(data: bytes) -> Iterator[Part]:
    size = 8 + int.from_bytes(data[:8], "little")
    yield 0, 8
    yield from ((i, min(i + 12, size)) for i in range(8, size, 12))
    yield size, len(data)


_FINDERS: tuple[tuple[bytes, Callable[[bytes], Iterator[Part]]], ...] = (
    (PNG, _png), (b"RIFF", _riff), (b"FORM", _aiff), (b"ftyp", _boxes), (b"\0\0\0\x0cjP", _boxes),
    (b"\xff\xd8", _jpeg), (b"II*\0", _tiff), (b"MM\0*", _tiff), (b"OggS", _ogg), (b"fLaC", _flac),
    (b"\x1aE\xdf\xa3", _matroska), (b"PK\x03\x04", _zip), (b'{"', _lines), (b"G@", _packets),
    (b"YUV4MPEG2", _lines), (b'\0\0\0\0{"', _safetensors),
)  # fmt: skip


def _ogg_checksum(page: bytes) -> int:
    total = 0
    for byte in page:
        total = (total << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[total >> 24 ^ byte]
    return total


def _ogg_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


_OGG_TABLE = _ogg_table()
