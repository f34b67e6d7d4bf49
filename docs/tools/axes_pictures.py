"""Makes docs/images/axes-*.png: a photograph and a film through right and wrong orders of axes.

    .venv/bin/python docs/tools/axes_pictures.py [FOLDER]

Every picture is what torch makes of the sample media. The same bytes each time with the same matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import av
import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mediaconv.nn import Reshape

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = "#0072B2", "#D55E00"


def photograph() -> Tensor:
    """The sample picture as a file holds it. Shape: (H, W, 3), uint8."""
    pixels = cv2.imread(str(ROOT / "data/image/lighthouse.png"))
    return torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1]))


def film(count: int) -> Tensor:
    """Frames of the sample film around the lightning. Shape: (T, H, W, 3), uint8."""
    with av.open(str(ROOT / "data/video/lightning.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(frames[18 : 18 + count]))


def draw(axes: Axes, picture: Tensor, title: str) -> None:
    """A picture (H, W) in gray or (H, W, 3) in colour, its pixels as they are."""
    axes.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def row_title(figure: Figure, text: str, height: float, colour: str) -> None:
    figure.text(0.012, height, text, fontsize=10, color=colour, weight="bold", va="center")


def view_figure() -> Figure:
    """From (H, W, C) to (C, H, W): by name, and by view."""
    photo = photograph()
    height, width, channels = photo.shape
    moved = rearrange(photo, "h w c -> c h w")
    viewed = photo.reshape(-1).view(channels, height, width)
    figure, grid = plt.subplots(2, 4, figsize=(10, 5.0))
    for row, planes in zip(grid, (moved, viewed), strict=True):
        for axes, plane, name in zip(row, planes, ("red", "green", "blue"), strict=False):
            draw(axes, plane, f"channel {name}")
        draw(row[3], rearrange(planes, "c h w -> h w c"), "the three as a colour picture")
    figure.subplots_adjust(left=0.012, right=0.988, top=0.88, bottom=0.01, hspace=0.5, wspace=0.04)
    row_title(figure, "right: rearrange(x, 'h w c -> c h w')  every value keeps its pixel", 0.965, RIGHT)
    wrong = f"wrong: x.view({channels}, {height}, {width})  the same shape, and no complaint"
    row_title(figure, wrong, 0.45, WRONG)
    return figure


def blocks_figure() -> Figure:
    """Blocks of 2 x 2 pixels to channels: by the reshape step, and by view."""
    gray = photograph().float().mean(-1)
    height, width = gray.shape
    step = Reshape("n c (h a) (w b) -> n (c a b) h w", {"a": 2, "b": 2}, in_channels=1)
    right = step(gray[None, None])[0]
    wrong = gray.reshape(4, height // 2, width // 2)
    figure, grid = plt.subplots(2, 5, figsize=(10, 3.8))
    for row, planes in zip(grid, (right, wrong), strict=True):
        draw(row[0], gray, f"x, {height} x {width}")
        for channel, (axes, plane) in enumerate(zip(row[1:], planes, strict=True)):
            draw(axes, plane, f"channel {channel}")
    figure.subplots_adjust(left=0.012, right=0.988, top=0.86, bottom=0.01, hspace=0.5, wspace=0.06)
    row_title(figure, f"right: reshape '{step.pattern.text}', sizes {{a: 2, b: 2}}", 0.96, RIGHT)
    row_title(figure, f"wrong: x.view(1, 4, {height // 2}, {width // 2})", 0.45, WRONG)
    return figure


def film_figure() -> Figure:
    """Four frames as a dimension, as channels of one convolution, and by view."""
    frames = film(4)
    count, height, width, channels = frames.shape
    viewed = frames.reshape(-1).view(channels, count, height, width)
    figure, grid = plt.subplots(3, 4, figsize=(10, 6.3))
    gray = frames.float().mean(-1)
    for t in range(count):
        draw(grid[0, t], frames[t], f"frame {t}")
        grid[1, t].set_axis_off()
        draw(grid[2, t], rearrange(viewed[:, t], "c h w -> h w c"), f"frame {t}")
    draw(grid[1, 0], gray.mean(0), "the only output")
    note = "A kernel over frames that are channels has a weight for each of them and adds them all up.\n"
    note += "Here all weights are 1/4: the lightning is in it, when it struck is not.\n"
    note += "A film of five frames does not fit this layer."
    grid[1, 1].text(0.02, 0.5, note, transform=grid[1, 1].transAxes, fontsize=9, va="center")
    figure.subplots_adjust(left=0.012, right=0.988, top=0.91, bottom=0.01, hspace=0.46, wspace=0.04)
    dimension = "frames as a dimension: (N, C, T, H, W)  by rearrange(x, 't h w c -> c t h w')"
    row_title(figure, dimension, 0.97, RIGHT)
    row_title(figure, "frames as channels: (N, T, H, W)", 0.628, WRONG)
    row_title(figure, f"frames by x.view({channels}, {count}, {height}, {width})", 0.301, WRONG)
    return figure


FIGURES = {"axes-view": view_figure, "axes-blocks": blocks_figure, "axes-film": film_figure}


def main(folder: Path) -> None:
    """Write all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FIGURES.items():
        figure = make()
        figure.savefig(folder / f"{name}.png", dpi=100, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images")
