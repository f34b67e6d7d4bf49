"""A picture as a list of shapes, in pixels, colours by role. How it becomes pixels or SVG is elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Point = tuple[float, float]


@dataclass(frozen=True)
class Polygon:
    """A closed area. fill, edge: colour roles, None for none. width: of the edge, in pixels."""

    points: tuple[Point, ...]
    fill: str | None = None
    edge: str | None = None
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """An open line through points."""

    points: tuple[Point, ...]
    ink: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Text:
    """One line of text; (x, y) is its middle line at its start, middle or end, by `anchor`."""

    x: float
    y: float
    text: str
    size: float
    ink: str = "ink"
    anchor: str = "middle"
    bold: bool = False


Shape = Polygon | Line | Text


@dataclass
class Scene:
    """Shapes in drawing order on a sheet of `width` by `height` pixels."""

    width: float = 0.0
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)

    def box(self, x: float, y: float, w: float, h: float, **style: object) -> None:
        corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
        self.shapes.append(Polygon(corners, **style))  # type: ignore[arg-type]

    def polygon(self, points: Sequence[Point], **style: object) -> None:
        self.shapes.append(Polygon(tuple(points), **style))  # type: ignore[arg-type]

    def line(self, *points: Point, **style: object) -> None:
        self.shapes.append(Line(tuple(points), **style))  # type: ignore[arg-type]

    def text(self, x: float, y: float, text: str, size: float, **style: object) -> None:
        self.shapes.append(Text(x, y, text, size, **style))  # type: ignore[arg-type]

    def add(self, other: Scene, x: float, y: float) -> None:
        """Draw another scene with its corner at (x, y)."""
        self.shapes.extend(moved(shape, x, y) for shape in other.shapes)

    def texts(self) -> list[Text]:
        return [shape for shape in self.shapes if isinstance(shape, Text)]


def moved(shape: Shape, x: float, y: float) -> Shape:
    """The shape, shifted."""
    if isinstance(shape, Text):
        return replace(shape, x=shape.x + x, y=shape.y + y)
    return replace(shape, points=tuple((a + x, b + y) for a, b in shape.points))


@lru_cache(maxsize=64)
def font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font that pictures are drawn and measured in: DejaVu Sans, as matplotlib carries it."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line of text in pixels."""
    return font(100.0, bold).getlength(text) * size / 100.0


def wrapped(text: str, size: float, width: float, *, bold: bool = False) -> list[str]:
    """The text in lines no wider than `width` pixels, broken at spaces."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def shortened(text: str, size: float, width: float) -> str:
    """The text, its end left out where it is wider than `width` pixels."""
    if text_width(text, size) <= width:
        return text
    kept = next((n for n in range(len(text), 0, -1) if text_width(text[:n] + "…", size) <= width), 0)
    return text[:kept] + "…"


def number(value: float) -> str:
    """A value as a cell shows it: whole numbers whole, others to two digits or so.

    >>> [number(v) for v in (3.0, -2.0, 0.1234, -12.34, 123.4, 1e6, -0.0123, 0.00012)]
    ['3', '−2', '0.12', '−12.3', '123', '1e6', '−0.012', '1e−4']
    """
    size = abs(value)
    if not math.isfinite(value):
        return str(value).replace("-", "−")
    if size >= 1e5 or 0 < size < 0.0005:
        text = f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    elif value == int(value):
        text = str(int(value))
    else:
        digits = 3 if size < 0.0995 else 2 if size < 9.995 else 1 if size < 99.95 else 0
        text = f"{value:.{digits}f}"
    return text.replace("-", "−")
