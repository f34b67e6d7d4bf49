"""A stack drawn as the cone of what one output reads: a row a layer, past and future in two colours (SVG)."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

from torch import nn

from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import axis_map

WIDTH, ROW, BAR, TOP = 460, 44, 20, 40
LONGEST_LABEL = 60
UNBOUNDED = "∞"
PAST, NOW, FUTURE = "var(--a)", "var(--ink)", "var(--b)"


@dataclass(frozen=True)
class Row:
    """After a layer: its name, and the input steps that an output has read by then, before and after it."""

    label: str
    back: float
    ahead: float


def rows_of(module: nn.Module, axis: int = 0) -> list[Row]:
    """One row for each layer of a stack that has a window, in order; activations are left out."""
    children = list(module) if isinstance(module, nn.Sequential) else [module]
    flat: list[nn.Module] = []
    for child in children:
        flat.extend(child if isinstance(child, nn.Sequential) else [child])
    rows, maps = [], []
    for layer in flat:
        along = axis_map(layer, axis)
        maps.append(along)
        so_far: AxisMap = Chain(tuple(maps))
        if along.receptive_field > 1 or along.total_stride != 1:
            rows.append(Row(_short(layer), float(so_far.lookback), float(so_far.latency)))
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
        if (
            isinstance(numbers, int | tuple)
            and _numbers(numbers) not in ("", "1")
            and set(_each(numbers)) != {1}
        ):
            words.append(f"{name} {_numbers(numbers)}")
    return ", ".join(words)


def _short(layer: nn.Module) -> str:
    """A layer as a row names it: that it is causal is seen."""
    text = describe(layer).removeprefix("Causal")
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


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
    height = TOP + ROW * len(rows) + BAR + 6
    middle = WIDTH / 2
    edge = middle - 10
    scale = edge / max(1.0, reach)
    last = rows[-1]
    words = f"an output reads {_steps(last.back)} {unit} before and {_steps(last.ahead)} after its own"
    parts = [
        f'<svg class="stack" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(words)}">',
        _text(middle, 14, "its own time", anchor="middle", quiet=True),
        _text(middle - 62, 14, "← earlier", anchor="end", quiet=True),
        _text(middle + 62, 14, "later →", quiet=True),
        f'<line x1="{middle}" x2="{middle}" y1="22" y2="{height}" stroke="{NOW}" '
        'stroke-dasharray="3 4" opacity=".5"/>',
    ]
    for i, row in enumerate([Row("input", 0.0, 0.0), *rows]):
        parts += _bar(row, TOP + i * ROW, middle, scale, edge)
    return "".join([*parts, "</svg>"])


def _bar(row: Row, y: float, middle: float, scale: float, edge: float) -> list[str]:
    """One layer: its name, a bar to either side, and the numbers."""
    back, ahead = (edge if math.isinf(n) else min(edge, n * scale) for n in (row.back, row.ahead))
    own = max(3.0, min(10.0, scale * 0.8))
    parts = [_text(4, y - 5, row.label)]
    for width, steps, side, colour in ((back, row.back, -1, PAST), (ahead, row.ahead, 1, FUTURE)):
        if not width:
            continue
        left = middle - width if side < 0 else middle
        parts.append(
            f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="4" fill="{colour}"/>'
        )
        sign = "−" if side < 0 else "+"
        parts.append(_count(f"{sign}{_steps(steps)}", middle + side * width, y + 10, width > 46, side))
    box = f'x="{middle - own / 2:.1f}" y="{y - 1}" width="{own:.1f}" height="{BAR + 2}"'
    return [*parts, f'<rect {box} rx="2" fill="{NOW}"/>']


def _text(x: float, y: float, text: str, *, anchor: str = "start", quiet: bool = False) -> str:
    kind = ' class="quiet"' if quiet else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{html.escape(text)}</text>'


def _count(text: str, x: float, y: float, inside: bool, side: int) -> str:
    """A number at a bar's end: in it where there is room."""
    left = x - 7 * side if inside else x + 6 * side
    anchor = "start" if (side < 0) == inside else "end"
    colour = ' style="fill:var(--card)"' if inside else ""
    return f'<text x="{left:.1f}" y="{y + 4}" text-anchor="{anchor}"{colour}>{text}</text>'


def _steps(n: float) -> str:
    return UNBOUNDED if math.isinf(n) else f"{int(n):,}"
