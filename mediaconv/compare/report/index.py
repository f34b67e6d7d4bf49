"""The page of a folder: a row an input with a link to its own page, and the summary over all of them."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mediaconv.compare.comparison import Comparison
from mediaconv.compare.report.table import Column, shown, summary
from mediaconv.counted import counted
from mediaconv.web.page import render_page


def write_index(path: Path, result: Comparison, write: Callable[[Path, str], None]) -> None:
    """Write the index of a folder's comparison."""
    labels = " against ".join(side["label"] for side in result.sides)
    body = "".join([_verdicts(result), _files(result), _summary(result), _failures(result)])
    text = render_page(
        package="mediaconv.compare.report",
        parts=["report.css"],
        title="mediaconv compare",
        heading=labels or "Nothing was compared",
        eyebrow=f"mediaconv compare · {counted(len(result.files), 'file')}",
        body=f'<main id="page">{body}</main>',
    )
    write(path, text)


def _verdicts(result: Comparison) -> str:
    cards = []
    for side in result.sides:
        facts = "".join(f"<li>{html.escape(fact)}</li>" for fact in side["facts"])
        cards.append(
            f'<div class="verdict" style="--tone:var(--{side["role"]})"><b>{html.escape(side["label"])}</b>'
            f"<p>{html.escape(side['verdict'])}</p><ul>{facts}</ul></div>"
        )
    return f'<div class="verdicts">{"".join(cards)}</div>'


def _files(result: Comparison) -> str:
    """A row an input: the mean of its channels, and how many there are."""
    rows = []
    for file in result.files:
        means = [_mean(file["channels"], column) for column in result.columns]
        cells = "".join(f"<td>{shown(m, c)}</td>" for m, c in zip(means, result.columns, strict=True))
        link = f'<a href="{html.escape(quote(os.fsencode(file["report"])))}">{html.escape(file["input"])}</a>'
        rows.append(f'<tr><td class="name">{link}</td><td>{len(file["channels"])}</td>{cells}</tr>')
    note = '<p class="soft">Each number is the mean over the channels of a file.</p>'
    return _card("Files", note + _table(["file", "channels"], result.columns, rows))


def _mean(rows: list[dict[str, Any]], column: Column) -> float | None:
    values = [row[column.key] for row in rows if row.get(column.key) is not None]
    return sum(values) / len(values) if values else None


def _summary(result: Comparison) -> str:
    """Mean and quantiles of every number over all channels of all files."""
    summaries = summary(result.rows, result.columns)
    rows = []
    for name in next(iter(summaries.values()), {}):
        cells = "".join(
            f"<td>{summaries[c.key][name] if name == 'count' else shown(summaries[c.key][name], c)}</td>"
            for c in result.columns
        )
        rows.append(f"<tr><td>{name}</td>{cells}</tr>")
    note = '<p class="soft">Over all channels of all files; q05 is the value that 5 % lie below.</p>'
    return _card("Summary", note + _table([""], result.columns, rows))


def _failures(result: Comparison) -> str:
    if not result.failures:
        return ""
    rows = [
        f'<tr><td class="name">{html.escape(f["input"])}</td><td>{html.escape(f["stage"])}</td>'
        f'<td class="name">{html.escape(f["reason"])}</td></tr>'
        for f in result.failures
    ]
    head = "<thead><tr><th>file</th><th>stage</th><th>reason</th></tr></thead>"
    return _card("Failed", f'<div class="scroll"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>')


def _table(first: list[str], columns: list[Column], rows: list[str]) -> str:
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in first)
    heads += "".join(
        f'<th title="{html.escape(c.help, quote=True)}">{html.escape(c.label)}</th>' for c in columns
    )
    head, body = f"<thead><tr>{heads}</tr></thead>", f"<tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{head}{body}</table></div>'


def _card(title: str, content: str) -> str:
    return f'<section class="card"><h2>{title}</h2>{content}</section>'
