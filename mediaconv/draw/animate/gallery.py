"""The pictures that explain causal convolution: sound, images and film, each standard and causal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mediaconv.draw.animate.animation import Animation, animate
from mediaconv.draw.animate.distinct_input import distinct_input
from mediaconv.draw.animate.made_layers import LENGTHS, demo_layer
from mediaconv.draw.sliding.frames import BUDGET
from mediaconv.filesystem import check_made

GALLERY: dict[str, dict] = {
    "conv1d_standard": {"kind": "conv1d"},
    "conv1d_causal": {"kind": "conv1d", "causal": "pad"},
    "conv2d_standard": {"kind": "conv2d"},
    "conv2d_causal_time": {"kind": "conv2d", "causal": "mask", "time_axis": 1},
    "conv2d_causal_raster": {"kind": "conv2d", "causal": "raster"},
    "conv3d_standard": {"kind": "conv3d"},
    "conv3d_causal": {"kind": "conv3d", "causal": "pad"},
}
"""Names of the gallery's files and what each draws."""


def gallery(
    folder: Path | str,
    *,
    frames: int = BUDGET,
    progress: Callable[[Path], None] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write every picture of GALLERY as a GIF of at most `frames` frames into a folder; their paths.

    progress: called with each path once it is written. overwrite: replace files that this program did not
    make, too. Raises UsageError, WriteError.
    """
    paths = {name: Path(folder) / f"{name}.gif" for name in GALLERY}
    for path in paths.values():
        check_made(path, overwrite=overwrite)
    written = []
    for name, path in paths.items():
        gallery_animation(name, frames=frames).save(path, overwrite=overwrite)
        written.append(path)
        if progress is not None:
            progress(path)
    return written


def gallery_animation(name: str, *, frames: int = BUDGET) -> Animation:
    """One of GALLERY."""
    layer = demo_layer(**GALLERY[name])
    x = distinct_input(layer, LENGTHS[len(layer.kernel_size)])  # type: ignore[arg-type]
    return animate(layer, x, frames=frames)
