"""A scene as pixels. The same scene gives the same bytes: one font, no hinting, no system settings."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from mediaconv.draw.scene.palette import LIGHT, rgb
from mediaconv.draw.scene.scene import Line, Point, Polygon, Scene, Text, font

_OVER = 2
"""Drawn this many times larger and averaged, which smooths every edge."""
_DASH = (5.0, 3.5)


def png(pixels: np.ndarray) -> bytes:
    """Pixels, (H, W, 3) uint8, as a PNG file."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def rasterize(scene: Scene, *, scale: float = 1.0, colours: Mapping[str, str] = LIGHT) -> np.ndarray:
    """Shape: (H, W, 3) uint8, red first; `scale` pixels to one of the scene's, both sides even."""
    width, height = (2 * math.ceil(side * scale / 2 - 1e-6) for side in (scene.width, scene.height))
    image = Image.new("RGB", (width * _OVER, height * _OVER), rgb(colours["paper"]))
    draw = ImageDraw.Draw(image)
    zoom = scale * _OVER
    for shape in scene.shapes:
        if isinstance(shape, Text):
            _text(draw, shape, zoom, colours)
        elif isinstance(shape, Line):
            _line(draw, shape, _scaled(shape.points, zoom), rgb(colours[shape.ink]), zoom)
        else:
            _polygon(draw, shape, zoom, colours)
    return np.asarray(image.reduce(_OVER))


def _scaled(points: Sequence[Point], zoom: float) -> list[Point]:
    return [(x * zoom, y * zoom) for x, y in points]


def _polygon(draw: ImageDraw.ImageDraw, shape: Polygon, zoom: float, colours: Mapping[str, str]) -> None:
    points = _scaled(shape.points, zoom)
    if shape.fill is not None:
        draw.polygon(points, fill=rgb(colours[shape.fill]))
    if shape.edge is not None:
        closed = [*points, points[0], points[1]]
        _line(draw, shape, closed, rgb(colours[shape.edge]), zoom)


def _line(
    draw: ImageDraw.ImageDraw,
    shape: Line | Polygon,
    points: Sequence[Point],
    ink: tuple[int, int, int],
    zoom: float,
) -> None:
    thick = max(1, round(shape.width * zoom))
    if not shape.dashed:
        draw.line(list(points), fill=ink, width=thick, joint="curve")
        return
    on, off = (n * zoom for n in _DASH)
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        start = 0.0
        while start < length:
            a, b = start / length, min(start + on, length) / length
            ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (a, b)]
            draw.line(ends, fill=ink, width=thick)
            start += on + off


def _text(draw: ImageDraw.ImageDraw, text: Text, zoom: float, colours: Mapping[str, str]) -> None:
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[text.anchor]
    # The middle of a line of figures and capitals lies 0.365 of the size above its baseline.
    at = (text.x * zoom, (text.y + 0.365 * text.size) * zoom)
    draw.text(
        at, text.text, fill=rgb(colours[text.ink]), font=font(text.size * zoom, text.bold), anchor=anchor
    )
