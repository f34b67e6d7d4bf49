"""Makes the images view_mixes_channels.png and frames_as_channels.png of docs/: two pictures about axes.

python docs/tools/layout_pictures.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mediaconv.draw.panels.cells import Look, box_corners, draw_cell
from mediaconv.draw.scene.figure import Figure
from mediaconv.draw.scene.scene import Scene

_CELL = 38.0
_ROLES = ("output", "usedpad")
"""Colours of channel 0 and channel 1."""


def view_figure() -> Figure:
    """One image of two channels as NCHW, as NHWC, and as `view` misreads it."""
    scene = Scene(980, 590)
    x = np.arange(12).reshape(2, 2, 3) + np.array([0, 4]).reshape(2, 1, 1)
    owner = np.repeat([0, 1], 6).reshape(2, 2, 3)
    _heading(scene, 24, 34, "NCHW: channels, then rows and columns", "x.shape = (1, 2, 2, 3)")
    for channel in range(2):
        _grid(scene, 24 + channel * 150, 92, x[channel], owner[channel], f"channel {channel}")
    _strip(scene, 400, 118, x, owner, "in memory")
    _heading(scene, 24, 236, "NHWC by name: every value keeps its pixel and its channel",
             'rearrange(x, "n c h w -> n h w c")')  # fmt: skip
    moved, moved_owner = x.transpose(1, 2, 0), owner.transpose(1, 2, 0)
    for channel in range(2):
        _grid(
            scene,
            24 + channel * 150,
            294,
            moved[..., channel],
            moved_owner[..., channel],
            f"channel {channel}",
        )
    _strip(scene, 400, 320, moved, moved_owner, "in memory: moved")
    _heading(
        scene, 24, 438, "The same shape by view: channels are mixed, nothing complains", "x.view(1, 2, 3, 2)"
    )
    wrong, wrong_owner = x.reshape(2, 3, 2), owner.reshape(2, 3, 2)
    for channel in range(2):
        _grid(
            scene,
            24 + channel * 150,
            496,
            wrong[..., channel],
            wrong_owner[..., channel],
            f"channel {channel}",
        )
    _strip(scene, 400, 522, wrong, wrong_owner, "in memory: as it was, read in pairs")
    return Figure(scene, label="why view in the wrong order mixes channels")


def frames_figure() -> Figure:
    """Frames as an axis, which a kernel slides along, and frames as channels, which it sums all at once."""
    scene = Scene(980, 560)
    detail = "the kernel slides along time; each output reads its own frames, in order; it streams"
    _heading(scene, 24, 34, "Frames as a dimension: (N, C, T, H, W)", detail)
    _film(scene, 100, used=(2, 3, 4), output=4)
    detail = "every output sums all frames, the future too; time is gone, the number of frames fixed"
    _heading(scene, 24, 306, "Frames as channels: (N, C·T, H, W)", detail)
    _film(scene, 372, used=tuple(range(6)), output=None)
    return Figure(scene, label="frames as a dimension and frames as channels")


def _heading(scene: Scene, x: float, y: float, title: str, detail: str) -> None:
    scene.text(x, y, title, 17.0, anchor="start", bold=True)
    scene.text(x, y + 24, detail, 13.0, anchor="start", ink="soft")


def _grid(scene: Scene, x: float, y: float, values: np.ndarray, owner: np.ndarray, name: str) -> None:
    for row, column in np.ndindex(*values.shape):
        corners = box_corners(x + column * _CELL, y + row * _CELL, _CELL - 2, _CELL - 2)
        draw_cell(scene, corners, Look(_ROLES[owner[row, column]], str(values[row, column])), 15.0)
    scene.text(x + 1.5 * _CELL, y + values.shape[0] * _CELL + 12, name, 12.0, ink="soft")


def _strip(scene: Scene, x: float, y: float, values: np.ndarray, owner: np.ndarray, name: str) -> None:
    scene.text(x, y - 14, name, 12.0, anchor="start", ink="soft")
    for place, (value, channel) in enumerate(zip(values.ravel(), owner.ravel(), strict=True)):
        corners = box_corners(x + place * 45, y, 43, _CELL - 2)
        draw_cell(scene, corners, Look(_ROLES[channel], str(value)), 15.0)


def _film(scene: Scene, y: float, *, used: tuple[int, ...], output: int | None) -> None:
    """Six frames in a row, those that one output reads marked, and the outputs below."""
    width, height, pitch = 84.0, 60.0, 150.0
    for t in range(6):
        x = 40 + t * pitch
        role = "leak" if output is None and t > 2 else "used" if t in used else "input"
        ink = "leak-ink" if role == "leak" else "ink"
        scene.box(x, y, width, height, fill=role, edge=f"{role}-edge", width=1.6)
        scene.text(x + width / 2, y + height / 2, f"t = {t}", 14.0, ink=ink)
    middle = 40 + (2.5 if output is None else output) * pitch + width / 2
    for t in used:
        ink = "leak" if output is None and t > 2 else "used-edge"
        scene.line((40 + t * pitch + width / 2, y + height + 2), (middle, y + 118), ink=ink, width=1.4)
    if output is None:
        _output(scene, middle, y + 120, width, "output", "current")
        return
    for t in range(6):
        role = "current" if t == output else "output" if t < output else "empty"
        _output(scene, 40 + t * pitch + width / 2, y + 120, width, f"y[{t}]", role)


def _output(scene: Scene, x: float, y: float, width: float, text: str, role: str) -> None:
    ink = "current-ink" if role == "current" else "ink"
    scene.box(x - width / 2, y, width, 44, fill=role, edge=f"{role}-edge", width=1.6)
    scene.text(x, y + 22, text, 13.0, ink=ink, bold=role == "current")


FIGURES = {"view_mixes_channels": view_figure, "frames_as_channels": frames_figure}

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "images"
    for name, figure in FIGURES.items():
        figure().save(folder / f"{name}.png")
