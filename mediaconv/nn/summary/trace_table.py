"""A trace written down: a table for the terminal, Markdown, HTML for a notebook, and JSON for programs."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mediaconv.nn.summary.cost import CONVENTION
from mediaconv.nn.summary.trace_rows import Row, TraceRows

_HEAD = (
    "layer", "kind", "input", "output", "parameters", "multiply-adds", "receptive field", "stride", "latency",
    "look-ahead", "state", "activations",
)  # fmt: skip
_LEAVE_OUT = ("input", "look-ahead", "activations", "stride", "state", "multiply-adds")
"""What a narrow table goes without, the first one first."""
_GAP = 3
"""Characters between two columns."""
_CUT = 16
"""To how many characters names and kinds are cut before a column is left out."""
_LEFT = 2
"""Columns that are set to the left."""


def trace_json(made: TraceRows) -> dict[str, Any]:
    """Strict JSON: shapes as lists of integers without the batch; null where a field is infinite."""
    return {
        "axes": list(made.axes),
        "input_shape": list(made.shape),
        "channel_names": list(made.channel_names),
        "time_axis": made.axes[1 + made.time_axis],
        "convention": CONVENTION,
        "layers": [_row_json(row, made.axes) for row in made.rows],
        "totals": {
            k: v for k, v in _row_json(made.total, made.axes).items() if k not in ("name", "layer", "moves")
        },
    }


def _row_json(row: Row, axes: Sequence[str]) -> dict[str, Any]:
    return {
        "name": row.name,
        "layer": row.layer,
        "axes": list(axes),
        "moves": list(row.moves),
        "input_shape": list(row.before),
        "output_shape": list(row.after),
        "parameters": row.parameters,
        "multiply_adds": row.multiply_adds,
        "receptive_field": [_finite(n) for n in row.receptive_field],
        "stride": [int(s) if s.denominator == 1 else float(s) for s in row.stride],
        "latency": _finite(row.latency),
        "lookahead": _finite(row.lookahead),
        "state_bytes": {"estimated": row.state_bytes[0], "measured": row.state_bytes[1]},
        "activation_bytes": {"estimated": row.activation_bytes[0], "measured": row.activation_bytes[1]},
    }


def _finite(value: float) -> int | None:
    return None if math.isinf(value) else int(value)


def trace_text(made: TraceRows, *, width: int | None = None) -> str:
    """The table as plain text.

    width: in characters; where the table needs more it has fewer columns, and then names are cut, but no row
    is broken. None: as wide as it needs.
    """
    cells = [_cells(row) for row in (*made.rows, made.total)]
    columns, most = _fitting(cells, width)
    table = Table(box=box.SIMPLE_HEAD, title=_caption(made), title_justify="left", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "left" if column < _LEFT else "right"
        table.add_column(
            _HEAD[column], justify=justify, no_wrap=True, overflow="ellipsis", max_width=most.get(column)
        )
    for row in cells[:-1]:
        table.add_row(*(Text(row[column]) for column in columns))
    table.add_section()
    table.add_row(*(Text(cells[-1][column]) for column in columns))
    console = Console(width=width or 400, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
        for line in _moves(made):
            console.print(Text(line))
        console.print(Text(_notes(made, columns)))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _fitting(cells: Sequence[Sequence[str]], width: int | None) -> tuple[list[int], dict[int, int]]:
    """The columns that a table of `width` characters has room for, and how wide names may be in it."""
    columns = list(range(len(_HEAD)))
    longest = [max(len(_HEAD[n]), *(len(row[n]) for row in cells)) for n in columns]
    if width is None:
        return columns, {}

    def needed(cut: int) -> int:
        return sum(_GAP + (min(cut, longest[n]) if n < _LEFT else longest[n]) for n in columns)

    for name in _LEAVE_OUT:
        if needed(_CUT) > width:
            columns.remove(_HEAD.index(name))
    fits = [cut for cut in range(max(longest[:_LEFT]) + 1) if needed(cut) <= width]
    return columns, dict.fromkeys(range(_LEFT), max(fits, default=_CUT))


def trace_markdown(made: TraceRows) -> str:
    """The table in Markdown."""
    lines = [
        _caption(made),
        "",
        f"| {' | '.join(_HEAD)} |",
        f"| {' | '.join('---' if n < _LEFT else '---:' for n in range(len(_HEAD)))} |",
        *(f"| {' | '.join(_cells(row))} |" for row in (*made.rows, made.total)),
        "",
        *_moves(made),
        _notes(made),
    ]
    return "\n".join(lines) + "\n"


def trace_html(made: TraceRows) -> str:
    """The table as HTML, styled for light and dark notebooks: lines in the colour of the text."""
    style = 'style="text-align:{};padding:2px 8px;font-variant-numeric:tabular-nums"'
    sides = ["left" if n < _LEFT else "right" for n in range(len(_HEAD))]

    def line(tag: str, cells: Sequence[str]) -> str:
        inner = "".join(
            f"<{tag} {style.format(side)}>{html.escape(cell)}</{tag}>"
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = "".join(line("td", _cells(row)) for row in made.rows)
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;font-size:13px">'
        f"<caption>{html.escape(_caption(made))}</caption><thead>{line('th', _HEAD)}</thead>"
        f"<tbody>{body}</tbody><tfoot>{line('th', _cells(made.total))}</tfoot></table>"
        f"<small>{html.escape(_notes(made))}</small></div>"
    )


def _caption(made: TraceRows) -> str:
    named = ", ".join(f"{axis} {n}" for axis, n in zip(made.axes, made.shape, strict=True))
    speakers = f" ({' '.join(made.channel_names)})" if made.channel_names else ""
    return f"input: {named}{speakers}"


def _moves(made: TraceRows) -> list[str]:
    """What reshapes do to the axes, a line each."""
    return [f"{row.name}: {'; '.join(row.moves)}" for row in made.rows if row.moves]


def _notes(made: TraceRows, columns: Sequence[int] = range(len(_HEAD))) -> str:
    """What the columns that are shown mean, and which ones a narrow table has left out."""
    axes = " × ".join(made.axes[1:])
    along = f" along {made.axes[1 + made.time_axis]}" if len(made.axes) > 2 else ""
    unmeasured = "" if made.total.state_bytes[1] is not None else " (too large an input to measure)"
    shown = {_HEAD[column] for column in columns}
    field = "receptive field and stride" if "stride" in shown else "receptive field"
    said = {
        "output": f"{'input, output' if 'input' in shown else 'output'}: {' × '.join(made.axes)}",
        "receptive field": f"{field}: {axes}, from the input on",
        "latency": f"latency: in steps of the input{along}",
        "look-ahead": "look-ahead: the layer's own",
        "multiply-adds": CONVENTION,
        "state": f"memory as float32: estimated / measured where they differ{unmeasured}",
    }
    missing = [name for name in _HEAD if name not in shown]
    parts = [text for column, text in said.items() if column in shown]
    return "; ".join([*parts, *([f"left out: {', '.join(missing)} (--wide)"] if missing else [])])


def _cells(row: Row) -> list[str]:
    return [
        "  " * row.depth + row.name,
        row.layer,
        "×".join(map(str, row.before)),
        "×".join(map(str, row.after)),
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}",
        "×".join(_count(n) for n in row.receptive_field),
        "×".join(_fraction(s) for s in row.stride),
        _count(row.latency),
        _count(row.lookahead),
        _memory(row.state_bytes),
        _memory(row.activation_bytes),
    ]


def _count(value: float) -> str:
    return "all" if math.isinf(value) else str(int(value))


def _fraction(value: Fraction) -> str:
    return str(value)


def _memory(pair: tuple[int, int | None]) -> str:
    estimated, measured = pair
    return (
        _bytes(estimated)
        if measured in (None, estimated)
        else f"{_bytes(estimated)} / {_bytes(int(measured or 0))}"
    )


def _bytes(count: int) -> str:
    """
    >>> [_bytes(n) for n in (0, 999, 4096, 123456789)]
    ['0', '999 B', '4.1 kB', '123 MB']
    """
    if count == 0:
        return "0"
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            size = count / 10**power
            return f"{size:.1f} {unit}" if size < 100 else f"{size:.0f} {unit}"
    return f"{count} B"
