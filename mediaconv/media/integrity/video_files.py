"""Where FLV, MXF, Y4M and ASF (WMV, WMA) say how long they are, for `completeness`. Nothing is decoded."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

FLV, Y4M = b"FLV\1", b"YUV4MPEG2 "
FLV_TAG_BYTES = 11
FLV_SIZE = b"\0\x08filesize\0"  # of onMetaData; eight bytes of a float follow
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_BROADCAST = 1
MXF = bytes.fromhex("060e2b34020501010d010201")  # any partition
MXF_FOOTER_AT = 24  # in a partition: versions, grid, this one's place and the previous one's come before
Y4M_PLANES = {"mono": (0, 1, 1), "420": (2, 2, 2), "422": (2, 2, 1), "444": (2, 1, 1), "411": (2, 4, 1)}
"""Planes of chroma, and by how much they are narrower and lower than luma."""


def check_flv(file: BinaryIO, head: bytes, size: int) -> int | None:
    """The size in onMetaData, and tags each with its length."""
    at = head.find(FLV_SIZE)
    if 0 <= at <= len(head) - len(FLV_SIZE) - 8:
        stated = struct.unpack_from(">d", head, at + len(FLV_SIZE))[0]
        if size < stated < 2**63:
            return int(stated)
    offset = int.from_bytes(head[5:9], "big") + 4
    while offset + FLV_TAG_BYTES <= size:
        file.seek(offset)
        tag = file.read(FLV_TAG_BYTES)
        if tag[0] & 0x1F not in (8, 9, 18):  # no tag: what follows is passed over
            return None
        offset += FLV_TAG_BYTES + int.from_bytes(tag[1:4], "big") + 4
    return offset - 4 if offset - 4 > size else None  # the last length may be missing


def check_asf(file: BinaryIO, head: bytes, size: int) -> int | None:
    """The size in the file properties; a broadcast states none."""
    at = head.find(ASF_FILE_PROPERTIES)
    if not 0 <= at <= len(head) - 96:
        return None
    live = int.from_bytes(head[at + 88 : at + 92], "little") & ASF_BROADCAST
    return None if live else int.from_bytes(head[at + 40 : at + 48], "little")


def check_mxf(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Keys with lengths, one after the other, and the footer that the first partition states."""
    offset, promised = 0, 0
    while offset + 17 <= size:
        file.seek(offset)
        start = file.read(25)
        width = start[16] & 0x7F if start[16] & 0x80 else 0
        length = int.from_bytes(start[17 : 17 + width], "big") if width else start[16]
        if start[:4] != MXF[:4] or width > 8:  # no key: filling, or what is no MXF
            break
        body = offset + 17 + width
        if start.startswith(MXF) and not promised:
            file.seek(body + MXF_FOOTER_AT)
            footer = int.from_bytes(file.read(8), "big")
            promised = footer + 17 if footer else 0
        offset = body + length
    return max(offset, promised) if max(offset, promised) > size else None


def check_y4m(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Frames of one size, each after a line."""
    line, newline, _ = head.partition(b"\n")
    fields = {word[:1]: word[1:] for word in line.decode("latin-1").split()[1:] if word[:1] != "X"}
    kind = re.match(r"(mono|\d{3})(.*)", fields.get("C", "420"))
    if not newline or kind is None or kind[1] not in Y4M_PLANES:
        return None
    if not (fields.get("W", "").isdecimal() and fields.get("H", "").isdecimal()):
        return None
    width, height = int(fields["W"]), int(fields["H"])
    planes, across, down = Y4M_PLANES[kind[1]]
    samples = width * height + planes * (-(-width // across) * -(-height // down))
    samples += width * height if kind[2].startswith("alpha") else 0
    deep = re.search(r"(?:p|mono)(\d+)$", fields.get("C", ""))
    frame = samples * (2 if deep and int(deep[1]) > 8 else 1)
    offset = len(line) + 1
    while offset < size:
        file.seek(offset)
        mark = file.readline(256)
        if not mark.startswith(b"FRAME"[: len(mark)]):
            return None
        offset += len(mark) + frame
    return offset if offset > size else None
