"""Is a file cut off? Told from its container's own structure, before and without decoding.

Decoders make the best of a cut file in silence; here its structure says how many bytes should be there.
What states no length (raw H.265, DV, MP3 without a count, a live recording) cannot be told and passes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mediaconv.errors import ReadError
from mediaconv.media.input_file import HEAD_BYTES
from mediaconv.media.integrity import mpeg, ogg, video_files

EBML = b"\x1aE\xdf\xa3"
SEGMENT = b"\x18S\x80g"
ISO_TOP_LEVEL = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"pnot", b"jP  "}
VOC_AUDIO, VOC_MORE, VOC_SILENCE = {1, 9}, {2}, {3}
UNKNOWN_64 = {0, 2**63 - 1, 2**64 - 1}
PIPED_32 = (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7FFFF000, 0x7F000000)
"""Lengths that programs leave where they cannot go back, such as SoX; or less by a header, or more by one."""
LARGEST_HEADER = 4096

Rule = Callable[[BinaryIO, bytes, int], int | None]
"""From a file, its first bytes and its size to the size that its structure promises; None: not told."""


def is_untold(length: int) -> bool:
    """Whether a length of 32 bits tells nothing, as a pipe leaves it behind.

    >>> is_untold(0), is_untold(0x7FFFF000), is_untold(0x7FFFF000 + 44), is_untold(1 << 20)
    (True, True, True, False)
    """
    return length == 0 or any(abs(length - piped) <= LARGEST_HEADER for piped in PIPED_32)


def check_complete(path: Path, head: bytes) -> None:
    """Raise ReadError, telling the bytes expected and found, where the file's structure promises more.

    head: the file's first bytes, at least a few hundred where it has that many. Fewer than HEAD_BYTES are
        all of it, as `read_head` gives them.
    """
    with io.BytesIO(head) if len(head) < HEAD_BYTES else open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            expected = _expected_size(file, head, size)
        except ogg.DamagedPageError as error:
            raise ReadError(f"{path}: damaged: {error}; copy or download it again") from error
    if expected is not None and expected > size:
        raise ReadError(
            f"{path}: the file is cut off: its structure promises {expected} bytes, it has {size}; "
            "copy or download it again"
        )


def _expected_size(file: BinaryIO, head: bytes, size: int) -> int | None:
    for begins, rule in RULES:
        if begins(head):
            return rule(file, head, size)
    return None


def _iso_boxes(file: BinaryIO, head: bytes, size: int) -> int | None:
    """MP4, MOV, M4A, AVIF, JP2: top-level boxes, each with its length."""
    offset = 0
    while offset + 8 <= size:
        file.seek(offset)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # up to the end of the file
            return None
        if length < 8:  # no box: trailing rubbish, which players pass over
            return None
        if offset + length > size and not header[4:8].isalnum():
            return None
        offset += length
    return offset if offset > size else None


def _riff(file: BinaryIO, head: bytes, size: int) -> int | None:
    """WAV, AVI, WebP."""
    if head[8:12] == b"WAVE":  # the `data` chunk decides: chunks after it carry no sound
        data = wave_data(file, size)
        return None if data is None or is_untold(data[1]) else sum(data)
    length = int.from_bytes(head[4:8], "little")
    return None if is_untold(length) else 8 + length


def wave_data(file: BinaryIO, size: int) -> tuple[int, int] | None:
    """Where the samples of a WAV file begin and how many bytes it states; None where it holds none."""
    offset, long_data = 12, None
    while offset + 8 <= size:
        file.seek(offset)
        header = file.read(24)
        name, length = header[:4], int.from_bytes(header[4:8], "little")
        if name == b"ds64":
            long_data = int.from_bytes(header[16:24], "little")
        if name == b"data":
            stated = long_data if length == 0xFFFFFFFF and long_data is not None else length
            return offset + 8, stated
        offset += 8 + length + length % 2
    return None


def _caf(file: BinaryIO, head: bytes, size: int) -> int | None:
    """The `data` chunk; its length may be -1, up to the end."""
    offset = 8
    while offset + 12 <= size:
        file.seek(offset)
        header = file.read(12)
        length = int.from_bytes(header[4:], "big", signed=True)
        if length < 0:
            return None
        offset += 12 + length
        if header[:4] == b"data":
            return offset
    return None


def _au(file: BinaryIO, head: bytes, size: int) -> int | None:
    length = int.from_bytes(head[8:12], "big")
    return None if is_untold(length) else int.from_bytes(head[4:8], "big") + length


def _voc(file: BinaryIO, head: bytes, size: int) -> int | None:
    """A block of sound with its length, and those that go on with it.

    SoX states its length too small: what comes then is no block.
    """
    offset, kinds = int.from_bytes(head[20:22], "little"), VOC_AUDIO
    while offset + 4 <= size:
        file.seek(offset)
        block = file.read(4)
        if block[0] not in kinds:
            return None
        offset += 4 + int.from_bytes(block[1:], "little")
        kinds = VOC_MORE
    return offset if offset > size else None


def has_several_blocks(path: Path) -> bool:
    """Whether a VOC holds more than one block of sound; libsndfile takes their headers for samples."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        offset, count = int.from_bytes(file.read(22)[20:22], "little"), 0
        while offset + 4 <= size:
            file.seek(offset)
            block = file.read(4)
            count += block[0] in VOC_AUDIO | VOC_MORE | VOC_SILENCE
            offset += 4 + int.from_bytes(block[1:], "little")
            if offset < size and not block[0]:
                return False
        return count > 1 and offset >= size - 1


def _wave64(file: BinaryIO, head: bytes, size: int) -> int | None:
    length = int.from_bytes(head[16:24], "little")
    return None if length in UNKNOWN_64 else length


def _aiff(file: BinaryIO, head: bytes, size: int) -> int | None:
    length = int.from_bytes(head[4:8], "big")
    return None if is_untold(length) else 8 + length


def _ebml(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Matroska and WebM: the length of the one Segment; all ones mean a live recording."""
    header_length, offset = ebml_length(head, 4)
    if header_length is None:
        return None
    offset += header_length
    while offset + 12 <= min(size, len(head)) and head[offset : offset + 4] != SEGMENT:
        if head[offset] != 0xEC:  # only a Void element may stand between
            return None
        void, after = ebml_length(head, offset + 1)
        if void is None:
            return None
        offset = after + void
    length, offset = ebml_length(head, offset + 4)
    return None if length is None else offset + length


def ebml_length(data: bytes, offset: int) -> tuple[int | None, int]:
    """The variable-length number at `offset` (None: unknown) and the offset after it."""
    if offset >= len(data) or data[offset] == 0:
        return None, offset
    width = 9 - data[offset].bit_length()
    value = int.from_bytes(data[offset : offset + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), offset + width


def _png(file: BinaryIO, head: bytes, size: int) -> int | None:
    offset = 8
    while offset + 12 <= size:
        file.seek(offset)
        header = file.read(8)
        offset += 12 + int.from_bytes(header[:4], "big")
        if header[4:] == b"IEND":
            return offset
    return max(offset, size + 12)  # no IEND yet: at least that chunk is missing


def _gif(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Blocks up to the trailer 0x3B; a cut file ends within one."""
    file.seek(13 + _color_table(head[10]) if len(head) > 10 else 0)
    while (kind := file.read(1)) != b"\x3b":
        if kind == b"\x2c":  # an image: place, size, perhaps a colour table, then its data
            descriptor = file.read(9)
            file.seek(_color_table(descriptor[8]) + 1 if len(descriptor) == 9 else 0, os.SEEK_CUR)
        elif kind == b"\x21":
            file.seek(1, os.SEEK_CUR)
        else:  # the end of the file, or no block
            return None if kind and kind != b"\0" else size + 1
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], os.SEEK_CUR)
        if file.tell() > size:
            return file.tell()
    return None


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _starts(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


RULES: tuple[tuple[Callable[[bytes], bool], Rule], ...] = (
    (lambda head: head[4:8] in ISO_TOP_LEVEL, _iso_boxes),
    (_starts(b"RIFF", b"RF64"), _riff),
    (_starts(b"FORM"), _aiff),
    (_starts(b"caff"), _caf),
    (_starts(b".snd"), _au),
    (_starts(b"Creative Voice File"), _voc),
    (_starts(b"riff"), _wave64),
    (_starts(EBML), _ebml),
    (_starts(b"\x89PNG\r\n\x1a\n"), _png),
    (_starts(b"GIF87a", b"GIF89a"), _gif),
    (_starts(b"OggS"), ogg.check_pages),
    (_starts(b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2"), mpeg.check_mp3),
    (_starts(video_files.FLV), video_files.check_flv),
    (_starts(video_files.ASF), video_files.check_asf),
    (_starts(video_files.MXF), video_files.check_mxf),
    (_starts(video_files.Y4M), video_files.check_y4m),
    (_starts(mpeg.PACK), mpeg.check_program_stream),
    (_starts(mpeg.AC3_SYNC), mpeg.check_ac3),
    *(
        (partial(mpeg.is_transport_stream, packet), partial(mpeg.check_transport_stream, packet))
        for packet in mpeg.TS_PACKETS
    ),
)
