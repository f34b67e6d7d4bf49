"""Turning and mirroring: EXIF orientations and film display matrices, as one small value.

Applied to arrays with rows and columns as the axes before the last. Nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Orientation:
    """How stored rows and columns become shown ones: transpose first, then mirror.

    transpose: rows become columns. flip_rows: top and bottom change places; flip_columns: left and right.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def is_identity(self) -> bool:
        """Nothing to do."""
        return not (self.transpose or self.flip_rows or self.flip_columns)

    @property
    def clockwise_degrees(self) -> int:
        """Rotation part in degrees; a mirror image counts as its rotation after a left-right flip."""
        mirrored = self.transpose ^ self.flip_rows ^ self.flip_columns
        columns = self.flip_columns ^ mirrored
        if not self.transpose:
            return 180 if self.flip_rows else 0
        return 90 if columns else 270

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Shape: (H, W, C) to (H, W, C) or (W, H, C); a view.

        >>> Orientation(transpose=True, flip_columns=True).apply(np.array([[[1], [2]]]))[..., 0]
        array([[1],
               [2]])
        """
        if self.transpose:
            image = image.swapaxes(0, 1)
        if self.flip_rows:
            image = image[::-1]
        if self.flip_columns:
            image = image[:, ::-1]
        return image

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height shown, of a stored width and height; its own inverse."""
        return (height, width) if self.transpose else (width, height)


EXIF: dict[int, Orientation] = {
    1: Orientation(),
    2: Orientation(flip_columns=True),
    3: Orientation(flip_rows=True, flip_columns=True),
    4: Orientation(flip_rows=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_columns=True),
    7: Orientation(transpose=True, flip_rows=True, flip_columns=True),
    8: Orientation(transpose=True, flip_rows=True),
}


def from_exif(tag: object) -> Orientation:
    """Of the EXIF tag 274; what is no number from 1 to 8 means upright."""
    return EXIF.get(tag, Orientation()) if isinstance(tag, int) else Orientation()


def from_display_matrix(matrix: Sequence[int]) -> Orientation:
    """Of a film's 3x3 display matrix (row-major, 16.16 fixed point), to the nearest quarter turn.

    A point (x, y) is shown at (a*x + c*y, b*x + d*y) with a, b, c, d = matrix[0], [1], [3], [4].
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_rows=d < 0, flip_columns=a < 0)
    return Orientation(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
