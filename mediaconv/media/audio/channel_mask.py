"""The speakers that the header of a WAV, W64 or FLAC file states: a bit each, as in WAV. Decodes nothing."""

from __future__ import annotations

import re
import struct

from mediaconv.media.audio.speakers import speakers_of_mask
from mediaconv.media.audio.wav_decoder import EXTENSIBLE, read_format

W64_FORMAT = b"fmt \xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
W64_MASK_AT = 16 + 8 + 20
"""Bytes from the identifier of the `fmt ` chunk to the mask in it."""
FLAC_MASK = re.compile(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9a-f]{1,8})", re.IGNORECASE)


def stated_speakers(head: bytes, channels: int) -> tuple[str, ...]:
    """Of the first bytes of a file; empty where they name another number of speakers than `channels`."""
    return speakers_of_mask(_mask(head), channels)


def _mask(head: bytes) -> int:
    if head[:4] in (b"fLaC", b"OggS"):
        stated = FLAC_MASK.search(head)
        return int(stated[1], 16) if stated else 0
    if head[:4] == b"riff":
        at = head.find(W64_FORMAT)
        if not 0 <= at <= len(head) - W64_MASK_AT - 4:
            return 0
        tag = struct.unpack_from("<H", head, at + 24)[0]
        return int(struct.unpack_from("<I", head, at + W64_MASK_AT)[0]) if tag == EXTENSIBLE else 0
    format = read_format(head)
    return 0 if format is None else format.mask
