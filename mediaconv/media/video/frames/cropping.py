"""Which part of a film's stored pictures its container says to show: `PixelCrop` of Matroska, `clap` of MP4.

FFmpeg's decoders apply what the codec crops and leave this to the program. Decodes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mediaconv.media.integrity.completeness import EBML, SEGMENT, ebml_length

Rectangle = tuple[int, int, int, int]
"""Left, top, width, height in stored pixels."""

TRACKS, TRACK, KIND, VIDEO, CLUSTER = 0x1654AE6B, 0xAE, 0x83, 0xE0, 0x1F43B675
CROPS = {0x54CC: "left", 0x54DD: "right", 0x54BB: "top", 0x54AA: "bottom"}
VIDEO_TRACK = 1
SAMPLE_ENTRY_BYTES = 78  # of pictures, before the boxes in it
BOXES = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8}
"""Boxes that hold boxes, and how many bytes stand before these."""
LARGEST_HEADER = 1 << 26


def stated_crop(path: Path, number: int, width: int, height: int) -> Rectangle | None:
    """Of the film stream with that number among its kind; None: the whole picture of width x height."""
    with open(path, "rb") as file:
        head = file.read(64)
        try:
            if head.startswith(EBML):
                crop = _matroska(file, number, width, height)
            elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                crop = _clean_aperture(file, number, width, height)
            else:
                return None
        except (struct.error, LookupError, ArithmeticError, ValueError, OSError):
            # a damaged header, such as a length that no file has: the decoder tells of it
            return None
    if crop is None or crop == (0, 0, width, height):
        return None
    left, top, across, down = crop
    inside = left >= 0 and top >= 0 and across > 0 and down > 0
    return crop if inside and left + across <= width and top + down <= height else None


def _matroska(file: BinaryIO, number: int, width: int, height: int) -> Rectangle | None:
    file.seek(0)
    videos = [track for track in _tracks(file) if track[0] == VIDEO_TRACK]
    if number >= len(videos):
        return None
    crop = videos[number][1]
    left, top = crop.get("left", 0), crop.get("top", 0)
    return left, top, width - left - crop.get("right", 0), height - top - crop.get("bottom", 0)


def _tracks(file: BinaryIO) -> Iterator[tuple[int, dict[str, int]]]:
    """Kind and cropping of each track."""
    for ident, size in _elements(file, None):
        if ident == int.from_bytes(SEGMENT, "big"):
            for inner, length in _elements(file, size):
                if inner == CLUSTER:
                    return
                if inner == TRACKS and length is not None:
                    yield from _track_entries(file.read(min(length, LARGEST_HEADER)))
                    return
                if length is None:
                    return
                file.seek(length, 1)
            return
        file.seek(size or 0, 1)


def _elements(file: BinaryIO, size: int | None) -> Iterator[tuple[int, int | None]]:
    """Identifier and length of each element; the file stands at its content."""
    end = None if size is None else file.tell() + size
    while (end is None or file.tell() < end) and (start := file.read(12)):
        file.seek(-len(start), 1)
        width = 9 - start[0].bit_length()
        if width > 4:
            return
        length, offset = ebml_length(start, width)
        file.seek(offset, 1)
        yield int.from_bytes(start[:width], "big"), length


def _track_entries(data: bytes) -> Iterator[tuple[int, dict[str, int]]]:
    for ident, body in _children(data):
        if ident == TRACK:
            kind, crop = 0, {}
            for key, value in _children(body):
                if key == KIND:
                    kind = int.from_bytes(value, "big")
                if key == VIDEO:
                    crop = {CROPS[k]: int.from_bytes(v, "big") for k, v in _children(value) if k in CROPS}
            yield kind, crop


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(data):
        width = 9 - data[offset].bit_length()
        length, begin = ebml_length(data, offset + width)
        if length is None:
            return
        yield int.from_bytes(data[offset : offset + width], "big"), data[begin : begin + length]
        offset = begin + length


def _clean_aperture(file: BinaryIO, number: int, width: int, height: int) -> Rectangle | None:
    """The centre of the part shown is given relative to the picture's own centre."""
    file.seek(0, 2)
    entries = list(_sample_entries(file, 0, file.tell()))
    if number >= len(entries):
        return None
    at = entries[number].find(b"clap")
    if at < 0 or at + 36 > len(entries[number]):
        return None
    numbers = struct.unpack_from(">8i", entries[number], at + 4)
    across, down, right, below = (numbers[k] / numbers[k + 1] for k in (0, 2, 4, 6))
    left = (width - across) / 2 + right
    top = (height - down) / 2 + below
    return round(left), round(top), round(across), round(down)


def _sample_entries(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """The first sample entry of each film track, past its fixed part."""
    offset = begin
    while offset + 8 <= end:
        file.seek(offset)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        start = offset + 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), offset + 16
        length = length or end - offset
        if length < 8:
            return
        if name == b"trak":
            yield from _video_entry(file, start, min(offset + length, end))
        elif name in BOXES:
            yield from _sample_entries(file, start + BOXES[name], min(offset + length, end))
        offset += length


def _video_entry(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """Of one track, where it is a film."""
    file.seek(begin)
    data = file.read(min(end - begin, LARGEST_HEADER))
    at = data.find(b"stsd")
    if b"vide" not in data[: max(at, 0)] or at < 4:
        return
    entry = data[at + 12 :]
    length = int.from_bytes(entry[:4], "big")
    yield entry[8 + SAMPLE_ENTRY_BYTES : length]
