"""What one output has read after each layer of a stack: a row a layer, past and future in two colours."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from mediaconv.draw.scene.scene import Scene, shortened, text_width
from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import axis_map, layer_kind

_WIDTH, _ROW, _BAR, _TOP = 300.0, 44.0, 20.0, 40.0
_TEXT = 12.0
PAST, NOW, FUTURE = "used", "now", "leak"


@dataclass(frozen=True)
class Row:
    """After a layer: its name, and the input steps that an output has read by then, before and after it."""

    label: str
    lookback: float
    lookahead: float


def reach_rows(module: nn.Module, axis: int = 0) -> list[Row]:
    """One row for each layer of a stack that has a window, in order; activations are left out."""
    children = list(module) if isinstance(module, nn.Sequential) else [module]
    layers = [one for child in children for one in (child if isinstance(child, nn.Sequential) else [child])]
    rows: list[Row] = []
    maps: list[AxisMap] = []
    for layer in layers:
        along = axis_map(layer, axis)
        maps.append(along)
        so_far = Chain(tuple(maps))
        if along.receptive_field > 1 or along.total_stride != 1:
            rows.append(Row(_label(layer), float(so_far.lookback), float(so_far.latency)))
    return rows or [Row("pointwise layers", 0.0, 0.0)]


def reach_scene(rows: list[Row], *, furthest: float) -> Scene:
    """The rows below each other, the input first. furthest: input steps that half the width stands for: the
    same for two stacks that are to be compared."""
    scene = Scene(_WIDTH, _TOP + _ROW * len(rows) + _BAR + 6)
    middle = _WIDTH / 2
    scene.text(middle, 10, "its own time", _TEXT, ink="soft")
    scene.text(middle - 56, 10, "← earlier", _TEXT, anchor="end", ink="soft")
    scene.text(middle + 56, 10, "later →", _TEXT, anchor="start", ink="soft")
    scene.line((middle, 22), (middle, scene.height), ink=NOW, dashed=True)
    for i, row in enumerate([Row("input", 0.0, 0.0), *rows]):
        _draw_row(scene, row, _TOP + i * _ROW, (middle - 10) / max(1.0, furthest))
    return scene


def _draw_row(scene: Scene, row: Row, y: float, scale: float) -> None:
    """One layer: its name, a bar to either side of its own time, and the numbers."""
    middle = _WIDTH / 2
    scene.text(4, y - 10, shortened(row.label, _TEXT, _WIDTH - 8), _TEXT, anchor="start")
    for steps, side, role in ((row.lookback, -1, PAST), (row.lookahead, 1, FUTURE)):
        width = min(middle - 10, steps * scale) if steps else 0.0
        if width:
            scene.box(middle - width if side < 0 else middle, y, width, _BAR, fill=role)
            text = f"{'−' if side < 0 else '+'}{steps_text(steps)}"
            inside = width > text_width(text, _TEXT) + 14
            ink = f"{role}-ink" if inside else "ink"
            anchor = "start" if (side < 0) == inside else "end"
            at = middle + side * width + (-7 if inside else 6) * side
            scene.text(at, y + _BAR / 2, text, _TEXT, anchor=anchor, ink=ink)
    own = max(3.0, min(10.0, scale * 0.8))
    scene.box(middle - own / 2, y - 1, own, _BAR + 2, fill=NOW)


def steps_text(steps: float) -> str:
    """A number of steps, or the sign of infinity."""
    return "∞" if math.isinf(steps) else f"{int(steps):,}"


def _label(layer: nn.Module) -> str:
    """A layer as a row names it: its kernel, stride and dilation where they are not 1. That it is causal is
    seen.

    >>> from mediaconv.nn import CausalConv1d
    >>> _label(CausalConv1d(1, 1, 3, dilation=4))
    'Conv1d 3, dilation 4'
    """
    name = layer_kind(layer).removeprefix("Causal")
    kernel = _numbers(getattr(layer, "kernel_size", None))
    words = [f"{name} {kernel}" if kernel else name]
    for key in ("stride", "dilation"):
        numbers = _numbers(getattr(layer, key, None))
        if numbers not in ("", "1"):
            words.append(f"{key} {numbers}")
    return ", ".join(words)


def _numbers(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, tuple) and all(isinstance(n, int) for n in value):
        return str(value[0]) if len(set(value)) == 1 else "×".join(map(str, value))
    return ""
