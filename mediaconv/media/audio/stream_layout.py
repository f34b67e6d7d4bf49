"""The speakers of a decoder's channels as FFmpeg tells them through PyAV, also in an order of their own."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import av

from mediaconv.media.audio.speakers import WAV_ORDER, are_speakers

UNTOLD = "NONE"
COUNTING = frozenset({"flac"})
"""Decoders that tell speakers by the number of channels alone."""
ORDERED_SINCE = 61
"""Major version of libavformat, of FFmpeg 7: before, it named the order of 6.1 and 7.1 as another than it
wrote, which was its own, that is WAV's."""


def prepare_layout(container: Any, stream: Any, head: bytes) -> list[str]:
    """The speakers of a stream as its container tells them. Call it before decoding.

    head: the file's first bytes. MOV, CAF and AIFF may state an order that is not FFmpeg's own. PyAV 18
    shares the list of such an order between the stream, each frame and the Python object, and each of them
    frees it: so this object is never freed, and the decoder gets an untold order, which has no list.
    """
    layout = stream.codec_context.layout
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    names = [channel.name for channel in layout.channels]
    if "(" not in layout.name:  # FFmpeg lists the speakers of an order that has no name
        return names
    stream.codec_context.layout = f"{len(names)}C"
    if are_speakers(names) and _is_of_an_old_ffmpeg(head, container):
        return sorted(names, key=WAV_ORDER.index)
    return names


def frame_speakers(frame: av.AudioFrame, stream: Any, stated: list[str]) -> list[str]:
    """Of a decoded frame: its own, or those stated where the decoder knows none or, of FLAC, but a number."""
    names = [channel.name for channel in frame.layout.channels]
    guessed = set(names) == {UNTOLD} or stream.codec_context.name in COUNTING
    return stated if guessed and len(stated) == len(names) and UNTOLD not in stated else names


def _is_of_an_old_ffmpeg(head: bytes, container: Any) -> bool:
    """By its mark; in AIFF by its chunk of speakers, which others write after the first chunk."""
    mark = re.match(r"Lavf(\d+)\.", container.metadata.get("encoder", ""))
    return int(mark[1]) < ORDERED_SINCE if mark else head[:4] == b"FORM" and head[12:16] == b"CHAN"
