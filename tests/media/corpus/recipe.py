"""One file of the corpus: how it is made, who else reads it, and how near our values must come."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class NotMadeError(Exception):
    """A program here does not make this file."""


@dataclass(frozen=True)
class Recipe:
    """One file.

    kind: audio, image or video. group: the row of the table that it counts in. name: of the file.
    make: writes it. oracle: values as another decoder has them; see the checks of each kind for their shape.
    tolerance: largest difference allowed, in the oracle's own units; reason: why it is not 0.
    refused: a part of the message, where the file is refused. programs: what must be installed.
    slack: samples by which the lengths may differ, where decoders leave out other parts of a padding.
    """

    kind: str
    group: str
    name: str
    make: Callable[[Path], None]
    oracle: Callable[[Path], np.ndarray]
    tolerance: float = 0.0
    reason: str = ""
    refused: str = ""
    programs: tuple[str, ...] = ("ffmpeg",)
    slack: int = 0

    @property
    def title(self) -> str:
        """Unique among all."""
        return f"{self.kind}/{self.group}/{self.name}"

    def missing(self) -> list[str]:
        """Programs that are not installed here."""
        return [program for program in self.programs if shutil.which(program) is None]


@dataclass(frozen=True)
class Row:
    """What became of a recipe. status: exact, nearly, refused, wrong or skipped; detail: how, or why."""

    recipe: Recipe
    status: str
    detail: str = ""


def run(*words: object, stdin: bytes | None = None) -> bytes:
    """A program's standard output. Raises NotMadeError with its last line where it fails."""
    done = subprocess.run([str(word) for word in words], input=stdin, capture_output=True, timeout=120)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotMadeError(lines[-1] if lines else f"{words[0]} ended with {done.returncode}")
    return done.stdout


def ffmpeg(*words: object) -> bytes:
    """The ffmpeg program's standard output."""
    return run("ffmpeg", "-v", "error", "-nostdin", "-y", *words)
