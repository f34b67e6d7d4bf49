"""What a file calls its codecs: for a message where FFmpeg knows none of that name. Decodes nothing."""

from __future__ import annotations

import re
from pathlib import Path

from mediaconv.media.integrity.completeness import EBML

LARGEST_HEADER = 1 << 26
MATROSKA = {"video": "V", "audio": "A"}
ISO = {"video": b"vide", "audio": b"soun"}
AVI = {"video": b"vids", "audio": b"auds"}


def stated_codec(path: Path, kind: str, number: int) -> str:
    """Of the stream with that number among those of `kind` ("video", "audio"); empty where it is not told."""
    with open(path, "rb") as file:
        data = file.read(LARGEST_HEADER)
    if data.startswith(EBML):
        names = _matroska(data, kind)
    elif data[8:12] == b"AVI ":
        names = _avi(data, kind)
    else:
        names = _iso(data, kind)
    name = names[number] if number < len(names) else ""
    return name if name.isprintable() else ""


def _matroska(data: bytes, kind: str) -> list[str]:
    """CodecID: its identifier, its length in one byte, a text such as V_MPEG4/ISO/AVC."""
    begin = rb"\x86([\x82-\xff])(%b_[ -~]+)" % MATROSKA[kind].encode()
    return [m[2][: m[1][0] & 0x7F].decode("ascii") for m in re.finditer(begin, data)]


def _iso(data: bytes, kind: str) -> list[str]:
    """The four letters of the first sample entry, in the tracks of a handler of that kind."""
    names = []
    for track in data.split(b"trak")[1:]:
        handler, entry = track.find(b"hdlr"), track.find(b"stsd")
        if min(handler, entry) >= 0 and track[handler + 12 : handler + 16] == ISO[kind]:
            names.append(track[entry + 16 : entry + 20].decode("latin-1").strip())
    return names


def _avi(data: bytes, kind: str) -> list[str]:
    """The four letters of pictures, the number of a sound's format in hexadecimal."""
    names = []
    for stream in data.split(b"strh")[1:]:
        form = stream.find(b"strf")
        if stream[4:8] == AVI[kind] and form >= 0:
            letters = stream[form + 24 : form + 28].decode("latin-1").strip()
            tag = int.from_bytes(stream[form + 8 : form + 10], "little")
            names.append(letters if kind == "video" else f"0x{tag:04X}")
    return names
