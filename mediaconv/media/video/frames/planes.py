"""A decoded or to be encoded frame's planes as numpy arrays, without copying. Converts nothing."""

from __future__ import annotations

from typing import Any

import av
import numpy as np


def plane(frame: av.VideoFrame, index: int, dtype: type, channels: int) -> np.ndarray:
    """A plane's samples without line padding, shape (rows, columns, channels), a view to read or write."""
    part: Any = frame.planes[index]
    row = np.frombuffer(part, np.uint8).reshape(part.height, -1)
    if part.line_size < 0:  # stored bottom row first
        row = row[::-1]
    samples: np.ndarray = row[:, : part.width * channels * np.dtype(dtype).itemsize].view(dtype)
    return samples.reshape(part.height, part.width, channels)


def stored_bits(frame: av.VideoFrame) -> int:
    """Bits of the frame's deepest component; 16 for float formats, 8 for palettes."""
    name = frame.format.name
    if "f32" in name or "f16" in name:
        return 16
    if name == "pal8":
        return 8
    return max(c.bits for c in frame.format.components)


def has_alpha(frame: av.VideoFrame) -> bool:
    """The frame states how opaque its pixels are."""
    return frame.format.name == "pal8" or any(c.is_alpha for c in frame.format.components)
