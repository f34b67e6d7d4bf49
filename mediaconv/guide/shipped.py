"""The example configurations that come with the program, each with its purpose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mediaconv

_FOLDERS = ("configs", "../configs")
"""Below the package where it is installed; beside it in the project's own tree."""


@dataclass(frozen=True)
class Shipped:
    """One configuration: its name, its file, and the first sentence of its comment."""

    name: str
    path: Path
    purpose: str


def shipped() -> list[Shipped]:
    """All of them, by name; none where they were not installed."""
    base = Path(mediaconv.__file__).parent
    folder = next((base / place for place in _FOLDERS if (base / place).is_dir()), None)
    files = [] if folder is None else sorted(folder.resolve().glob("*.yaml"))
    return [Shipped(path.stem, path, _purpose(path.read_text())) for path in files]


def _purpose(text: str) -> str:
    """The comment before the first key, to the end of its first sentence."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if "yaml-language-server" not in line:
            lines.append(line.lstrip("# "))
    said = " ".join(lines)
    return said.partition(". ")[0].rstrip(".") + "."
