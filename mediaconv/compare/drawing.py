"""A stack drawn as the cone of what one output reads: a row a layer, past and future in two colours (SVG)."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

from torch import nn

from mediaconv.nn.geometry import AxisMap, Chain
from mediaconv.nn.layer import axis_map

WIDTH, ROW, LEFT, TOP = 620, 34, 196, 44
UNBOUNDED = "∞"
PAST, NOW, FUTURE = "var(--a)", "var(--ink)", "var(--b)"


@dataclass(frozen=True)
class Row:
    """After a layer: its name, and the input steps that an output has read by then, before and after its own."""

    label: str
    back: float
    ahead: float


def rows_of(module: nn.Module, axis: int = 0) -> list[Row]:
    """One row for each layer of a stack that has a window, in order; activations are left out."""
    children = list(module.children()) if isinstance(module, nn.Sequential) else [module]
    flat: list[nn.Module] = []
    for child in children:
        flat.extend(child.children() if isinstance(child, nn.Sequential) else [child])
    rows, maps = [], []
    for layer in flat:
        found = axis_map(layer, axis)
        maps.append(found)
        so_far: AxisMap = Chain(tuple(maps))
        if found.receptive_field > 1 or found.stride != 1:
            rows.append(Row(describe(layer), float(so_far.look_back), float(so_far.latency)))
    return rows or [Row("pointwise layers", 0.0, 0.0)]


def describe(layer: nn.Module) -> str:
    """A layer in a few words: what it is, its kernel, stride and dilation where they are not 1.

    >>> from mediaconv.nn import CausalConv1d
    >>> describe(CausalConv1d(1, 1, 3, dilation=4))
    'CausalConv1d 3, dilation 4'
    """
    words = [type(layer).__name__]
    kernel = _numbers(getattr(layer, "kernel_size", None))
    if kernel:
        words[0] += f" {kernel}"
    for name in ("stride", "dilation"):
        numbers = getattr(layer, name, None)
        if isinstance(numbers, int | tuple) and _numbers(numbers) not in ("", "1") and set(_each(numbers)) != {1}:
            words.append(f"{name} {_numbers(numbers)}")
    return ", ".join(words)


def _each(value: int | tuple) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _numbers(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, tuple) and all(isinstance(n, int) for n in value):
        return str(value[0]) if len(set(value)) == 1 else "×".join(map(str, value))
    return ""


def draw_stack(module: nn.Module, *, unit: str, reach: float, axis: int = 0) -> str:
    """The SVG of a stack. unit: what a step is, in the plural. reach: steps that the half width stands for,
    the same for both stacks so that they can be compared."""
    rows = rows_of(module, axis)
    height = TOP + ROW * (len(rows) + 1) + 22
    scale = (WIDTH - LEFT - 24) / 2 / max(1.0, reach)
    middle = LEFT + (WIDTH - LEFT) / 2
    last = rows[-1]
    words = f"an output reads {_steps(last.back)} {unit} before and {_steps(last.ahead)} after its own"
    parts = [
        f'<svg class="stack" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(words)}">',
        f'<line x1="{middle}" x2="{middle}" y1="{TOP - 14}" y2="{height - 24}" stroke="{NOW}" stroke-dasharray="3 4" opacity=".6"/>',
        f'<text x="{middle}" y="{TOP - 24}" text-anchor="middle" class="quiet">its own time</text>',
        f'<text x="{middle - 60}" y="{TOP - 24}" text-anchor="end" class="quiet">← earlier</text>',
        f'<text x="{middle + 60}" y="{TOP - 24}" class="quiet">later →</text>',
    ]
    for i, row in enumerate([Row("input", 0.0, 0.0), *rows]):
        parts += _bar(row, TOP + i * ROW, middle, scale, edge=middle - LEFT - 12)
    parts.append(f'<text x="{middle}" y="{height - 4}" text-anchor="middle">{html.escape(words)}</text></svg>')
    return "".join(parts)


def _bar(row: Row, y: float, middle: float, scale: float, *, edge: float) -> list[str]:
    """One layer: its name, a bar to either side, and the numbers."""
    back, ahead = (edge if math.isinf(n) else min(edge, n * scale) for n in (row.back, row.ahead))
    mid = y + 11
    own = max(3.0, min(10.0, scale * 0.8))
    parts = [f'<text x="{LEFT - 14}" y="{mid + 4}" text-anchor="end">{html.escape(row.label)}</text>']
    if back:
        parts.append(f'<rect x="{middle - back:.1f}" y="{y}" width="{back:.1f}" height="22" rx="4" fill="{PAST}"/>')
        parts.append(_count(f"−{_steps(row.back)}", middle - back, mid, inside=back > 46, side=-1))
    if ahead:
        parts.append(f'<rect x="{middle:.1f}" y="{y}" width="{ahead:.1f}" height="22" rx="4" fill="{FUTURE}"/>')
        parts.append(_count(f"+{_steps(row.ahead)}", middle + ahead, mid, inside=ahead > 46, side=1))
    parts.append(f'<rect x="{middle - own / 2:.1f}" y="{y - 1}" width="{own:.1f}" height="24" rx="2" fill="{NOW}"/>')
    return parts


def _count(text: str, x: float, y: float, *, inside: bool, side: int) -> str:
    """A number at a bar's end: in it where there is room."""
    place = x - 7 * side if inside else x + 6 * side
    anchor = "start" if (side < 0) == inside else "end"
    colour = ' style="fill:var(--card)"' if inside else ""
    return f'<text x="{place:.1f}" y="{y + 4}" text-anchor="{anchor}"{colour}>{text}</text>'


def _steps(n: float) -> str:
    return UNBOUNDED if math.isinf(n) else f"{int(n):,}"
