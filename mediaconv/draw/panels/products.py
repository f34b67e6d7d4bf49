"""The arithmetic of a step: little grids of values, weights and products, or a line of terms."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from mediaconv.draw.panels.cells import Look, Moment, box_corners, draw_cell, tap_role, widest
from mediaconv.draw.scene.scene import Scene, number
from mediaconv.draw.sliding.frames import Sliding, Tap

_LARGEST = 9
"""Kernels wider or higher than this have no grids: only their sum is written."""
_SIGN = 22.0
CAPTION = 11.0


@dataclass(frozen=True)
class Grids:
    """How the little grids of a layer look: cells of `cell_width` by `cell_height`, rows by columns."""

    rows: int
    columns: int
    cell_width: float
    cell_height: float
    sum_width: float
    products: bool
    size: float = 12.0

    @property
    def grid_width(self) -> float:
        return self.columns * self.cell_width

    @property
    def height(self) -> float:
        return self.rows * self.cell_height

    @property
    def width(self) -> float:
        count = 3 if self.products else 2
        return count * self.grid_width + count * _SIGN + self.sum_width


def grids_of(sliding: Sliding, *, zoom: float = 1.0) -> Grids | None:
    """Grids that hold every number of this layer's frames; None for a kernel too large for them."""
    rows, columns = (axis.kernel for axis in sliding.axes[-2:])
    if max(rows, columns) > _LARGEST:
        return None
    longest = max(widest(sliding.input, 12.0), widest(sliding.weight, 12.0))
    width = max(24.0 if max(rows, columns) <= 5 else 20.0, min(46.0, longest + 8.0))
    height = 21.0 if rows <= 5 else 17.0
    zoom = zoom if columns <= 3 else 1.0
    return Grids(rows, columns, width * zoom, height * zoom, 62.0, products=columns <= 3, size=12.0 * zoom)


def plane_taps(moment: Moment, channel: int, frame: int | None) -> dict[tuple[int, int], Tap]:
    """The taps of one input channel (and in 3D one frame's input position) by kernel row and column."""
    taps = {}
    for tap in moment.step.taps:
        if tap.channel == channel and (frame is None or tap.source[0] == frame):
            taps[(tap.index[-2], tap.index[-1])] = tap
    return taps


def draw_grids(scene: Scene, x: float, y: float, grids: Grids, taps: dict[tuple[int, int], Tap]) -> None:
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
        draw_cell(scene, box_corners(left, *at), Look(role, number(tap.value)), grids.size)
        draw_cell(scene, box_corners(left + pitch, *at), weight_look(tap), grids.size)
        if grids.products and not tap.masked:
            look = Look("empty", number(tap.product))
            draw_cell(scene, box_corners(left + 2 * pitch, *at), look, grids.size)
        elif grids.products:
            draw_cell(scene, box_corners(left + 2 * pitch, *at), Look("masked"), grids.size)
    signs = ["×", "="] if grids.products else ["×"]
    for index, sign in enumerate(signs, start=1):
        scene.text(x + index * pitch - _SIGN / 2, middle, sign, 15.0, ink="soft")
    end = x + (len(signs) + 1) * pitch
    scene.text(end - _SIGN / 2, middle, "→", 14.0, ink="soft")
    if all(tap.masked for tap in taps.values()):
        scene.text(end + 2, middle, "masked", 12.0, ink="soft", anchor="start")
    else:
        total = number(sum(tap.product for tap in taps.values()))
        scene.text(end + 2, middle, total, 15.0, anchor="start", bold=True)


def weight_look(tap: Tap) -> Look:
    """A tap's own cell: its weight, or nothing where it is masked."""
    return Look("masked") if tap.masked else Look("empty", number(tap.weight))


def draw_captions(scene: Scene, x: float, y: float, grids: Grids) -> None:
    """What the grids are, above them."""
    names = ["values", "weights", "products"] if grids.products else ["values", "weights"]
    pitch = grids.grid_width + _SIGN
    for index, name in enumerate(names):
        scene.text(x + index * pitch + grids.grid_width / 2, y, name, CAPTION, ink="soft")
    scene.text(x + len(names) * pitch + 2, y, "sum", CAPTION, ink="soft", anchor="start")


def terms(moment: Moment) -> str:
    """The whole sum in a line: `y[3] = 2·1 + 5·(−1) = −3`.

    Masked taps are left out; more than 27 products are told by number.
    """
    step = moment.step
    used = [tap for tap in step.taps if not tap.masked]
    if len(used) > 27:
        parts = [f"sum of {len(used)} products ({number(sum(t.product for t in used))})"]
    else:
        parts = [f"{_bracketed(t.value)}·{_bracketed(t.weight)}" for t in used]
    if step.bias is not None:
        parts.append(f"bias {_bracketed(step.bias)}")
    return f"{_name(moment)} = {' + '.join(parts) or 'nothing'} = {number(step.value)}"


def partial_sums(moment: Moment) -> str:
    """The sums of the planes and the bias: `4 + 2 + bias 1 = 7`. Planes are channels, and frames in 3D."""
    step = moment.step
    planes: dict[tuple[int, int], list[Tap]] = {}
    for tap in step.taps:
        planes.setdefault((tap.channel, tap.index[0] if len(tap.index) == 3 else 0), []).append(tap)
    sums = [sum(t.product for t in taps) for taps in planes.values() if not all(t.masked for t in taps)]
    name = _name(moment)
    if len(sums) > 6:
        parts = [*(number(s) for s in sums[:4]), f"{number(sum(sums[4:]))} ({len(sums) - 4} more)"]
    else:
        parts = [number(s) for s in sums]
    if step.bias is not None:
        parts.append(f"bias {_bracketed(step.bias)}")
    if len(parts) < 2:
        return f"{name} = {number(step.value)}"
    added = " + ".join(_bracket_text(part) if i else part for i, part in enumerate(parts))
    return f"{name} = {added} = {number(step.value)}"


def _name(moment: Moment) -> str:
    """The output as it is written: `y[2, 3]`, with its channel where there are several `y1[2, 3]`."""
    channel = "" if len(moment.sliding.output) == 1 else str(moment.step.channel)
    return f"y{channel}[{', '.join(map(str, moment.step.position))}]"


def _bracketed(value: float) -> str:
    return _bracket_text(number(value))


def _bracket_text(text: str) -> str:
    return f"({text})" if text.startswith("−") else text
