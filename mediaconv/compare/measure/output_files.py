"""The outputs of one side, and the files of them that a browser plays where their own format is not."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from mediaconv.pipeline import Options, OutputInfo, Pipeline, SourceInfo

Times = Sequence[Fraction] | None


class OutputFiles:
    """A sink and, where a browser cannot play its files, a second one whose files it can."""

    def __init__(
        self, pipeline: Pipeline, folder: Path, source: SourceInfo, output: OutputInfo, options: Options
    ) -> None:
        view = folder / "view"
        view.mkdir(parents=True, exist_ok=True)
        self._played = pipeline.player is not None
        self.main = pipeline.create(folder, source, output, options)
        try:
            self._view = pipeline.preview(view, source, output, options)
        except BaseException:
            self.main.abort()
            raise
        if self._view is None:
            view.rmdir()

    def write(self, values: np.ndarray, times: Times, stored: np.ndarray | None = None) -> None:
        """Append values, (C, n, ...), in the signal's range; `stored`: the same as `main` stores them."""
        if not values.size:
            return
        self.main.write(self.main.format.quantize(values) if stored is None else stored, times)
        if self._view is not None:
            self._view.write(self._view.format.quantize(values), times)

    def finish(self) -> tuple[list[Path], list[Path]]:
        """Complete all files: those that were asked for, and those that a browser shows."""
        files = self.main.finish()
        if self._view is not None:
            return files, self._view.finish()
        return files, files if self._played else []

    def abort(self) -> None:
        """Close all files, complete or not."""
        self.main.abort()
        if self._view is not None:
            self._view.abort()
