"""Scenes as a PDF of vectors, a page a scene. The same scenes give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from mediaconv.draw.scene.palette import LIGHT
from mediaconv.draw.scene.scene import Line, Scene, Text

_POINTS = 0.75
"""Points to a pixel: 96 pixels are an inch."""


def pdf(scenes: Sequence[Scene], *, colours: Mapping[str, str] = LIGHT) -> bytes:
    """A page for each scene, of its size."""
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    target = io.BytesIO()
    with (
        matplotlib.rc_context({"pdf.fonttype": 42, "font.family": "DejaVu Sans"}),
        PdfPages(target, metadata={"CreationDate": None, "Producer": None, "Creator": None}) as pages,
    ):
        for scene in scenes:
            size = scene.width * _POINTS / 72, scene.height * _POINTS / 72
            figure = Figure(figsize=size, facecolor=colours["paper"])
            axes = figure.add_axes((0, 0, 1, 1), xlim=(0, scene.width), ylim=(scene.height, 0))
            axes.set_axis_off()
            _draw(axes, scene, colours)
            pages.savefig(figure, facecolor=colours["paper"])
    return target.getvalue()


def _draw(axes: object, scene: Scene, colours: Mapping[str, str]) -> None:
    from matplotlib.patches import Polygon

    for shape in scene.shapes:
        if isinstance(shape, Text):
            axes.text(  # type: ignore[attr-defined]
                shape.x, shape.y, shape.text, fontsize=shape.size * _POINTS, color=colours[shape.ink],
                ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                va="center_baseline", weight="bold" if shape.bold else "normal", parse_math=False,
            )  # fmt: skip
            continue
        style: dict[str, Any] = {
            "linewidth": shape.width * _POINTS,
            "linestyle": (0, (5, 3.5)) if shape.dashed else "-",
        }
        if isinstance(shape, Line):
            axes.plot(*zip(*shape.points, strict=True), color=colours[shape.ink], **style)  # type: ignore[attr-defined]
        else:
            fill = colours[shape.fill] if shape.fill else "none"
            edge = colours[shape.edge] if shape.edge else "none"
            axes.add_patch(Polygon(shape.points, facecolor=fill, edgecolor=edge, **style))  # type: ignore[attr-defined]
