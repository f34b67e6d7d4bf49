"""The arithmetic of a step: little grids of values, weights and products, or a line of terms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mediaconv.draw.panels.cells import SMALLEST, Look, Moment, box_corners, draw_cell, tap_role, widest
from mediaconv.draw.scene.scene import Scene, number, text_width
from mediaconv.draw.sliding.frames import Sliding, Tap

_LARGEST = 9
"""Kernels wider or higher than this have no grids: only their sum is written."""
_NAMES = ("values", "weights", "products")
_SIGN = 17.0
_SUM = 15.0
CAPTION = 12.0
_LOOKED_AT = 24
"""Frames whose numbers tell how wide cells are."""
PAGE = 1350.0
"""Pixels that a panel takes at most where its numbers allow: it is then read at 1400."""
PHONE = 374.0
"""The same of a narrow panel, which is read at 390."""


@dataclass(frozen=True)
class Grids:
    """How the little grids of a layer look: cells of `cell_width` by `cell_height`, rows by columns."""

    rows: int
    columns: int
    cell_width: float
    cell_height: float
    sum_width: float
    names: tuple[str, ...]
    size: float = 12.0

    @property
    def grid_width(self) -> float:
        return self.columns * self.cell_width

    @property
    def height(self) -> float:
        return self.rows * self.cell_height

    @property
    def width(self) -> float:
        return len(self.names) * (self.grid_width + _SIGN) + self.sum_width


def grids_of(sliding: Sliding, room: float, *, zoom: float = 1.0) -> Grids | None:
    """Grids that hold every number of this layer's frames; None for a kernel too large for them.

    room: pixels that they may take; where it is too little, the products and then the values are left out.
    """
    rows, columns = (axis.kernel for axis in sliding.axes[-2:])
    if max(rows, columns) > _LARGEST:
        return None
    taps = [
        tap for chosen in sliding.frames(_LOOKED_AT) for tap in sliding.step(*chosen).taps if not tap.masked
    ]
    products = np.array([tap.product for tap in taps] or [0.0])
    longest = max(widest(each, SMALLEST) for each in (sliding.input, sliding.weight))
    height = 21.0 if rows <= 5 else 17.0
    zoom = zoom if columns <= 3 else 1.0

    sums = _sum_width(sliding)
    caption = (text_width("products", CAPTION) + 6 - _SIGN) / columns

    def grids(longest: float, zoom: float, names: tuple[str, ...]) -> Grids:
        width = max(20.0, longest + 6.0, caption / zoom)
        return Grids(rows, columns, width * zoom, height * zoom, sums, names, size=SMALLEST * zoom)

    whole = max(longest, widest(products, SMALLEST))
    choices = [grids(longest, 1.0, _NAMES[:2]), grids(longest, 1.0, _NAMES[1:2])]
    if columns <= 3:
        choices = [grids(whole, zoom, _NAMES), grids(whole, 1.0, _NAMES), *choices]
    return next((made for made in choices if made.width <= room), choices[-1])


def _sum_width(sliding: Sliding) -> float:
    """Room for the sum of any plane, right of the grids."""
    sums: dict[tuple, float] = {}
    for n, chosen in enumerate(sliding.frames(_LOOKED_AT)):
        for tap in sliding.step(*chosen).taps:
            plane = (n, tap.channel, tap.index[0] if len(tap.index) == 3 else 0)
            sums[plane] = sums.get(plane, 0.0) + tap.product
    widths = [text_width(number(total), _SUM, True) for total in sums.values()]
    return 8 + max([text_width("sum", CAPTION), *widths])


def plane_taps(moment: Moment, channel: int, frame: int | None) -> dict[tuple[int, int], Tap]:
    """The taps of one input channel (and in 3D one frame's input position) by kernel row and column."""
    taps = {}
    for tap in moment.step.taps:
        if tap.channel == channel and (frame is None or tap.source[0] == frame):
            taps[(tap.index[-2], tap.index[-1])] = tap
    return taps


def draw_grids(
    scene: Scene, moment: Moment, x: float, y: float, grids: Grids, taps: dict[tuple[int, int], Tap]
) -> None:
    """Values times weights, their products where there is room, and their sum; y is the upper edge."""
    middle = y + grids.height / 2
    pitch = grids.grid_width + _SIGN
    for row, column in itertools.product(range(grids.rows), range(grids.columns)):
        tap = taps.get((row, column))
        if tap is None:
            continue
        at = (y + row * grids.cell_height, grids.cell_width, grids.cell_height)
        role = tap_role(tap)
        left = x + column * grids.cell_width
        looks = {
            "values": Look(role, moment.text(tap.value)),
            "weights": weight_look(moment, tap),
            "products": Look("masked") if tap.masked else Look("empty", moment.text(tap.product)),
        }
        for index, name in enumerate(grids.names):
            draw_cell(scene, box_corners(left + index * pitch, *at), looks[name], grids.size)
    signs = ["×", "="][: len(grids.names) - 1]
    for index, sign in enumerate(signs, start=1):
        scene.text(x + index * pitch - _SIGN / 2, middle, sign, 15.0, ink="soft")
    end = x + (len(signs) + 1) * pitch
    scene.text(end - _SIGN / 2, middle, "→", 14.0, ink="soft")
    if all(tap.masked for tap in taps.values()):
        scene.text(end + 2, middle, "–", _SUM, ink="soft", anchor="start")
    else:
        total = number(sum(tap.product for tap in taps.values()))
        scene.text(end + 2, middle, total, _SUM, anchor="start", bold=True)


def weight_look(moment: Moment, tap: Tap) -> Look:
    """A tap's own cell: its weight, or nothing where it is masked."""
    return Look("masked") if tap.masked else Look("empty", moment.text(tap.weight))


def draw_captions(scene: Scene, x: float, y: float, grids: Grids) -> None:
    """What the grids are, above them."""
    pitch = grids.grid_width + _SIGN
    for index, name in enumerate(grids.names):
        scene.text(x + index * pitch + grids.grid_width / 2, y, name, CAPTION, ink="soft")
    scene.text(x + len(grids.names) * pitch + 2, y, "sum", CAPTION, ink="soft", anchor="start")


def terms(moment: Moment) -> str:
    """The whole sum in a line: `y[3] = 2·1 + 5·(−1) = −3`.

    Masked taps are left out; more than 27 products are told by number. Channels that are not drawn are told
    apart by their sums.
    """
    step = moment.step
    used = [tap for tap in step.taps if not tap.masked]
    drawn = [tap for tap in used if tap.channel in moment.sliding.inputs]
    written = [tap for tap in drawn if not (moment.blank_zeros and tap.product == 0)]
    if len(written) > 27:
        parts = [f"sum of {len(written)} products ({number(sum(t.product for t in written))})"]
    else:
        parts = [f"{_bracketed(t.value)}·{_bracketed(t.weight)}" for t in written]
    parts += _not_drawn(moment, used)
    if step.bias is not None:
        parts.append(f"bias {_bracketed(step.bias)}")
    return f"{_name(moment)} = {' + '.join(parts) or 'nothing'} = {number(step.value)}"


def partial_sums(moment: Moment) -> str:
    """The sums of the planes and the bias: `4 + 2 + bias 1 = 7`. Planes are channels, and frames in 3D.

    A channel that is not drawn is told apart: `4 + 2 + 5 (input 1) = 11`.
    """
    step = moment.step
    used = [tap for tap in step.taps if not tap.masked]
    planes: dict[tuple[int, int], float] = {}
    for tap in used:
        if tap.channel in moment.sliding.inputs:
            plane = (tap.channel, tap.index[0] if len(tap.index) == 3 else 0)
            planes[plane] = planes.get(plane, 0.0) + tap.product
    sums = list(planes.values())
    if len(sums) > 6:
        parts = [*(number(s) for s in sums[:4]), f"{number(sum(sums[4:]))} ({len(sums) - 4} more)"]
    else:
        parts = [number(s) for s in sums]
    parts = [_bracket_text(part) if i else part for i, part in enumerate(parts)]
    parts += _not_drawn(moment, used)
    if step.bias is not None:
        parts.append(f"bias {_bracketed(step.bias)}")
    if len(parts) < 2:
        return f"{_name(moment)} = {number(step.value)}"
    return f"{_name(moment)} = {' + '.join(parts)} = {number(step.value)}"


_MOST_SUMS = 3
"""Channels that are not drawn and have a sum of their own in a line; more have one together."""


def _not_drawn(moment: Moment, taps: Sequence[Tap]) -> list[str]:
    """The sums of input channels that are read and not drawn, each with the channel's number."""
    sums: dict[int, float] = {}
    for tap in taps:
        if tap.channel not in moment.sliding.inputs:
            sums[tap.channel] = sums.get(tap.channel, 0.0) + tap.product
    if len(sums) <= _MOST_SUMS:
        return [f"{_bracketed(total)} (input {channel})" for channel, total in sums.items()]
    channels = list(sums)
    run = channels == list(range(channels[0], channels[-1] + 1))
    names = f"{channels[0]} to {channels[-1]}" if run else f"{channels[0]} ... {channels[-1]}"
    return [f"{_bracketed(sum(sums.values()))} (inputs {names})"]


def _name(moment: Moment) -> str:
    """The output as it is written: `y[2, 3]`, with its channel where there are several `y1[2, 3]`."""
    channel = "" if len(moment.sliding.output) == 1 else str(moment.step.channel)
    return f"y{channel}[{', '.join(map(str, moment.step.position))}]"


def _bracketed(value: float) -> str:
    return _bracket_text(number(value))


def _bracket_text(text: str) -> str:
    return f"({text})" if text.startswith("−") else text
