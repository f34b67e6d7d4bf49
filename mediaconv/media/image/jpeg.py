"""JPEG pixels, and whether all of them came: libjpeg makes those gray that did not, and only warns.

Pillow hides its warnings; simplejpeg gives the same pixels, sooner, and the first warning. Of a file that is
merely odd, as by rubbish between its parts, Pillow's pixels are taken.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import PIL.Image
import simplejpeg

from mediaconv.errors import ReadError

COLOURS = {"L": "GRAY", "RGB": "RGB"}
FAULTS = re.compile(r"premature end of data|bad Huffman|bad arithmetic|instead of RST")
"""In libjpeg's words; other warnings are of no pixel, or Pillow refuses what they are of."""
NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})
BARE = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers without a length."""
SCAN = 0xDA
END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
NO_CODES = 8 * b"\xff\0"
"""As many bits as libjpeg looks ahead; a code of ones alone does not exist."""


def decode(path: Path, content: bytes, mode: str) -> np.ndarray | None:
    """The pixels, (H, W, C) in uint8; None where Pillow is to give them.

    mode: Pillow's. Inks (CMYK) are checked only. Raises ReadError where pixels are missing.
    """
    told, data = _attempt(content, mode)
    if told and not FAULTS.search(told):  # libjpeg tells its first warning alone
        told, data = _attempt(_scans(content), mode)[0], None
    if "subsampling" in told:  # of its five kinds simplejpeg knows
        told = _ends_early(content)
    if FAULTS.search(told):
        raise ReadError(
            f"{path}: damaged or cut off: some of its pixels are missing ({told}); copy or download it again"
        )
    return data if mode in COLOURS else None


def _attempt(content: bytes, mode: str) -> tuple[str, np.ndarray | None]:
    """What libjpeg warns of, or what it does not take; the pixels where that is nothing."""
    try:
        return "", simplejpeg.decode_jpeg(content, colorspace=COLOURS.get(mode, "CMYK"), strict=True)
    except ValueError as error:
        return str(error), None


def _ends_early(content: bytes) -> str:
    """The fault where a single scan ends before its last block; Pillow tells it of a file without an end."""
    begin = content.find(bytes([0xFF, SCAN]))
    end = END_OF_SCAN.search(content, begin + 2)
    if begin < 0 or end is None or end[0] != b"\xff\xd9":
        return ""
    try:
        with PIL.Image.open(io.BytesIO(content[: end.start()] + NO_CODES)) as image:
            image.load()
    except OSError:
        return "premature end of data segment"
    return ""


def _scans(content: bytes) -> bytes:
    """Without notes, and without rubbish between the parts before the first scan."""
    parts, at = [content[:2]], 2
    while 0 <= (at := content.find(b"\xff", at)) < len(content) - 4:
        kind = content[at + 1]
        if kind == SCAN:
            return b"".join([*parts, content[at:]])
        if kind in (0, 0xFF):
            at += 1
        elif kind in BARE:
            at += 2
        else:
            end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
            parts += [] if kind in NOTES else [content[at:end]]
            at = end
    return content
