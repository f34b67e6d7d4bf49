"""The receptive-field cone of a stack: what one output reads at every level, by both methods."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mediaconv.draw.scene.scene import Scene, text_width, wrapped
from mediaconv.nn.summary.receptive_field import Cone, Level, Reach

_LABEL = 24.0
_WIDTH = 860.0
_LEVEL = 58.0
_MOST_CELLS = 64
"""Input positions that are drawn as cells; a wider field is drawn as bars."""


def cone_scene(cones: Sequence[Cone]) -> Scene:
    """All axes below each other; the input lies at the bottom of each, as in van den Oord et al. 2016."""
    label = _LABEL + 18 + max(text_width(level.name, 12.0) for cone in cones for level in cone.levels)
    scene = Scene(label + _WIDTH + 40, 24.0)
    scene.text(_LABEL, scene.height + 10, "Receptive field", 22.0, anchor="start", bold=True)
    scene.height += 40
    for cone in cones:
        _panel(scene, cone, label)
    _legend(scene)
    return scene


def _panel(scene: Scene, cone: Cone, left: float) -> None:
    top = scene.height
    field = cone.formula.receptive_field
    head = f"{cone.axis}: {_count(field)} {'step' if field == 1 else 'steps'}"
    scene.text(_LABEL, top + 10, head, 17.0, anchor="start", bold=True)
    for n, (name, reach) in enumerate((("formula", cone.formula), ("measured", cone.measured))):
        scene.text(_LABEL, top + 32 + 18 * n, _sentence(name, reach), 13.0, anchor="start", ink="soft")
    levels = cone.levels
    bottom = top + 78 + _LEVEL * (len(levels) - 1)
    ends = [p * level.stride for level in levels for p in (*level.formula, *level.measured)]
    low, high = math.floor(min(ends)), math.ceil(max(ends))
    unit = min(40.0, _WIDTH / (high - low + 1))
    start = left + (_WIDTH - unit * (high - low + 1)) / 2

    def x(position: float, level: Level) -> float:
        return start + (position * level.stride - low + 0.5) * unit

    now = math.floor(cone.output * cone.stride)
    mark = start + (now - low + 0.5) * unit
    scene.line((mark, top + 70), (mark, bottom + 22), ink="now", width=1.4, dashed=True)
    cells = high - low + 1 <= _MOST_CELLS
    for index, level in enumerate(levels):
        y = bottom - index * _LEVEL
        scene.text(left - 18, y, level.name, 12.0, anchor="end", ink="ink")
        if index and cells:
            _threads(scene, level, levels[index - 1], x, y)
    for index, level in enumerate(levels):
        _level(scene, level, x, bottom - index * _LEVEL, unit, cells)
    scene.text(mark, bottom + 34, "now", 12.0, ink="now", bold=True)
    for edge in {low, high}:
        offset = edge - now
        at = start + (edge - low + 0.5) * unit
        if offset and abs(at - mark) > 40:
            text = f"{offset:+d}".replace("-", "−")
            scene.text(at, bottom + 34, text, 12.0, ink="soft")
    scene.height = bottom + 66


def _threads(scene: Scene, level: Level, below: Level, x: object, y: float) -> None:
    """From each position to those that it reads one level below."""
    if level.map is None or level.map.whole:
        return
    for position in level.formula or level.measured:
        for source in level.map.reads(np.array([position])):
            if int(source) in below.formula:
                ends = ((x(position, level), y), (x(int(source), below), y + _LEVEL))  # type: ignore[operator]
                scene.line(*ends, ink="used-edge", width=0.9)


def _level(scene: Scene, level: Level, x: object, y: float, unit: float, cells: bool) -> None:
    side = max(4.0, min(16.0, unit * 0.6))
    if cells:
        for position in sorted({*level.formula, *level.measured}):
            both = position in level.measured and (position in level.formula or not level.formula)
            at = x(position, level)  # type: ignore[operator]
            style = {"fill": "used", "edge": "used-edge"} if both else {"fill": "leak", "edge": "leak-edge"}
            if not both and position not in level.measured:
                style = {"fill": "paper", "edge": "used-edge"}
            scene.box(at - side / 2, y - side / 2, side, side, **style)
        return
    for positions, fill, edge, thick in (
        (level.formula, "usedpad", "usedpad-edge", 18.0),
        (level.measured, "used", None, 8.0),
    ):
        for first, last in _runs(positions, level.stride * unit):
            a, b = x(first, level), x(last, level)  # type: ignore[operator]
            width = max(b - a + unit, 3.0)
            middle = (a + b) / 2
            scene.box(middle - width / 2, y - thick / 2, width, thick, fill=fill, edge=edge)


def _runs(positions: Sequence[int], unit: float) -> list[tuple[int, int]]:
    """First and last of all that lies together, closer than three pixels."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and (position - runs[-1][1]) * unit < 3.0:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return runs


def _legend(scene: Scene) -> None:
    keys = (("used", "read, by both methods"), ("paper", "by formula alone"), ("leak", "measured alone"))
    at = _LABEL
    for role, text in keys:
        edge = "leak-edge" if role == "leak" else "used-edge"
        scene.box(at, scene.height - 6, 12, 12, fill=role, edge=edge)
        scene.text(at + 20, scene.height, text, 13.0, anchor="start")
        at += 20 + text_width(text, 13.0) + 28
    note = "bars: pale by formula, orange measured; measured by gradient with positive weights, in float64"
    for line in wrapped(note, 12.0, scene.width - 2 * _LABEL):
        scene.height += 22
        scene.text(_LABEL, scene.height, line, 12.0, anchor="start", ink="soft")
    scene.height += 24


def _sentence(name: str, reach: Reach | None) -> str:
    if reach is None:
        return "not measured: it would take too much memory"
    return f"by {name}: {reach_in_words(reach)}".replace("by measured", "measured")


def reach_in_words(reach: Reach) -> str:
    """The three numbers of a receptive field."""
    return (
        f"receptive field {_count(reach.receptive_field)}, look-ahead {_count(reach.latency)}, "
        f"look-back {_count(reach.lookback)}"
    )


def _count(value: float) -> str:
    return "all" if math.isinf(value) else str(int(value))
