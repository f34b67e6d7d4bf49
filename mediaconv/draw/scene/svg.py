"""Scenes as SVG: one picture, or a filmstrip of several frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from mediaconv.draw.scene.palette import LIGHT
from mediaconv.draw.scene.scene import Line, Point, Scene, Shape, Text, text_width

FAMILY = "DejaVu Sans, Verdana, Geneva, sans-serif"


def svg(scenes: Sequence[Scene], *, label: str = "", colours: Mapping[str, str] = LIGHT) -> str:
    """The scenes, all of one size, in rows as a filmstrip; frame n is the group `frame-n`."""
    width, height = scenes[0].width, scenes[0].height
    columns = 1 if len(scenes) == 1 else (3 if width < 1.3 * height else 2)
    columns = min(columns, len(scenes))
    rows = math.ceil(len(scenes) / columns)
    total = f"{_n(columns * width)} {_n(rows * height)}"
    sides = total.split(" ")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total}" '
        f'width="{sides[0]}" height="{sides[1]}" font-family="{FAMILY}" role="img">',
        f"<title>{escape(label)}</title>",
        f'<rect width="100%" height="100%" fill="{colours["paper"]}"/>',
    ]
    for n, scene in enumerate(scenes):
        at = f"translate({_n(n % columns * width)} {_n(n // columns * height)})"
        body = "".join(element(shape, colours) for shape in scene.shapes)
        parts.append(f'<g id="frame-{n}" transform="{at}">{body}</g>')
        if len(scenes) > 1:
            parts.append(
                f'<rect x="{_n(n % columns * width)}" y="{_n(n // columns * height)}" width="{_n(width)}" '
                f'height="{_n(height)}" fill="none" stroke="{colours["line"]}"/>'
            )
    return "\n".join([*parts, "</svg>\n"])


def element(shape: Shape, colours: Mapping[str, str]) -> str:
    """One shape as an SVG element."""
    if isinstance(shape, Text):
        return _text(shape, colours)
    dash = ' stroke-dasharray="5 3.5"' if shape.dashed else ""
    if isinstance(shape, Line):
        return (
            f'<polyline points="{_points(shape.points)}" fill="none" stroke="{colours[shape.ink]}" '
            f'stroke-width="{_n(shape.width)}"{dash}/>'
        )
    fill = "none" if shape.fill is None else colours[shape.fill]
    edge = ""
    if shape.edge is not None:
        edge = f' stroke="{colours[shape.edge]}" stroke-width="{_n(shape.width)}"{dash}'
    return f'<polygon points="{_points(shape.points)}" fill="{fill}"{edge}/>'


def _text(text: Text, colours: Mapping[str, str]) -> str:
    weight = ' font-weight="bold"' if text.bold else ""
    # Another font than ours may be wider: long lines are held to the width that the layout counts on.
    length = text_width(text.text, text.size, text.bold)
    held = f' textLength="{_n(length)}" lengthAdjust="spacingAndGlyphs"' if len(text.text) > 6 else ""
    return (
        f'<text x="{_n(text.x)}" y="{_n(text.y + 0.365 * text.size)}" font-size="{_n(text.size)}" '
        f'fill="{colours[text.ink]}" text-anchor="{text.anchor}"{weight}{held}>{escape(text.text)}</text>'
    )


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    """A number with two decimals at most, as short as can be."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
