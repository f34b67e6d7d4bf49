"""Where a text of a picture lies, so that tests can tell whether two overlap."""

from __future__ import annotations

from mediaconv.draw.scene.scene import Text, text_width


def text_box(text: Text) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a text."""
    width = text_width(text.text, text.size, text.bold)
    left = text.x - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    return left, text.y - 0.4 * text.size, left + width, text.y + 0.4 * text.size
