"""The numbers of a comparison as a table on the terminal, as rows for CSV, and as a summary of a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ACROSS = 6
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Column:
    """One number: its key in JSON and CSV, its heading, what it means."""

    key: str
    label: str
    help: str
    percent: bool = False


def columns(metrics: Sequence[str], sides: Sequence[str], unit: str, *, timed: bool) -> list[Column]:
    """The columns of a comparison.

    metrics: names of those measured (`Pipeline.metrics`).
    sides: names of both; the second is the metrics' reference.
    timed: whether steps have a time, so that shifts have one.
    """
    shown_columns = [
        Column(
            "mean_difference", "mean difference", "mean absolute difference; the range is 1 wide, of sound 2"
        ),
        Column("max_difference", "largest", "largest absolute difference"),
    ]
    ssim = Column("ssim", "SSIM", "structural similarity, 1 is equal")
    known = {
        "snr": Column("snr_db", "SNR dB", f"{sides[1]} as the signal, the difference as the noise"),
        "log_spectral": Column(
            "log_spectral_distance_db", "log-spectral dB", "mean distance of the log spectra"
        ),
        "psnr": Column("psnr_db", "PSNR dB", "peak signal-to-noise ratio; – where both are equal"),
        "ssim": ssim,
        "ssim_frames": ssim,
    }
    shown_columns += [known[name] for name in metrics]
    shown_columns += [
        Column(
            "shift_steps", f"best shift, {unit}", f"{sides[0]} is most like {sides[1]} moved so far later"
        ),
        Column("shift_ms", "best shift, ms", "the same in time"),
    ]
    for side in sides:
        words = f"energy of the reaction of {side} before events, relative to that after them"
        shown_columns.append(Column(f"pre_echo_{side}", f"pre-echo {side}", words, percent=True))
    return shown_columns if timed else [c for c in shown_columns if c.key != "shift_ms"]


def shown(value: float | None, column: Column) -> str:
    """A number as a table shows it.

    >>> shown(0.44349, Column("pre_echo_a", "", "", percent=True)), shown(None, Column("x", "", ""))
    ('44.3 %', '–')
    """
    if value is None:
        return "–"
    if column.percent:
        return "0 %" if value == 0 else f"{100 * value:.1f} %" if value >= 5e-4 else "< 0.1 %"
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 1e-3 else f"{value:.4g}"


def terminal_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Any:
    """Tables for rich's console: a row a number, a column a channel, `ACROSS` channels side by side."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table

    tables = []
    for first in range(0, len(rows), ACROSS):
        part = rows[first : first + ACROSS]
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("channel", no_wrap=True)
        for row in part:
            table.add_column(str(row["channel"]), justify="right", no_wrap=True)
        for column in columns:
            table.add_row(column.label, *(shown(row.get(column.key), column) for row in part))
        tables.append(table)
    return Group(*tables)


def summary(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]
) -> dict[str, dict[str, float | int | None]]:
    """Of each column: how many numbers there are, their mean, least, greatest and quantiles."""
    out: dict[str, dict[str, float | int | None]] = {}
    for column in columns:
        values = np.array([row[column.key] for row in rows if row.get(column.key) is not None], float)
        if not len(values):
            out[column.key] = {"count": 0, "mean": None, "min": None, "max": None}
            out[column.key] |= {f"q{round(100 * q):02d}": None for q in QUANTILES}
            continue
        out[column.key] = {
            "count": len(values),
            "mean": float(values.mean()),
            "min": float(values.min()),
            "max": float(values.max()),
            **{f"q{round(100 * q):02d}": float(np.quantile(values, q)) for q in QUANTILES},
        }
    return out
