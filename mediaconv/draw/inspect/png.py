"""An inspection as PNG pictures, a few for every layer: maps, kernels, values, sums, paths, before and after.

File names begin with the place in the stack: `03_2.layers.0_conv_maps.png`.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mediaconv.draw.inspect.data import tick_label
from mediaconv.draw.inspect.findings import Findings
from mediaconv.draw.inspect.mosaic import DPI, GAP, TITLE, colours, curves, enlarged, fitted, mosaic
from mediaconv.draw.inspect.record import Node
from mediaconv.draw.inspect.sheets import envelope, from_gray
from mediaconv.draw.inspect.sums import Kept
from mediaconv.draw.scene.palette import LIGHT
from mediaconv.filesystem import check_made, write_made

PAGE = 1280
"""Width of a sheet of maps in pixels, as of the page."""
CELL = 320
"""Longest side of a map, where the page has room for it."""
MAX_COLUMNS = 6
CHANNELS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1B1F24", "#A8960C")
"""Of the first channels' curves: colours of Okabe and Ito, yellow darkened to be seen on white."""


def write_pngs(findings: Findings, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the pictures of every node into a folder, which is made. Raises UsageError, WriteError."""
    drawn = [(folder / name, draw) for node in findings.nodes for name, draw in _drawings(findings, node)]
    for path, _ in drawn:
        check_made(path, overwrite=overwrite)
    for path, draw in drawn:
        content = io.BytesIO()
        draw().savefig(content, format="png", dpi=DPI, metadata={"Software": "mediaconv inspect"})
        write_made(path, content.getvalue(), overwrite=overwrite)
    return [path for path, _ in drawn]


def _drawings(findings: Findings, node: Node) -> list[tuple[str, Callable[[], Any]]]:
    """Names of a node's pictures, and what draws each."""
    stem = f"{node.id:02d}_{node.name}" + ("" if node.title == node.name else f"_{node.title}")
    stem = re.sub(r"[^\w.]+", "_", stem)
    drawings: dict[str, Callable[[], Any]] = {
        "maps": lambda: _maps(findings, node),
        "values": lambda: _values(node),
    }
    if node.kernels is not None:
        drawings["kernels"] = lambda: _kernels(node)
    if node.sums:
        drawings["sums"] = lambda: _sums(node)
    if node.paths:
        drawings["paths"] = lambda: _paths(findings, node)
    source = None if node.source is None else findings.nodes[node.source]
    if source is not None and node.kind == "layer" and source.lengths != node.lengths:
        drawings["before_after"] = lambda: _side_by_side(
            findings, [("before", source, 0), ("after", node, 0)], f"{_name(node)}: before and after"
        )
    return [(f"{stem}_{kind}.png", draw) for kind, draw in drawings.items()]


def _name(node: Node) -> str:
    return node.title if node.title == node.name else f"{node.name} {node.title}"


def _values_of(node: Node, file: int, channel: int, column: int = 0) -> np.ndarray:
    """A map as the page holds it: (h, w), or the envelope (2, n) of a curve."""
    sheet, (low, high) = node.sheets[file], node.ranges[channel]
    if len(node.lengths) == 1:
        return from_gray(np.vstack([sheet.tile(2 * channel, 0), sheet.tile(2 * channel + 1, 0)]), low, high)
    return from_gray(sheet.tile(channel, column), low, high)


def _marked_steps(findings: Findings, node: Node) -> list[tuple[int, int, str]]:
    """File, column of its sheet and label of the pictures drawn, evenly chosen where there are many."""
    every = []
    for file, steps in enumerate(node.sheets):
        who = findings.clips[file].name[:18] if len(node.sheets) > 1 else ""
        for column in range(steps.columns):
            when = ""
            if findings.axes == 3:
                ticks, step = findings.ticks[file], node.steps[file][column]
                tick = min((t for t in ticks if math.floor(t / node.stride) >= step), default=ticks[-1])
                when = tick_label(findings, file, tick).split(" · ")[0]
            every.append((file, column, " ".join(filter(None, [who, when]))))
    count = min(len(every), MAX_COLUMNS)
    return [every[i * len(every) // count] for i in range(count)]


def _maps(findings: Findings, node: Node) -> Any:
    title = f"{_name(node)}: maps, {node.channels} × {' × '.join(map(str, node.lengths))}"
    flagged = {f.channel: f.kind for f in reversed(node.stats.flags)}
    labels = [f"{c}" + (f" {flagged[c]}" if c in flagged else "") for c in range(node.shown)]
    if len(node.lengths) == 1:
        rows = [
            (f"{clip.name[:9]} {labels[c]}" if len(findings.clips) > 1 else labels[c], _values_of(node, i, c))
            for i, clip in enumerate(findings.clips)
            for c in range(node.shown)
        ]
        return curves(rows, title)
    marked = _marked_steps(findings, node)
    gray = findings.is_picture(node)
    if len(marked) == 1:
        file, column, _ = marked[0]
        tiles = [_picture(node, file, c, column, gray=gray) for c in range(node.shown)]
        names = [f"channel {label}" for label in labels]
        if findings.is_colour(node):
            tiles, names = [_in_colours(node, file, column), *tiles], ["in colours", *names]
        across = min(len(tiles), max(1, (PAGE - 40) // (max(t.shape[1] for t in tiles) + GAP)))
        return mosaic([tiles[i : i + across] for i in range(0, len(tiles), across)], [], names, title)
    side = min(CELL, (PAGE - 100) // len(marked) - GAP)
    cells = [
        [_picture(node, file, c, column, side, gray=gray) for file, column, _ in marked]
        for c in range(node.shown)
    ]
    if findings.is_colour(node):
        cells.insert(0, [_in_colours(node, file, column, side) for file, column, _ in marked])
        labels.insert(0, "in colours")
    return mosaic(cells, labels, [label for *_, label in marked], title)


def _in_colours(node: Node, file: int, column: int, longest: int = CELL) -> np.ndarray:
    """The first three channels as red, green and blue from 0 to 1."""
    values = np.stack([_values_of(node, file, c, column) for c in range(3)], -1)
    return fitted(np.rint(255 * np.nan_to_num(values).clip(0, 1)).astype(np.uint8), longest)


def _picture(
    node: Node,
    file: int,
    channel: int,
    column: int,
    longest: int = CELL,
    most: float = 0.0,
    gray: bool = False,
) -> np.ndarray:
    values = _values_of(node, file, channel, column)
    if gray:
        low, high = node.ranges[channel]
        bright = np.rint(255 * np.nan_to_num((values - low) / ((high - low) or 1))).astype(np.uint8)
        return fitted(np.repeat(bright[..., None], 3, -1), longest)
    return fitted(colours(values, most or max(map(abs, node.ranges[channel]))), longest)


def _values(node: Node) -> Any:
    from matplotlib.figure import Figure

    stats = node.stats
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    edges = stats.edges if stats.edges[0] < stats.edges[-1] else stats.edges + np.array([-0.5, 0.5])
    axes.stairs(stats.counts.sum(0), edges, fill=True, color=LIGHT["masked"], label="all channels")
    for c in range(min(node.shown, len(CHANNELS))):
        axes.stairs(stats.counts[c], edges, linewidth=1.1, color=CHANNELS[c], label=f"channel {c}")
    for end in stats.ends:
        if edges[0] <= end.value <= edges[-1]:
            axes.axvline(end.value, color=LIGHT["leak"], linestyle="--", linewidth=1)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_title(f"{_name(node)}: values", fontsize=TITLE, fontweight="bold", loc="left")
    axes.set_ylabel("count")
    axes.legend(fontsize=7, ncols=2, frameon=False)
    return figure


def _kernels(node: Node) -> Any:
    kernels = node.kernels
    if kernels is None:
        raise TypeError(f"{node.name} has no kernels")
    weight = np.where(kernels.mask, kernels.weight, np.nan)
    most = float(np.nanmax(np.abs(weight), initial=0))
    cells = [[_kernel_picture(kernel, most) for kernel in row] for row in weight]
    grouped = len({tuple(row) for row in kernels.inputs.tolist()}) > 1
    columns = [f"{i} of group" if grouped else f"in {c}" for i, c in enumerate(kernels.inputs[0])]
    title = f"{_name(node)}: kernels, ±{most:.3g}" + (", gray: masked" if not kernels.mask.all() else "")
    return mosaic(cells, [f"out {o}" for o in range(len(cells))], columns, title)


def _kernel_picture(kernel: np.ndarray, most: float) -> np.ndarray:
    """One kernel, its frames from left to right."""
    flat = kernel.reshape(1, -1) if kernel.ndim == 1 else kernel
    frames = flat[None] if flat.ndim == 2 else flat
    size = max(2, min(14, 120 // max(frames.shape[1:])))
    drawn = [enlarged(colours(f, most), f.shape[0] * size, f.shape[1] * size) for f in frames]
    gap = np.full((drawn[0].shape[0], 4, 3), 255, np.uint8)
    return np.hstack([part for d in drawn for part in (d, gap)][:-1])


def _sums(node: Node) -> Any:
    sums = node.sums[0]
    plan = sums.plan
    rows: list[list[tuple[str, Kept]]] = []
    for i, channel in enumerate(plan.outputs):
        row = [(f"in {c}", kept) for c, kept in zip(plan.shown[i], sums.shares[i], strict=True)]
        rest = sums.rest[i]
        row += [] if rest is None else [("others", rest)]
        rows.append([*row, (f"sum {channel}", sums.total[i]), (f"layer {channel}", sums.output[i])])
    difference = max(s.difference for s in node.sums)
    title = f"{_name(node)}: sums over input channels; largest difference {difference:.2g}"
    if sums.total[0].pictures.shape[0] == 1 and len(node.lengths) == 1:
        flat = [
            (label if label.startswith(("sum", "layer")) else f"{label} → {o}", envelope(kept.pictures[0]))
            for o, row in zip(plan.outputs, rows[:4], strict=False)
            for label, kept in row
        ]
        return curves(flat, title, together=True)
    side = min(CELL, (PAGE - 100) // len(rows[0]) - GAP)
    cells: list[list[np.ndarray | None]] = []
    for row in rows:
        middle = [kept.pictures[len(kept.pictures) // 2] for _, kept in row]
        most = max(float(np.nanmax(np.abs(m), initial=0)) for m in middle)
        factor = side / max(middle[0].shape)
        size = [max(1, round(n * factor)) for n in middle[0].shape]
        cells.append([enlarged(colours(m.astype(np.float64), most), *size) for m in middle])
    grouped = len(set(plan.shown)) > 1
    columns = [
        label if not grouped or k >= len(rows[0]) - 2 else f"share {k}"
        for k, (label, _) in enumerate(rows[0])
    ]
    columns[-2:] = ["sum + bias", "layer"]
    return mosaic(cells, [f"out {o}" for o in plan.outputs], columns, title)


def _paths(findings: Findings, node: Node) -> Any:
    of = [(label.split(" (")[0], findings.nodes[id]) for label, id in node.paths]
    result = {"add": "sum", "mul": "product", "concat": "concatenation"}[node.merge]
    title = f"{_name(node)}: the paths and their {result}"
    if node.merge == "concat":
        shown = [(label, n, c) for label, n in of for c in range(min(n.shown, 4))]
        return _side_by_side(findings, shown, title)
    return _side_by_side(
        findings, [*((label, n, 0) for label, n in of), (result, node, 0)], title, together=True
    )


def _side_by_side(
    findings: Findings, what: Sequence[tuple[str, Node, int]], title: str, together: bool = False
) -> Any:
    """Maps of several nodes in the first file's middle; pictures at one scale, a pixel as large in each."""
    if len(what[0][1].lengths) == 1:
        return curves(
            [(f"{label} {c}", _values_of(n, 0, c)) for label, n, c in what], title, together=together
        )
    largest = max(max(n.lengths[-2:]) for _, n, _ in what)
    most = max(max(map(abs, n.ranges[c])) for _, n, c in what) if together else 0.0
    cells = []
    for _, n, c in what:
        longest = max(4, round(CELL * max(n.lengths[-2:]) / largest))
        cells.append(_picture(n, 0, c, n.sheets[0].columns // 2, longest, most, findings.is_picture(n)))
    return mosaic([cells], [""], [f"{label}, channel {c}" for label, _, c in what], title)
