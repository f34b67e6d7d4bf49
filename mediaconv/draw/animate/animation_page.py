"""An animation as one HTML file that needs no network: a slider, keys, light and dark."""

from __future__ import annotations

from collections.abc import Sequence

from mediaconv.draw.scene.palette import DARK, LIGHT
from mediaconv.draw.scene.scene import Line, Scene, Shape, Text, text_width
from mediaconv.web.page import render_page


def page(scenes: Sequence[Scene], seconds: Sequence[float], *, title: str) -> str:
    """The page. Shapes that several frames share are stored once; a frame is a list of their numbers."""
    table: dict[Shape, int] = {}
    frames = [[table.setdefault(shape, len(table)) for shape in scene.shapes] for scene in scenes]
    data = {
        "width": round(scenes[0].width, 2),
        "height": round(scenes[0].height, 2),
        "shapes": [_packed(shape) for shape in table],
        "frames": frames,
        "seconds": [round(s, 3) for s in seconds],
    }
    return render_page(
        package="mediaconv.draw.animate",
        parts=("animation.css", "animation.js"),
        title=title,
        data=data,
        colours=(LIGHT, DARK),
    )


def _packed(shape: Shape) -> list:
    """A shape as the page's script reads it."""
    if isinstance(shape, Text):
        length = round(text_width(shape.text, shape.size, shape.bold), 1) if len(shape.text) > 6 else 0
        x, y = round(shape.x, 2), round(shape.y + 0.365 * shape.size, 2)
        return ["t", x, y, shape.text, shape.size, shape.ink, shape.anchor, int(shape.bold), length]
    points = [round(n, 2) for point in shape.points for n in point]
    if isinstance(shape, Line):
        return ["l", points, "", shape.ink, shape.width, int(shape.dashed)]
    return ["p", points, shape.fill or "", shape.edge or "", shape.width, int(shape.dashed)]
