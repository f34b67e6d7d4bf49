"""A layer's animation and the files it can become: GIF, MP4, SVG filmstrip, HTML, PNG, PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from mediaconv.draw.animate.animation_page import page
from mediaconv.draw.animate.movie import gif, mp4
from mediaconv.draw.panels.describe import describe
from mediaconv.draw.panels.picture import Picture
from mediaconv.draw.scene.palette import DARK, LIGHT
from mediaconv.draw.scene.pdf import pdf
from mediaconv.draw.scene.raster import png, rasterize
from mediaconv.draw.scene.scene import Scene
from mediaconv.draw.scene.svg import svg
from mediaconv.draw.sliding.frames import BUDGET, sliding
from mediaconv.errors import UsageError, not_one_of
from mediaconv.filesystem import write_made
from mediaconv.web.page import notebook_frame

THEMES = {"light": LIGHT, "dark": DARK}
MAX_WIDTH = 8192
STRIP = 6
"""Frames of a filmstrip."""
MAX_SECONDS = 600
"""A frame stays at most; a GIF can say no more than 655."""
_DURATION = 16.0
_STAY = (0.25, 1.0)
_LAST = 1.5


class Animation:
    """A convolution, or two beside each other, sliding over an input.

    Shown by a notebook as its HTML. width: of GIF, MP4 and PNG, in pixels. aspect: width to height; what is
    lacking is paper around the picture. theme: one of THEMES; a page follows its reader's instead.
    """

    def __init__(
        self,
        picture: Picture,
        *,
        label: str,
        seconds: float | None = None,
        width: int | None = None,
        aspect: float | None = None,
        theme: str = "light",
    ) -> None:
        if theme not in THEMES:
            raise UsageError(not_one_of("theme", theme, THEMES))
        if width is not None and not 16 <= width <= MAX_WIDTH:
            raise UsageError(f"width: got {width}, expected 16 to {MAX_WIDTH} pixels")
        if aspect is not None and not 0.1 <= aspect <= 10:
            raise UsageError(f"aspect: got {aspect:g}, expected 0.1 to 10, such as 16:9")
        self.width, self.aspect, self.colours = width, aspect, THEMES[theme]
        if seconds is not None and not 0 < seconds <= MAX_SECONDS:
            raise UsageError(f"seconds: got {seconds:g} a frame, expected more than 0, at most {MAX_SECONDS}")
        self.picture = picture
        self.label = label
        self.on_frame: Callable[[int, int], None] | None = None
        """Called with each frame that is drawn: how many so far, and how many the animation has."""
        self._drawn = 0
        stay = seconds or min(_STAY[1], max(_STAY[0], _DURATION / picture.frames))
        self.seconds = [stay] * (picture.frames - 1) + [max(stay, _LAST)]

    def __len__(self) -> int:
        return self.picture.frames

    def image(self, index: int, *, scale: float = 1.0) -> np.ndarray:
        """Frame `index` as (H, W, 3) uint8; a negative one counts from the end. Raises UsageError.

        scale: pixels to one of the picture's, where no width was asked for.
        """
        scene = self.scene(index)
        scale = scale if self.width is None else self.width / scene.width
        return rasterize(scene, scale=scale, colours=self.colours)

    def scene(self, index: int) -> Scene:
        """Frame `index` with the paper around it. Raises UsageError."""
        self._count_drawn()
        if not -len(self) <= index < len(self):
            raise UsageError(f"step: got {index}, expected 0 to {len(self) - 1}")
        scene = self.picture.scene(index % len(self))
        if self.aspect is None:
            return scene
        sheet = Scene(
            max(scene.width, scene.height * self.aspect), max(scene.height, scene.width / self.aspect)
        )
        sheet.add(scene, (sheet.width - scene.width) / 2, (sheet.height - scene.height) / 2)
        return sheet

    def images(self) -> Iterator[np.ndarray]:
        """All frames as (H, W, 3) uint8."""
        return (self.image(i) for i in range(len(self)))

    def save(self, path: Path | str, *, step: int | None = None, overwrite: bool = False) -> Path:
        """Write the file that the extension names, one of FORMATS.

        step: the frame of a PNG; by default the middle one. overwrite: replace a file that this program did
        not make, too. Raises UsageError, WriteError.
        """
        path = Path(path)
        make = FORMATS.get(path.suffix.lower())
        if make is None:
            raise UsageError(not_one_of(str(path), path.suffix or "no extension", FORMATS))
        return write_made(path, make(self, step), overwrite=overwrite)

    def scenes(self, count: int | None = None) -> list[Scene]:
        """All frames' scenes, or `count` of them, evenly chosen."""
        last = len(self) - 1
        every = range(len(self)) if count is None or count > last else np.linspace(0, last, count).round()
        return [self.scene(int(i)) for i in every]

    def html(self) -> str:
        """The page, in one file without network."""
        narrow = self.picture.narrow()
        frames = []
        for index in range(len(self)):
            self._count_drawn()
            frames.append((self.picture.parts(index), narrow.parts(index)))
        return page(self.picture, frames, self.seconds, title=self.label)

    def _repr_html_(self) -> str:
        height = round(self.picture.height * min(1.0, 1000 / self.picture.width)) + 110
        return notebook_frame(self.html(), height=height)

    def _count_drawn(self) -> None:
        self._drawn += 1
        if self.on_frame is not None:
            self.on_frame(self._drawn, len(self))


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
    title: str = "",
    blank_zeros: bool = False,
    **look: Any,
) -> Animation:
    """The animation of `layer` sliding over `x`, (C_in, ...).

    beside: another layer over the same input, drawn in step; the first one's order of time holds for both.
    at: the first output drawn, per axis, of a large input. channel: the only output channel drawn.
    frames: at most. seconds: a frame stays; by default from their number. title: above all.
    blank_zeros: cells that hold zero are drawn without a number.
    look: width, aspect and theme, as `Animation` takes them.
    Raises UsageError.
    """
    first = sliding(layer, x, at=at, channel=channel, notes=notes)
    parts = [first]
    if beside is not None:
        if not layer.causal:
            raise UsageError("beside: the layer is standard itself; --causal true draws its causal form")
        parts.append(sliding(beside, x, at=at, channel=channel, order=first.order))
    label = " beside ".join(describe(p.layer)[0] for p in parts)
    picture = Picture(parts, title=title, budget=frames, blank_zeros=blank_zeros)
    return Animation(picture, label=title or label, seconds=seconds, **look)


def _frame(animation: Animation, step: int | None) -> bytes:
    return png(animation.image(len(animation) // 2 if step is None else step, scale=2.0))


def _scenes(animation: Animation, step: int | None, count: int | None = None) -> list[Scene]:
    return animation.scenes(count) if step is None else [animation.scene(step)]


FORMATS: dict[str, Callable[[Animation, int | None], bytes]] = {
    ".gif": lambda made, step: gif(list(made.images()), made.seconds, colours=made.colours),
    ".mp4": lambda made, step: mp4(list(made.images()), made.seconds),
    ".svg": lambda made, step: svg(_scenes(made, step, STRIP), label=made.label, colours=made.colours).encode(
        errors="backslashreplace"
    ),
    ".html": lambda made, step: made.html().encode(errors="backslashreplace"),
    ".png": _frame,
    ".pdf": lambda made, step: pdf(_scenes(made, step), colours=made.colours),
}
"""What an animation can be written as, by extension."""
