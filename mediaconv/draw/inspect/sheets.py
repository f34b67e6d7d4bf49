"""Maps as small gray pictures, many on one sheet: 8 bit a value, with each channel's range beside it.

Gray 0 is a value that is no number; gray 1 to 255 run evenly from the channel's lowest to its highest value.
Larger pictures are shrunk by averaging; curves longer than a sheet is wide keep the lowest and highest value
of every stretch. Colours are the reader's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

MAX_COLUMNS = 4096
"""Columns of a curve."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Tiles of one size: columns * rows of them, in reading order, `gray` uint8 (rows * h, columns * w).

    Pictures: a row a channel, a column a step. Curves: two rows a channel, lowest and highest.
    """

    gray: np.ndarray
    height: int
    width: int
    rows: int
    columns: int

    def png(self) -> bytes:
        """The sheet as a PNG file."""
        return cv2.imencode(".png", self.gray, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()

    def tile(self, row: int, column: int) -> np.ndarray:
        """One tile, uint8 (h, w)."""
        y, x = row * self.height, column * self.width
        return self.gray[y : y + self.height, x : x + self.width]


def to_gray(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values of a range to gray 1 ... 255, what is no number to 0. Of one value only: gray 1.

    >>> to_gray(np.array([-1.0, 0.0, 1.0, np.nan]), -1.0, 1.0)
    array([  1, 128, 255,   0], dtype=uint8)
    """
    span = high - low
    with np.errstate(invalid="ignore"):
        scaled = (values.astype(np.float64) - low) * (254 / span if span > 0 else 0)
        gray = np.clip(np.rint(scaled), 0, 254) + 1
    return np.where(np.isfinite(values), gray, 0).astype(np.uint8)


def from_gray(gray: np.ndarray, low: float, high: float) -> np.ndarray:
    """The values that grays stand for, to half a step: (high - low) / 508; nan for 0."""
    values = low + (gray.astype(np.float64) - 1) * ((high - low) / 254)
    return np.where(gray == 0, np.nan, values)


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture (H, W) no longer than `side`, by the mean of what falls on a pixel."""
    h, w = picture.shape
    most = max(h, w)
    if most <= side:
        return picture
    size = max(1, round(w * side / most)), max(1, round(h * side / most))
    return cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def picture_sheet(
    maps: Sequence[Sequence[np.ndarray]], ranges: Sequence[tuple[float, float]], *, side: int
) -> Sheet:
    """A sheet of pictures: maps[channel][step] (H, W) float, all of one size; ranges: one a channel."""
    rows = [
        np.hstack([to_gray(shrink(picture, side), low, high) for picture in pictures])
        for pictures, (low, high) in zip(maps, ranges, strict=True)
    ]
    gray = np.vstack(rows)
    columns = len(maps[0])
    return Sheet(gray, gray.shape[0] // len(rows), gray.shape[1] // columns, len(rows), columns)


def envelope(curve: np.ndarray, columns: int = MAX_COLUMNS) -> np.ndarray:
    """Lowest and highest value of `columns` even stretches of a curve, (2, n); the curve twice if shorter.

    >>> envelope(np.array([0.0, 3.0, -1.0, 1.0]), 2)
    array([[ 0., -1.],
           [ 3.,  1.]])
    """
    if len(curve) <= columns:
        return np.stack([curve, curve])
    starts = np.arange(columns) * len(curve) // columns
    return np.stack([np.minimum.reduceat(curve, starts), np.maximum.reduceat(curve, starts)])


def curve_sheet(curves: Sequence[np.ndarray], ranges: Sequence[tuple[float, float]]) -> Sheet:
    """A sheet of curves: curves[channel] (T,) float; ranges: one a channel."""
    rows = [to_gray(envelope(c), low, high) for c, (low, high) in zip(curves, ranges, strict=True)]
    gray = np.vstack(rows)
    return Sheet(gray, 1, gray.shape[1], gray.shape[0], 1)
