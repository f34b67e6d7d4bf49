"""An inspection as the page's script reads it: plain numbers, words and base64. No HTML here."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from mediaconv.draw.inspect.findings import Findings
from mediaconv.draw.inspect.kernel_maps import Kernels
from mediaconv.draw.inspect.record import Node
from mediaconv.draw.inspect.sheets import Sheet, curve_sheet, picture_sheet
from mediaconv.draw.inspect.sums import Kept, Sums

WORDS = {1: "sample", 2: "image", 3: "frame"}


def page_data(findings: Findings) -> dict[str, Any]:
    """Everything that the page shows."""
    return {
        "axes": findings.axes,
        "axisNames": list(findings.pipeline.axes),
        "word": WORDS[findings.axes],
        "files": [_file(findings, i) for i in range(len(findings.clips))],
        "outline": [list(entry) for entry in findings.outline],
        "nodes": [_node(findings, node) for node in findings.nodes],
        "notes": list(findings.notes),
    }


def tick_label(findings: Findings, file: int, tick: Fraction) -> str:
    """A step of a file in words: `frame 12 · 0.400 s`."""
    clip = findings.clips[file]
    number = f"{int(tick)}" if tick.denominator == 1 else f"{float(tick):.2f}".rstrip("0")
    index = math.floor(tick) - clip.first
    seconds = "" if clip.seconds is None else f" · {clip.seconds[index]:.3f} s"
    return f"{WORDS[findings.axes]} {number}{seconds}"


def _file(findings: Findings, i: int) -> dict[str, Any]:
    clip = findings.clips[i]
    return {
        "name": clip.name,
        "start": clip.start,
        "stop": clip.stop,
        "rate": findings.rate,
        "ticks": [tick_label(findings, i, t) for t in findings.ticks[i]] if findings.axes == 3 else [],
    }


def _node(findings: Findings, node: Node) -> dict[str, Any]:
    stats = node.stats
    return {
        "id": node.id,
        "name": node.name,
        "title": node.title,
        "kind": node.kind,
        "detail": node.detail,
        "source": node.source,
        "channels": node.channels,
        "lengths": list(node.lengths),
        "stride": float(node.stride),
        "parameters": node.parameters,
        "gray": findings.is_picture(node),
        "colour": findings.is_colour(node),
        "ranges": [[short(a), short(b)] for a, b in node.ranges],
        "sheets": [_sheet(findings, node, i) for i in range(len(node.sheets))],
        "stats": {
            "values": stats.values,
            "notFinite": stats.not_finite,
            "low": _shorts(stats.low[: node.shown]),
            "high": _shorts(stats.high[: node.shown]),
            "mean": _shorts(stats.mean[: node.shown]),
            "deviation": _shorts(stats.deviation[: node.shown]),
            "zeros": _shorts(stats.zeros[: node.shown]),
            "edges": [short(stats.edges[0]), short(stats.edges[-1])],
            "counts": stats.counts[: node.shown].tolist(),
            "total": stats.counts.sum(0).tolist(),
            "ends": [short(end.value) for end in stats.ends],
        },
        "flags": [[f.channel, f.kind, f.text] for f in stats.flags],
        "kernels": None if node.kernels is None else _kernels(node.kernels),
        "sums": _sums(node) if node.sums else None,
        "paths": [list(path) for path in node.paths],
        "merge": node.merge,
        "mergeDifference": short(node.merge_difference),
    }


def _sheet(findings: Findings, node: Node, i: int) -> dict[str, Any]:
    """One file's sheet; `at`: the column of every tick."""
    sheet, steps = node.sheets[i], node.steps[i]
    made = packed(sheet)
    made["at"] = [_column(steps, math.floor(tick / node.stride)) for tick in findings.ticks[i]]
    made["lengths"] = list(node.sizes[i])
    if len(node.lengths) == 1:
        made["samples"] = node.sizes[i][0]
    return made


def _column(steps: Sequence[int], step: int) -> int:
    """The last column at or before a step."""
    return max((k for k, s in enumerate(steps) if s <= step), default=0)


def packed(sheet: Sheet) -> dict[str, Any]:
    """A sheet as the page's script reads it."""
    png = base64.b64encode(sheet.png()).decode("ascii")
    return {"png": png, "h": sheet.height, "w": sheet.width, "columns": sheet.columns}


def _kernels(kernels: Kernels) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(kernels.weight, "<f4").tobytes()).decode("ascii")
    return {
        "shape": list(kernels.weight.shape),
        "data": data,
        "mask": kernels.mask.reshape(-1).astype(int).tolist(),
        "bias": None if kernels.bias is None else _shorts(kernels.bias),
        "inputs": kernels.inputs.tolist(),
        "outputs": kernels.outputs,
        "groupInputs": kernels.group_inputs,
    }


def _sums(node: Node) -> dict[str, Any]:
    """Rows of the sheets: of every output its shares, the others together, the sum, the layer's own."""
    first = node.sums[0]
    outputs: list[dict[str, Any]] = []
    rows: list[list[Kept]] = [[] for _ in node.sums]
    for i, channel in enumerate(first.plan.outputs):
        each = [_rows_of(s, i) for s in node.sums]
        for mine, more in zip(rows, each, strict=True):
            mine += more
        others = len(first.plan.inputs[i]) - len(first.plan.shown[i])
        outputs.append(
            {
                "channel": channel,
                "inputs": list(first.plan.shown[i]),
                "others": others,
                "bias": None if first.bias is None else short(float(first.bias[i])),
                "first": len(rows[0]) - len(each[0]),
                "points": [[_shorts(kept.points) for kept in more] for more in each],
            }
        )
    ranges = [_range([r[k].pictures for r in rows]) for k in range(len(rows[0]))]
    difference, bound = max(s.difference for s in node.sums), max(s.bound for s in node.sums)
    return {
        "outputs": outputs,
        "ranges": [[short(a), short(b)] for a, b in ranges],
        "sheets": [packed(_kept_sheet(r, ranges)) for r in rows],
        "difference": short(difference),
        "bound": short(bound),
        "agrees": bool(difference <= bound),
    }


def _rows_of(sums: Sums, i: int) -> list[Kept]:
    rest = sums.rest[i]
    return [*sums.shares[i], *([] if rest is None else [rest]), sums.total[i], sums.output[i]]


def _range(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    finite = [p[np.isfinite(p)] for p in pictures]
    some = [p for p in finite if p.size]
    return min((float(p.min()) for p in some), default=0.0), max((float(p.max()) for p in some), default=0.0)


def _kept_sheet(rows: Sequence[Kept], ranges: Sequence[tuple[float, float]]) -> Sheet:
    if rows[0].pictures.ndim == 2:
        return curve_sheet([kept.pictures[0] for kept in rows], ranges)
    side = max(rows[0].pictures.shape[1:])
    return picture_sheet([list(kept.pictures) for kept in rows], ranges, side=side)


def short(value: float) -> float | None:
    """A number with seven digits; None for what JSON cannot say."""
    return float(f"{value:.7g}") if math.isfinite(value) else None


def _shorts(values: np.ndarray) -> list[float | None]:
    return [short(float(v)) for v in values]
