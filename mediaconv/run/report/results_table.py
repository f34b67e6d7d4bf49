"""The results of a run as a table on the terminal and as CSV: a row an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediaconv.run.report.formatting import duration, escaped, size
from mediaconv.run.resume.status import Status
from mediaconv.web.csv_text import csv_text

KEYS = ("input", "status", "seconds", "media_seconds", "input_shape", "output_shape", "files", "bytes",
        "clipped", "attempts", "stage", "reason", "notes")  # fmt: skip
_COLUMNS = ("input", "status", "took", "length", "shape", "files", "size", "clipped")
_LEAST_NAME = 12


def result_rows(status: Status) -> list[dict[str, Any]]:
    """What became of every input, sorted by name; numbers only where it ran."""
    states = {**dict.fromkeys(status.done, "done"), **dict.fromkeys(status.failed, "failed")}
    states |= {**dict.fromkeys(status.missing, "missing"), **dict.fromkeys(status.stale, "stale")}
    reasons = {**status.missing, **status.stale}
    return [_row(status, name, states[name], reasons.get(name)) for name in sorted(states)]


def _row(status: Status, name: str, state: str, reason: str | None) -> dict[str, Any]:
    columns: dict[str, Any] = {"input": name, "status": state, "reason": reason}
    row = status.rows.get(name)
    if row is None:
        return columns
    columns |= {"seconds": row.seconds, "media_seconds": row.media_seconds, "attempts": row.attempts}
    columns |= {"stage": row.stage, "reason": reason or row.reason, "notes": "; ".join(row.notes) or None}
    if row.outputs:
        columns |= {"files": len(row.outputs), "bytes": sum(int(file["bytes"]) for file in row.outputs)}
        columns |= {"input_shape": _shape(row.input_shape), "output_shape": _shape(row.output_shape)}
        columns["clipped"] = row.clipped
    return columns


def _shape(shape: Sequence[int] | None) -> str | None:
    return None if shape is None else "x".join(map(str, shape))


def results_csv(status: Status) -> str:
    """A header and a row an input."""
    return csv_text(result_rows(status), KEYS)


def results_text(status: Status, *, width: int) -> str:
    """A table no wider than `width` characters: it has fewer columns, and then names are cut.

    Inputs that did not run have their reason below the table.
    """
    rows = result_rows(status)
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in [_COLUMNS, *cells]) for i in range(len(_COLUMNS))]
    kept = len(_COLUMNS)
    while kept > 2 and _LEAST_NAME + sum(w + 2 for w in widths[1:kept]) > width:
        kept -= 1
    rest = sum(w + 2 for w in widths[1:kept])
    widths[0] = max(1, min(widths[0], width - rest))
    lines = [_line(line[:kept], widths) for line in [_COLUMNS, *cells]]
    reasons = [(row["input"], row["stage"], row["reason"]) for row in rows if row.get("reason")]
    lines += [f"{name}: {f'{stage}: ' if stage else ''}{reason}" for name, stage, reason in reasons]
    return "\n".join(escaped(line) for line in lines)


def _cells(row: dict[str, Any]) -> list[str]:
    took, length = row.get("seconds"), row.get("media_seconds")
    return [
        escaped(row["input"]),
        row["status"],
        "" if took is None else duration(took),
        "" if length is None else duration(length),
        row.get("output_shape") or "",
        str(row.get("files") or ""),
        size(row["bytes"]) if row.get("bytes") else "",
        f"{row['clipped']:,}" if row.get("clipped") else "",
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name = cells[0] if len(cells[0]) <= widths[0] else "…" + cells[0][1 - widths[0] :]
    rest = [cells[1].ljust(widths[1])] + [c.rjust(w) for c, w in zip(cells[2:], widths[2:], strict=False)]
    return "  ".join([name.ljust(widths[0]), *rest]).rstrip()
