"""Many gray channels as tiles of one picture, each under its label. Scales nothing and knows no files."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

LABEL_HEIGHT = 16
GAP = 2
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.4
BASELINE = 12
EVEN = 2  # video codecs want even sizes


def tile(frames: np.ndarray, *, labels: Sequence[str] | None = None) -> np.ndarray:
    """Tile once: shape (C, n, H, W), uint8 or uint16, to (n, H', W') of the same type; see `Grid`."""
    channels, _, height, width = frames.shape
    bits = 8 * frames.itemsize
    return Grid(channels=channels, height=height, width=width, bits=bits, labels=labels).tile(frames)


class Grid:
    """Tiles `channels` pictures of height x width in rows, as near to a square of tiles as can be.

    labels: one a channel; None: "channel 0", "channel 1", ... A label too wide for its tile is cut.
    bits: of a sample; labels are white, gaps black. The tiles' own samples are never changed.
    """

    def __init__(
        self, *, channels: int, height: int, width: int, bits: int = 8, labels: Sequence[str] | None = None
    ) -> None:
        self.columns = math.ceil(math.sqrt(channels))
        self.rows = math.ceil(channels / self.columns)
        self._tile = (height, width)
        self._step = (LABEL_HEIGHT + height + GAP, width + GAP)
        self.height = _even(self.rows * self._step[0] - GAP)
        self.width = _even(self.columns * self._step[1] - GAP)
        self._dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)
        self._channels = channels
        names = labels or [f"channel {k}" for k in range(channels)]
        self._background = self._with_labels(names, (1 << bits) - 1)

    def tile(self, frames: np.ndarray) -> np.ndarray:
        """Shape: (C, n, H, W), uint8 or uint16, to (n, `height`, `width`) of the same type."""
        out = np.repeat(self._background[None], frames.shape[1], axis=0)
        for channel in range(self._channels):
            top, left = self.corner(channel)
            out[:, top : top + self._tile[0], left : left + self._tile[1]] = frames[channel]
        return out

    def corner(self, channel: int) -> tuple[int, int]:
        """Row and column of a channel's first pixel."""
        row, column = divmod(channel, self.columns)
        return row * self._step[0] + LABEL_HEIGHT, column * self._step[1]

    def _with_labels(self, names: Sequence[str], white: int) -> np.ndarray:
        image = np.zeros((self.height, self.width), self._dtype)
        for channel, name in enumerate(names):
            top, left = self.corner(channel)
            strip = np.zeros((LABEL_HEIGHT, self._tile[1]), np.uint8)
            cv2.putText(strip, name, (1, BASELINE), FONT, FONT_SCALE, 255, 1, cv2.LINE_AA)
            shade = np.rint(strip / 255.0 * white).astype(self._dtype)
            image[top - LABEL_HEIGHT : top, left : left + self._tile[1]] = shade
        return image


def _even(size: int) -> int:
    return -(-size // EVEN) * EVEN
