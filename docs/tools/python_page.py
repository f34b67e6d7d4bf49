"""Makes docs/reference/python.md from the docstrings of the public names, so that the two cannot differ.

python docs/tools/python_page.py
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

NAMES = re.compile(r"[a-z][a-z_]*(, [a-z_]+)*: ")
"""What a docstring tells of one or several names begins like this."""
PATH = Path(__file__).parents[1] / "reference" / "python.md"
HEAD = """# From Python

`import mediaconv` gives what the commands do; torch loads when a function is first called. Every example on
this page runs as a test. This page is made from the docstrings by `docs/tools/python_page.py`; the layers are
in [Layers and streams](streaming.md).

    import mediaconv

    mediaconv.run("configs/video_causal.yaml")              # a configuration over its inputs
    mediaconv.convert(model, "in.mp4", "out/")              # any torch module over one file
    y = mediaconv.convert(model, x, normalize="none")       # or over an array, or chunks of one

A `Config` is a YAML file, a mapping of the same keys, or what `load_config` gives; a `Model` is a torch
module, a list of layers, or a `Config`. Errors are `mediaconv.errors.MediaconvError`: `UsageError` (and its
`ConfigError`) for what the caller can mend, `ReadError`, `ComputeError` and `WriteError` for a file that
fails, each with its `stage`.
"""
RESULTS = {
    "run": "mediaconv.run.report.summary:Summary",
    "convert": "mediaconv.run.jobs.convert_job:Written",
    "compare": "mediaconv.compare.comparison:Comparison",
    "prove": "mediaconv.compare.prove.verdict:Verdict",
    "trace": "mediaconv.nn.summary.trace:Trace",
}
"""What a function returns, where that is a class of ours."""


def page() -> str:
    """The whole page."""
    front = importlib.import_module("mediaconv.front")
    parts = [HEAD]
    for name in front.__all__:
        parts.append(f"## {name}\n\n{signature(name, getattr(front, name))}\n{prose(getattr(front, name))}")
        if name in RESULTS:
            module, _, kind = RESULTS[name].partition(":")
            parts.append(result(getattr(importlib.import_module(module), kind)))
    return "\n".join(parts)


def signature(name: str, function: Any) -> str:
    """How it is called, a parameter a line."""
    found = inspect.signature(function)
    lines, keyword_only = [f"    mediaconv.{name}("], False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            lines.append("        *,")
            keyword_only = True
        lines.append(f"        {parameter},".replace("'", ""))
    return "\n".join([*lines, f"    ) -> {found.return_annotation}", ""])


def prose(thing: Any) -> str:
    """A docstring as Markdown: its first line, paragraphs, lists of what it tells of names, and examples."""
    blocks = (inspect.getdoc(thing) or "").split("\n\n")
    return "\n\n".join(map(_block, blocks)) + "\n"


def _block(text: str) -> str:
    if text.startswith(">>>"):
        return "\n".join(f"    {line}" for line in text.splitlines())
    joined: list[str] = []
    for line in text.splitlines():
        if line.startswith("    ") and joined:
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    if not any(NAMES.match(line) for line in joined):
        return "\n".join(joined)
    lines: list[str] = []
    for line in joined:
        named = NAMES.match(line)
        if lines and not named and lines[-1].startswith("- "):
            lines.append("")
        lines.append(f"- {line}" if named else line)
    return "\n".join(lines)


def result(kind: type) -> str:
    """What comes back: its fields and properties."""
    rows = [f"| `{field.name}` | `{field.type}` |".replace("'", "") for field in dataclasses.fields(kind)]
    for name, value in vars(kind).items():
        if isinstance(value, property) and not name.startswith("_"):
            rows.append(f"| `{name}` | {' '.join((inspect.getdoc(value) or '').split())} |")
    table = "\n".join(["| | |", "|---|---|", *(row.replace(" | None", " or None") for row in rows)])
    return f"What comes back, `{kind.__name__}`:\n\n{prose(kind)}\n{table}\n"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
