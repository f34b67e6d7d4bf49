"""An animation as one HTML file that needs no network: a slider, keys, light and dark.

Panels are pictures of their own, which the page lays beside each other or one above the other, as it is wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediaconv.draw.panels.picture import Picture
from mediaconv.draw.scene.palette import DARK, LIGHT
from mediaconv.draw.scene.scene import Line, Scene, Shape, Text, text_width
from mediaconv.web.page import render_page


def page(
    picture: Picture,
    frames: Sequence[tuple[Sequence[Scene], Sequence[Scene]]],
    seconds: Sequence[float],
    *,
    title: str,
) -> str:
    """The page. frames: of each step the scenes of its panels, on a wide page and on a narrow one.

    Shapes that several frames share are stored once; a frame is a list of their numbers.
    """
    table: dict[Shape, int] = {}

    def packed(scene: Scene) -> list[int]:
        return [table.setdefault(shape, len(table)) for shape in scene.shapes]

    def drawn(each: Sequence[Sequence[Scene]]) -> list[dict[str, Any]]:
        return [
            {
                "width": round(parts[0].width, 2),
                "height": round(parts[0].height, 2),
                "frames": [packed(scene) for scene in parts],
            }
            for parts in zip(*each, strict=True)
        ]

    wide, narrow = (drawn(each) for each in zip(*frames, strict=True))
    panels = [{"wide": one, "narrow": other} for one, other in zip(wide, narrow, strict=True)]
    keys = [{"shapes": packed(scene), "text": text} for scene, text in picture.legend()]
    data = {
        "title": picture.title,
        "panels": panels,
        "keys": keys,
        "notes": picture.notes,
        "shapes": [_packed(shape) for shape in table],
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
