"""A layer's animation and the files it can become: GIF, MP4, SVG filmstrip, HTML, PNG."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from mediaconv.draw.animate.frames import BUDGET, sliding
from mediaconv.draw.animate.movie import gif, mp4
from mediaconv.draw.animate.page import page
from mediaconv.draw.scene.describe import describe
from mediaconv.draw.scene.figure import write
from mediaconv.draw.scene.picture import Picture
from mediaconv.draw.scene.raster import rasterize
from mediaconv.draw.scene.svg import svg
from mediaconv.errors import UsageError

STRIP = 6
"""Frames of a filmstrip."""
MAX_SECONDS = 600
"""A frame stays at most; a GIF can say no more than 655."""
_DURATION = 16.0
_STAY = (0.25, 1.0)
_LAST = 1.5


class Animation:
    """A convolution, or two beside each other, sliding over an input.

    Shown by a notebook as its HTML.
    """

    def __init__(self, picture: Picture, *, label: str, seconds: float | None = None) -> None:
        if seconds is not None and not 0 < seconds <= MAX_SECONDS:
            raise UsageError(f"seconds: got {seconds:g} a frame, expected more than 0, at most {MAX_SECONDS}")
        self.picture = picture
        self.label = label
        stay = seconds or min(_STAY[1], max(_STAY[0], _DURATION / picture.frames))
        self.seconds = [stay] * (picture.frames - 1) + [max(stay, _LAST)]

    def __len__(self) -> int:
        return self.picture.frames

    def image(self, index: int, *, scale: float = 1.0) -> np.ndarray:
        """Frame `index` as (H, W, 3) uint8; a negative one counts from the end. Raises UsageError."""
        return rasterize(self.picture.scene(self._checked(index)), scale=scale)

    def images(self) -> Iterator[np.ndarray]:
        """All frames as (H, W, 3) uint8."""
        return (self.image(i) for i in range(len(self)))

    def save(self, path: Path | str, *, step: int | None = None) -> Path:
        """Write the file that the extension names, one of FORMATS.

        step: the frame of a PNG; by default the middle one. Raises UsageError, WriteError.
        """
        path = Path(path)
        make = FORMATS.get(path.suffix.lower())
        if make is None:
            raise UsageError(
                f"{path}: got {path.suffix or 'no extension'!r}, expected one of {', '.join(FORMATS)}"
            )
        return write(path, make(self, step))

    def scenes(self, count: int | None = None) -> list:
        """All frames' scenes, or `count` of them, evenly chosen."""
        last = len(self) - 1
        every = range(len(self)) if count is None or count > last else np.linspace(0, last, count).round()
        return [self.picture.scene(int(i)) for i in every]

    def html(self) -> str:
        """The page, in one file without network."""
        return page(self.scenes(), self.seconds, title=self.label)

    def _repr_html_(self) -> str:
        height = round(self.picture.height * min(1.0, 1000 / self.picture.width)) + 110
        source = html.escape(self.html(), quote=True)
        return f'<iframe srcdoc="{source}" style="width:100%;height:{height}px;border:0"></iframe>'

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise UsageError(f"step: got {index}, expected 0 to {len(self) - 1}")
        return index % len(self)


def animate(
    layer: nn.Module,
    x: Tensor,
    *,
    beside: nn.Module | None = None,
    at: Sequence[int] | None = None,
    channel: int | None = None,
    frames: int = BUDGET,
    seconds: float | None = None,
    notes: Sequence[str] = (),
) -> Animation:
    """The animation of `layer` sliding over `x`, (C_in, ...).

    beside: another layer over the same input, drawn in step; the first one's order of time holds for both.
    at: the first output drawn, per axis, of a large input. channel: the only output channel drawn.
    frames: at most. seconds: a frame stays; by default from their number.
    Raises UsageError.
    """
    first = sliding(layer, x, at=at, channel=channel, notes=notes)
    parts = [first]
    if beside is not None:
        parts.append(sliding(beside, x, at=at, channel=channel, order=first.order))
    label = " beside ".join(describe(p.layer)[0] for p in parts)
    return Animation(Picture(parts, budget=frames), label=label, seconds=seconds)


def _gif(animation: Animation, step: int | None) -> bytes:
    return gif(list(animation.images()), animation.seconds)


def _mp4(animation: Animation, step: int | None) -> bytes:
    return mp4(list(animation.images()), animation.seconds)


def _svg(animation: Animation, step: int | None) -> bytes:
    scenes = animation.scenes(STRIP) if step is None else [animation.picture.scene(animation._checked(step))]
    return svg(scenes, label=animation.label).encode()


def _html(animation: Animation, step: int | None) -> bytes:
    return animation.html().encode()


def _png(animation: Animation, step: int | None) -> bytes:
    target = io.BytesIO()
    Image.fromarray(animation.image(len(animation) // 2 if step is None else step, scale=2.0)).save(
        target, "PNG"
    )
    return target.getvalue()


FORMATS: dict[str, Callable[[Animation, int | None], bytes]] = {
    ".gif": _gif,
    ".mp4": _mp4,
    ".svg": _svg,
    ".html": _html,
    ".png": _png,
}
"""What an animation can be written as, by extension."""
