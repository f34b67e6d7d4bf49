"""The mark in a file that this program made: a digest of all that comes before it, near the file's end.

A file that somebody changed since no longer bears it. Each format holds the mark where its readers skip it: a
comment, a chunk of text, a field of metadata. Opens and replaces nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable
from typing import BinaryIO

MARK = b"written by mediaconv, sha256 "
_ENDS = (rb" -->\n", rb"\n", rb'"\n}\n', rb"\0;", rb".{4}\0{4}IEND\xaeB`\x82", rb"")
"""What follows the mark in one of the formats, and nothing else may."""
_MARK = re.compile(MARK + rb"([0-9a-f]{64})(?:" + rb"|".join(_ENDS) + rb")\Z", re.DOTALL)
TAIL_BYTES = 192
"""The mark begins at most so many bytes before the end of the file."""
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def marked(data: bytes, suffix: str) -> bytes:
    """A whole file of the format that `suffix` (".png") names, with the mark added.

    Raises KeyError for a format that has no place for it.
    """
    return _PLACES[suffix.lower()](data)


def is_marked(file: BinaryIO) -> bool:
    """Whether an open file bears the mark and is as it was written."""
    size = file.seek(0, 2)
    start = file.seek(max(0, size - TAIL_BYTES))
    mark = _MARK.search(file.read(TAIL_BYTES))
    if mark is None:
        return False
    file.seek(0)
    digest, rest = hashlib.sha256(), start + mark.start()
    while rest and (part := file.read(min(rest, 1 << 20))):
        digest.update(part)
        rest -= len(part)
    return digest.hexdigest().encode() == mark[1]


def _mark(before: bytes) -> bytes:
    return MARK + hashlib.sha256(before).hexdigest().encode()


def _comment(opening: bytes, closing: bytes) -> Callable[[bytes], bytes]:
    def with_mark(data: bytes) -> bytes:
        before = data + opening
        return before + _mark(before) + closing

    return with_mark


def _png(data: bytes) -> bytes:
    """A chunk of text before the last chunk."""
    if not data.endswith(_PNG_END):
        raise ValueError("a PNG file ends in an IEND chunk")
    kind, keyword = b"tEXt", b"Comment\0"
    length = len(keyword) + len(MARK) + 64
    before = data[: -len(_PNG_END)] + length.to_bytes(4, "big") + kind + keyword
    mark = _mark(before)
    return before + mark + zlib.crc32(kind + keyword + mark).to_bytes(4, "big") + _PNG_END


def _gif(data: bytes) -> bytes:
    """A comment extension before the trailer."""
    if not data.endswith(b";"):
        raise ValueError("a GIF file ends in a semicolon")
    before = data[:-1] + b"\x21\xfe" + bytes([len(MARK) + 64])
    return before + _mark(before) + b"\0;"


def _mp4(data: bytes) -> bytes:
    """A box of free space after the others."""
    before = data + (8 + len(MARK) + 64).to_bytes(4, "big") + b"free"
    return before + _mark(before)


def _zip(data: bytes) -> bytes:
    """The archive's comment; it had none."""
    if data[-22:-18] != b"PK\x05\x06":
        raise ValueError("an archive without a comment ends in its directory's end record")
    before = data[:-2] + (len(MARK) + 64).to_bytes(2, "little")
    return before + _mark(before)


def _onnx(data: bytes) -> bytes:
    """One more entry of metadata_props (field 14): fields of a protocol buffer may follow one another."""
    key = b"written_by"
    value_length = len(MARK) + 64
    entry = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([value_length])
    before = data + b"\x72" + _varint(len(entry) + value_length) + entry
    return before + _mark(before)


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])


def _json(data: bytes) -> bytes:
    """One more key of the outermost object."""
    text = data.rstrip()
    if not (text.endswith(b"}") and json.loads(text)):
        raise ValueError("expected an object with at least one key")
    before = text[:-1].rstrip() + b',\n  "written_by": "'
    return before + _mark(before) + b'"\n}\n'


_PLACES: dict[str, Callable[[bytes], bytes]] = {
    ".gif": _gif,
    ".htm": _comment(b"<!-- ", b" -->\n"),
    ".html": _comment(b"<!-- ", b" -->\n"),
    ".json": _json,
    ".mp4": _mp4,
    ".onnx": _onnx,
    ".pdf": _comment(b"% ", b"\n"),
    ".png": _png,
    ".pt2": _zip,
    ".svg": _comment(b"<!-- ", b" -->\n"),
}
