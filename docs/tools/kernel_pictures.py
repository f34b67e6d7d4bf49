"""Makes docs/images/kernels-*.png: every well-known kernel, and what it does to a picture, a film, a sound.

    .venv/bin/python docs/tools/kernel_pictures.py [FOLDER]

The numbers are `mediaconv.layers.filters.fill`' own. The same bytes each time with the same matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn import functional as F

from mediaconv.layers.filters.fill import make_kernel

ROOT = Path(__file__).parents[2]
DIVERGING = "PuOr_r"
"""Orange is positive, purple negative: told apart with any common form of colour blindness."""
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"


def photograph() -> torch.Tensor:
    """The sample picture, gray. Shape: (1, 1, H, W), in [0, 1]."""
    pixels = cv2.imread(str(ROOT / "data/image/lighthouse.png"), cv2.IMREAD_GRAYSCALE)
    height, width = pixels.shape
    small = cv2.resize(pixels, (240 * width // height, 240), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small)[None, None].double() / 255


def convolved(picture: torch.Tensor, kernel: torch.Tensor) -> np.ndarray:
    """The picture under one filter; edges are repeated, so that they do not outshine the rest."""
    rows, columns = kernel.shape
    padded = F.pad(picture, ((columns - 1) // 2, columns // 2, (rows - 1) // 2, rows // 2), mode="replicate")
    return F.conv2d(padded, kernel[None, None])[0, 0].numpy()


def draw_taps(axes: Axes, kernel: np.ndarray, title: str, *, hidden: np.ndarray | None = None) -> None:
    """A kernel as coloured cells, with its numbers where they have room; hidden taps are gray."""
    strongest = max(abs(kernel).max(), 1e-9)
    image = np.ma.masked_array(kernel, np.zeros_like(kernel, dtype=bool) if hidden is None else hidden)
    colours = matplotlib.colormaps[DIVERGING].with_extremes(bad="#C4C8CC")
    axes.imshow(image, cmap=colours, vmin=-strongest, vmax=strongest)
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    if kernel.size > 35:
        return
    for (row, column), value in np.ndenumerate(kernel):
        if hidden is None or not hidden[row, column]:
            light = abs(value) > 0.65 * strongest
            text = f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
            colour = "white" if light else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def draw_picture(axes: Axes, values: np.ndarray, *, signed: bool) -> None:
    """What came out: signed values around 0, others as brightness from 0 to 1."""
    reach = np.quantile(abs(values), 0.995)
    limits = {"vmin": -reach, "vmax": reach} if signed else {"vmin": 0, "vmax": 1}
    axes.imshow(values, cmap=DIVERGING if signed else "gray", **limits)
    axes.set_axis_off()


def in_pictures(cases: list[tuple[str, dict, bool]]) -> Figure:
    """Above the kernels, below what each makes of the sample picture."""
    picture = photograph()
    filters = [
        (title(name, options, i), kernel, signed)
        for name, options, signed in cases
        for i, kernel in enumerate(make_kernel(name, options, dims=2))
    ]
    width = 1.75 * len(filters)
    figure, axes = plt.subplots(2, len(filters), figsize=(width, 3.3), layout="constrained")
    for column, (words, kernel, signed) in enumerate(filters):
        draw_taps(axes[0, column], kernel.numpy(), words)
        draw_picture(axes[1, column], convolved(picture, kernel), signed=signed)
    return figure


def title(name: str, options: dict, filter: int) -> str:
    """A kernel's name as a configuration spells it, shortly."""
    if name == "gabor":
        return f"gabor, filter {filter}"
    return " ".join(
        [name, *(f"{value}" if key == "axis" else f"{key} {value}" for key, value in options.items())]
    )


def smoothing() -> Figure:
    return in_pictures(
        [
            ("identity", {}, False),
            ("box", {}, False),
            ("gaussian", {"sigma": 2}, False),
            ("sharpen", {}, False),
        ]
    )


def edges() -> Figure:
    return in_pictures(
        [
            ("sobel", {"axis": "x"}, True),
            ("sobel", {"axis": "y"}, True),
            ("prewitt", {"axis": "x"}, True),
            ("laplacian", {}, True),
            ("emboss", {}, False),
        ]
    )


def gabor() -> Figure:
    return in_pictures([("gabor", {}, True)])


def motion() -> Figure:
    """Two frames of a disc that moves to the right, their difference, and where the taps lie in each mode."""
    rows, columns = np.mgrid[:60, :90]
    film = np.stack([np.hypot(rows - 30, columns - 35 - 6 * t) < 14 for t in range(3)]) * 0.8
    kernel = make_kernel("motion", {}, dims=3)
    seen = F.conv3d(torch.from_numpy(film)[None, None], kernel[:, None], padding=(1, 0, 0))[0, 0].numpy()
    figure, axes = plt.subplots(1, 5, figsize=(8.4, 1.4), layout="constrained")
    for place, frame, words in ((axes[0], film[0], "frame t - 1"), (axes[1], film[1], "frame t")):
        draw_picture(place, frame, signed=False)
        place.set_title(words, fontsize=9)
    draw_picture(axes[2], seen[1], signed=True)
    axes[2].set_title("motion at t", fontsize=9)
    for place, mode in ((axes[3], "none"), (axes[4], "pad")):
        taps = make_kernel("motion", {}, dims=3, mode=mode).numpy().reshape(1, 3)
        words = "standard" if mode == "none" else "causal: pad"
        draw_taps(place, taps, words)
        place.set_xticks(range(3), ["t-1", "t", "t+1"] if mode == "none" else ["t-2", "t-1", "t"], fontsize=8)
    return figure


def modes() -> Figure:
    """Kernels over rows (time runs down) in every causal mode; taps that may not be used are gray."""
    cases = [("gaussian", {"sigma": 1}, 5), ("sobel", {"axis": "y"}, 3), ("laplacian", {}, 3)]
    columns = [("none", "B"), ("pad", "B"), ("mask", "B"), ("raster", "B"), ("raster", "A")]
    figure, axes = plt.subplots(3, 5, figsize=(8.4, 5.4), layout="constrained")
    for row, (name, options, side) in enumerate(cases):
        for column, (mode, kind) in enumerate(columns):
            kernel = make_kernel(name, options, dims=2, kernel_size=(side, side), mode=mode, raster_type=kind)
            words = {"none": "standard", "raster": f"raster {kind}"}.get(mode, mode)
            hidden = future(mode, kind, side)
            draw_taps(
                axes[row, column], kernel[0].numpy(), f"{title(name, options, 0)}\n{words}", hidden=hidden
            )
    return figure


def future(mode: str, kind: str, side: int) -> np.ndarray:
    """Which taps of an odd kernel a mode forbids. Shape: (side, side), bool."""
    order = np.arange(side**2).reshape(side, side)
    last = {"mask": (side // 2 + 1) * side - 1, "raster": side**2 // 2 - (kind == "A")}
    return order > last.get(mode, side**2)


def sound() -> Figure:
    """Taps and frequency response of the filters, at 8,000 samples a second."""
    cases = [
        ("low_pass", {"cutoff_hz": 1000}, BLUE),
        ("high_pass", {"cutoff_hz": 1000}, ORANGE),
        ("band_pass", {"band": [800, 1600]}, GREEN),
    ]
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.4), layout="constrained", width_ratios=[1, 1, 1, 1.6])
    for place, (name, options, colour) in zip(axes, cases, strict=False):
        taps = make_kernel(name, options, dims=1, rate_hz=8000)[0].numpy()
        place.plot(np.arange(-50, 51), taps, color=colour, linewidth=1)
        place.set_title(f"{name} {next(iter(options.values()))}", fontsize=9)
        place.set_xlabel("sample", fontsize=8)
        gain = np.abs(np.fft.rfft(taps, 4096))
        hz = np.fft.rfftfreq(4096, 1 / 8000)
        axes[3].plot(hz, 20 * np.log10(np.maximum(gain, 1e-5)), color=colour, label=name, linewidth=1)
    axes[3].set_ylim(-80, 5)
    axes[3].set_xlabel("Hz", fontsize=8)
    axes[3].set_title("gain in dB, 101 taps", fontsize=9)
    axes[3].legend(fontsize=7, loc="lower right")
    for place in axes:
        place.tick_params(labelsize=7)
    return figure


PICTURES = {
    "smoothing": smoothing,
    "edges": edges,
    "gabor": gabor,
    "motion": motion,
    "modes": modes,
    "sound": sound,
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        figure = make()
        figure.savefig(folder / f"kernels-{name}.png", dpi=100, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
