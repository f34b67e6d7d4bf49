"""A comparison as one HTML page that opens without a network. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from mediaconv.compare.measure.session import DIFFERENCE, Compared
from mediaconv.compare.measure.step_times import middle
from mediaconv.compare.report.media_links import (
    INLINE_FILE_BYTES,
    INLINE_PAGE_BYTES,
    MediaLinks,
    data_address,
)
from mediaconv.compare.report.table import Column
from mediaconv.counted import counted
from mediaconv.draw.receptive.layers_reach import reach_rows, reach_scene, steps_text
from mediaconv.draw.scene.svg import svg
from mediaconv.pipeline import Pipeline
from mediaconv.web.page import render_page

PARTS = (
    "report.css",
    *(f"report_{name}.js" for name in ("core", "charts", "video", "levels", "audio", "image", "page")),
)
SPECTROGRAMS = 16
"""Channels of which spectrograms are drawn."""
PAGE_COLOURS = {
    "paper": "none",
    "ink": "var(--ink)",
    "soft": "var(--soft)",
    "now": "var(--ink)",
    "used": "var(--a)",
    "leak": "var(--b)",
    "used-ink": "var(--card)",
    "leak-ink": "var(--card)",
}
"""The roles of a scene in the page's own colours, which follow its theme."""


def write_page(
    path: Path,
    compared: Compared,
    sides: Sequence[Mapping[str, Any]],
    pipeline: Pipeline,
    target: Path,
    columns: Sequence[Column],
    write: Callable[[Path, str], None],
) -> None:
    """Write the page of one input. sides: their rows of `side_rows`. target: where its media lie."""
    content = page_data(compared, sides, pipeline, target, columns, MediaLinks(path))
    text = render_page(
        package="mediaconv.compare.report",
        parts=PARTS,
        title=f"{compared.name} – mediaconv compare",
        heading=f"{sides[0]['label']} against {sides[1]['label']}",
        eyebrow=f"mediaconv compare · {compared.name} · {_dimensions(compared, pipeline)}",
        data=content,
    )
    write(path, text)


def page_data(
    compared: Compared,
    sides: Sequence[Mapping[str, Any]],
    pipeline: Pipeline,
    target: Path,
    columns: Sequence[Column],
    links: MediaLinks,
) -> dict[str, Any]:
    """Everything the page shows, as JSON knows it."""
    many = pipeline.step_units[compared.axis]
    one = many.removesuffix("s")
    steps = compared.input_shape[1 + compared.axis]
    rate = float(compared.info.rate) if compared.info.rate else None
    times = compared.timeline.times
    end = compared.timeline.at(steps)
    height, width = (compared.input_shape[-2:]) if len(compared.input_shape) > 2 else (1, 1)
    versions = _versions(compared, sides, target, links, pipeline.player)
    return {
        "kind": pipeline.player,
        "shown": bool(versions) and all(v["files"] for v in versions),
        "unit": many,
        "unit_one": one,
        "steps": steps,
        "rate": rate,
        "seconds": steps if end is None else float(end),
        "times": times,
        "ratio": width / height,
        "width": width,
        "range": pipeline.signal_range,
        "level": f"Mean brightness of every {one}." if pipeline.signal_range[0] >= 0 else "Mean level.",
        "sides": [_side(side, compared, many, sides) for side in sides],
        "versions": versions,
        "channels": channel_rows(compared, sides),
        "columns": columns,
        "curves": compared.curves,
        "input_curve": compared.input_curve,
        "events": _events(compared),
        "mismatch": compared.mismatch,
        "legend": " ".join(f"{c.label}: {c.help}." for c in columns if not c.percent),
        "reading": f"Layer by layer, the {many} of the input that one output has read; both to one scale.",
        "footer": _footer(compared),
    }


def channel_rows(compared: Compared, sides: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The numbers of each channel, with the shift in milliseconds and both pre-echoes."""
    stride = compared.models[sides[0]["name"]].maps[compared.axis].total_stride
    rows = []
    for i, numbers in enumerate(compared.channels):
        shift = numbers["shift_steps"]
        row: dict[str, Any] = {"channel": i, **numbers}
        spans = None if shift is None else compared.timeline.span_ms(Fraction(shift) * stride)
        row["shift_ms"] = middle(spans)
        row["shift_ms_range"] = spans
        for side in sides:
            row[f"pre_echo_{side['name']}"] = compared.reactions.pre_echo(side["name"], i)
        rows.append(row)
    return rows


def _versions(
    compared: Compared,
    sides: Sequence[Mapping[str, Any]],
    target: Path,
    links: MediaLinks,
    player: str | None,
) -> list[dict[str, Any]]:
    """Input, both sides and their difference, with the addresses of their files."""
    wanted = [("input", "input", "input", "")]
    wanted += [(side["name"], side["role"], side["label"], side["note"]) for side in sides]
    note = "half of it, around the middle" if player == "audio" else "gray: equal"
    wanted.append((DIFFERENCE, "difference", "difference", note))
    out = []
    for name, role, label, note in wanted:
        files = compared.versions.get(name)
        if files is None:
            continue
        shown = []
        for i, file in enumerate(files.shown):
            address, linked = links.address(target / file)
            item: dict[str, Any] = {"src": address, "linked": linked}
            if player == "audio" and i < SPECTROGRAMS:
                from mediaconv.compare.report.spectrogram import spectrogram_png

                item["spectrogram"] = data_address(spectrogram_png(target / file), "image/png")
            shown.append(item)
        out.append({"name": name, "role": role, "label": label, "note": note, "files": shown})
        out[-1]["curve"] = role if role in ("a", "b") else DIFFERENCE
    return out


def _side(
    side: Mapping[str, Any], compared: Compared, unit: str, sides: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the page says of one stack."""
    modules = [compared.models[s["name"]].module for s in sides]
    axis = compared.axis
    rows = [row for module in modules for row in reach_rows(module, axis)]
    finite = [n for row in rows for n in (row.lookback, row.lookahead) if not math.isinf(n)]
    model = compared.models[side["name"]]
    own = reach_rows(model.module, axis)
    back, ahead = (steps_text(n) for n in (own[-1].lookback, own[-1].lookahead))
    words = f"an output reads {back} {unit} before and {ahead} after its own"
    scene = reach_scene(own, furthest=max([1.0, *finite]))
    return {
        **{key: side[key] for key in ("name", "role", "label", "verdict", "facts", "reads")},
        "stride": model.maps[axis].total_stride,
        "drawing": svg([scene], label=words, colours=PAGE_COLOURS),
    }


def _events(compared: Compared) -> list[dict[str, Any]]:
    return [
        {
            "step": event.step,
            "energy": event.energy,
            "seconds": compared.timeline.at(event.step),
            "reactions": compared.reactions.to(k),
        }
        for k, event in enumerate(compared.events)
    ]


def _dimensions(compared: Compared, pipeline: Pipeline) -> str:
    """The size of an input in words."""
    channels, *lengths = compared.input_shape
    unit, rate = pipeline.step_units[0], compared.info.rate
    words = [" × ".join(counted(n, name) for n, name in zip(lengths, pipeline.step_units, strict=True))]
    words.append(counted(channels, "channel"))
    if rate and compared.timeline.even:
        words.append(f"{float(rate):,.6g} {unit} a second")
    return ", ".join(words)


def _footer(compared: Compared) -> list[str]:
    each, together = (size // 2**20 for size in (INLINE_FILE_BYTES, INLINE_PAGE_BYTES))
    return [
        *compared.notes,
        f"Media of up to {each} MiB each and {together} MiB together are part of this page; longer ones are "
        "linked and must stay beside it. No request leaves the page.",
    ]
