"""Figures of an inspection: pictures in rows and columns with their labels, and curves one below the other.

Blue is below zero, orange above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mediaconv.draw.scene.palette import LIGHT, rgb
from mediaconv.draw.scene.scene import text_width

GAP = 8
DPI = 100
LABEL, TITLE = 9.0, 10.5
"""Sizes of text in points."""


def text_pixels(text: str, points: float, *, bold: bool = False) -> float:
    """Width of a line of text in pixels, with room for the hinting of small letters."""
    return 1.04 * text_width(text, points * DPI / 72, bold)


def colours(values: np.ndarray, most: float) -> np.ndarray:
    """Signed values to colours, (H, W, 3) uint8: paper at 0, blue below, orange above, gray for nan."""
    t = np.nan_to_num(values / most if most else values * 0.0).clip(-1, 1)[..., None]
    paper, below, above = (np.array(rgb(LIGHT[k]), np.float64) for k in ("paper", "now", "leak"))
    out = np.where(t < 0, paper + (below - paper) * -t, paper + (above - paper) * t)
    out[np.isnan(values)] = rgb(LIGHT["masked"])
    return np.rint(out).astype(np.uint8)


def enlarged(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    grows = height >= picture.shape[0]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST if grows else cv2.INTER_AREA)


def mosaic(
    cells: Sequence[Sequence[np.ndarray | None]], rows: Sequence[str], columns: Sequence[str], title: str
) -> Any:
    """A figure of pictures (h, w, 3) in rows and columns with their labels.

    Without rows' labels, `columns` are the pictures' own, in reading order.
    """
    from matplotlib.figure import Figure

    each = not rows
    across = max(map(len, cells))

    shapes = [c.shape[:2] for row in cells for c in row if c is not None]
    high, wide = max(s[0] for s in shapes), max(s[1] for s in shapes)
    left, top = math.ceil(max((text_pixels(row, LABEL) for row in rows), default=0)) + 18, 58
    down = high + GAP + (26 if each else 0)
    width = left + across * (wide + GAP) + 8
    width, height = (
        max(width, math.ceil(text_pixels(title, TITLE, bold=True)) + 20, 260),
        top + len(cells) * down + 6,
    )
    sheet = np.full((height, width, 3), 255, np.uint8)
    for r, row in enumerate(cells):
        for c, cell in enumerate(row):
            if cell is None:
                continue
            y, x = top + r * down, left + c * (wide + GAP)
            h, w = cell.shape[:2]
            sheet[y - 1 : y + h + 1, x - 1 : x + w + 1] = rgb(LIGHT["line"])
            sheet[y : y + h, x : x + w] = cell
    figure = Figure(figsize=(width / DPI, height / DPI))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(sheet, interpolation="nearest", aspect="auto", extent=(0, width, height, 0))
    axes.axis("off")
    style: dict[str, Any] = {"color": LIGHT["ink"], "fontsize": LABEL, "va": "center"}
    axes.text(8, 16, title, fontweight="bold", **{**style, "fontsize": TITLE})
    for n, text in enumerate(columns):
        r, c = divmod(n, across) if each else (0, n)
        axes.text(left + c * (wide + GAP) + wide / 2, top + r * down - 13, text, ha="center", **style)
    for r, text in enumerate(rows):
        axes.text(left - 8, top + r * down + high / 2, text, ha="right", **style)
    return figure


def curves(rows: Sequence[tuple[str, np.ndarray]], title: str, together: bool = False) -> Any:
    """A figure of curves one below the other; (2, n) lowest and highest values each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.6 + 0.62 * len(rows)))
    axes = figure.add_axes((0.13, 0.03, 0.85, 1 - 0.42 / (0.6 + 0.62 * len(rows)) - 0.03))
    most = max((float(np.nanmax(np.abs(c), initial=0)) for _, c in rows), default=0.0)
    for i, (_, curve) in enumerate(rows):
        size = most if together else float(np.nanmax(np.abs(curve), initial=0))
        low, high = curve / (2.1 * size or 1) - i
        x = (np.arange(curve.shape[1]) + 0.5) / curve.shape[1]
        axes.fill_between(x, low, high, color=LIGHT["now"], linewidth=0.8)
        axes.axhline(-i, color=LIGHT["line"], linewidth=0.6, zorder=0)
    axes.set_yticks([-i for i in range(len(rows))], [label for label, _ in rows], fontsize=LABEL)
    axes.set_xticks([])
    axes.set_xlim(0, 1)
    axes.set_ylim(-len(rows) + 0.45, 0.55)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.text(
        0.02, 1 - 0.22 / (0.6 + 0.62 * len(rows)), title, fontweight="bold", fontsize=TITLE, va="center"
    )
    return figure


def fitted(picture: np.ndarray, longest: int) -> np.ndarray:
    factor = longest / max(picture.shape[:2])
    return enlarged(picture, *(max(1, round(n * factor)) for n in picture.shape[:2]))
