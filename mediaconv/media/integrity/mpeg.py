"""Where MPEG and AC-3 streams say how long they are, for `completeness`. Nothing is decoded."""

from __future__ import annotations

from typing import BinaryIO

TS_SYNC = b"\x47"
TS_PACKETS = (188, 192)
"""Bytes of a packet; 192 with a time before each, as cameras and Blu-ray write."""
XING_HAS_FRAMES, XING_HAS_BYTES = 1, 2
PACK, PREFIX, END_CODE = b"\0\0\1\xba", b"\0\0\1", 0xB9
PS_TAIL_BYTES = 1 << 17  # holds the last packet and the pack before it
AC3_SYNC = b"\x0b\x77"
AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
AC3_HEADER_BYTES = 6
MP3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MP3_HALF_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MP3_HZ = (44100, 48000, 32000)


def check_transport_stream(packet: int, file: BinaryIO, head: bytes, size: int) -> int | None:
    """MPEG-TS: packets of one size; only the last can be seen to be cut."""
    start = size - size % packet
    file.seek(start + packet - 188)
    return start + packet if file.read(1) == TS_SYNC else None


def is_transport_stream(packet: int, head: bytes) -> bool:
    """Whether a file begins with packets of this size."""
    first = packet - 188
    return len(head) > 3 * packet and all(head[first + k * packet] == TS_SYNC[0] for k in range(3))


def check_mp3(file: BinaryIO, head: bytes, size: int) -> int | None:
    """The count of bytes that encoders leave in the first frame, after the tags.

    It is believed where the file ends within a frame: programs that cut between frames leave it as it was.
    """
    start = id3_bytes(head) or 0
    file.seek(start)
    frame = file.read(256)
    mark = max(frame.find(b"Xing"), frame.find(b"Info"))
    if mark < 0 or len(frame) < mark + 16 or frame[:1] != b"\xff":
        return None
    flags = frame[mark + 7]
    if not flags & XING_HAS_BYTES:
        return None
    field = mark + (12 if flags & XING_HAS_FRAMES else 8)
    stated = start + int.from_bytes(frame[field : field + 4], "big")
    return stated if stated > size and _mp3_ends_within_a_frame(file, start, size) else None


def id3_bytes(head: bytes) -> int | None:
    """The length of a tag before the frames; None where none begins there."""
    if not head.startswith(b"ID3") or len(head) < 10:
        return None
    footer = 10 if head[3] == 4 and head[5] & 0x10 else 0
    return 10 + footer + sum((byte & 0x7F) << 7 * (3 - field) for field, byte in enumerate(head[6:10]))


def _mp3_ends_within_a_frame(file: BinaryIO, offset: int, size: int) -> bool:
    while offset < size:
        file.seek(offset)
        header = file.read(4)
        length = mp3_frame_bytes(header)
        if length is None:  # a tag of the end, or no frame
            return not header.startswith((b"TAG", b"APET", b"LYRI"))
        offset += length
    return offset > size


def mp3_frame_bytes(header: bytes) -> int | None:
    """Of a frame of Layer III; None: no header of one, or of free format, which states no length."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, code, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or code in (0, 15) or rate == 3:
        return None
    kbps = (MP3_KBPS if version == 3 else MP3_HALF_KBPS)[code - 1]
    hz = MP3_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if version == 3 else 72) * kbps * 1000 // hz + (header[2] >> 1 & 1)


def is_mpeg_audio(header: bytes) -> bool:
    """Whether four bytes are the header of a frame of any layer."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    return version != 1 and layer != 0 and header[2] >> 4 != 15 and header[2] >> 2 & 3 != 3


def check_program_stream(file: BinaryIO, head: bytes, size: int) -> int | None:
    """MPEG-PS (MPG, VOB): packets with their lengths; only the last can be seen to be cut."""
    start = max(0, size - PS_TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    offset = tail.find(PACK)
    while 0 <= offset < len(tail):
        packet = tail[offset : offset + 14]
        if not packet.startswith(PREFIX[: len(packet)]) or (len(packet) > 3 and packet[3] == END_CODE):
            return None
        if packet.startswith(PACK):
            mpeg2 = len(packet) < 14 or packet[4] >> 6 == 1
            offset += 14 + (packet[-1] & 7) if mpeg2 else 12
        else:
            offset += 6 + int.from_bytes(packet[4:6], "big")
    return start + offset if offset > len(tail) else None


def check_ac3(file: BinaryIO, head: bytes, size: int) -> int | None:
    """AC-3 and E-AC-3: frames, each with its size in its header."""
    offset = 0
    file.seek(0)
    while offset < size:
        header = file.read(AC3_HEADER_BYTES)
        if not header.startswith(AC3_SYNC[: len(header)]):
            return None
        if len(header) < AC3_HEADER_BYTES:
            return offset + AC3_HEADER_BYTES
        length = _ac3_frame_bytes(header)
        if length is None:
            return None
        file.seek(length - AC3_HEADER_BYTES, 1)
        offset += length
    return offset


def _ac3_frame_bytes(header: bytes) -> int | None:
    if header[5] >> 3 > 10:  # E-AC-3
        return 2 * ((header[2] & 7) << 8 | header[3]) + 2
    rate, code = header[4] >> 6, header[4] & 63
    if rate == 3 or code // 2 >= len(AC3_KBPS):
        return None
    bits = AC3_KBPS[code // 2] * 1000 * 1536  # of a frame's 1536 samples, times the rate
    if rate == 1:
        return 2 * (bits // (44100 * 16) + code % 2)
    return bits // ((48000 if rate == 0 else 32000) * 8)
