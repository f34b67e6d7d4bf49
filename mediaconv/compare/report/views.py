"""Files that a browser can show: of the input, and of outputs whose own format it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from mediaconv.media.samples import SampleFormat
from mediaconv.pipeline import Options, OutputInfo, Pipeline, Sink, SourceInfo

KINDS = ("audio", "image", "video")
"""Pipelines whose default outputs a browser shows; of another pipeline only the numbers are."""
SHOWN_FORMATS = (None, "mp4", "webm", "png", "jpg", "webp", "wav", "flac")
SOUND = SampleFormat(16, signed=True)

Times = Sequence[Fraction] | None


def shown_by_browsers(options: Options, kind: str) -> bool:
    """Whether the files that these `write` options make show in a browser, one a channel."""
    given = {
        name: getattr(options, name, None) for name in ("layout", "format", "codec", "lossless", "bit_depth")
    }
    if given["layout"] not in (None, "channels") or given["format"] not in SHOWN_FORMATS:
        return False
    if kind != "video":
        return True
    return (
        given["codec"] in (None, "h264", "vp9") and not given["lossless"] and given["bit_depth"] in (None, 8)
    )


class OutputFiles:
    """A sink and, where a browser cannot show its files, a second one with the default format."""

    def __init__(
        self, pipeline: Pipeline, folder: Path, source: SourceInfo, output: OutputInfo, options: Options
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.main = pipeline.create(folder, source, output, options)
        self._view: Sink | None = None
        if pipeline.name not in KINDS or shown_by_browsers(options, pipeline.name):
            return
        try:
            (folder / "view").mkdir()
            self._view = pipeline.create(folder / "view", source, output, pipeline.write_options())
        except BaseException:
            self.main.abort()
            raise

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
        return files, files if self._view is None else self._view.finish()

    def abort(self) -> None:
        """Close all files, complete or not."""
        self.main.abort()
        if self._view is not None:
            self._view.abort()


class InputFile(Protocol):
    """The input, written once more so that a browser can show it."""

    def write(self, raw: np.ndarray, times: Times) -> None:
        """Append raw samples, (n, ..., C)."""

    def finish(self) -> list[Path]:
        """Complete the file."""

    def abort(self) -> None:
        """Close the file, complete or not."""


class _Nothing:
    """The input of a kind that is not shown."""

    def write(self, raw: np.ndarray, times: Times) -> None:
        """Take samples."""

    def finish(self) -> list[Path]:
        return []

    def abort(self) -> None:
        """Leave."""


class _Picture:
    """A film or an image of 8 bits: colour where there are three or four channels, else the mean of all."""

    def __init__(self, pipeline: Pipeline, folder: Path, source: SourceInfo) -> None:
        self._scale = source.scale
        self._colour = source.channels in (3, 4)
        options = {"layout": "rgb" if self._colour else "channels", "bit_depth": 8}
        output = OutputInfo(3 if self._colour else 1, source.shape, (Fraction(1),) * len(source.shape))
        written = pipeline.write_options.model_validate(options)
        self._sink = pipeline.create(folder, source, output, written)

    def write(self, raw: np.ndarray, times: Times) -> None:
        values = raw[..., :3] if self._colour else raw.mean(-1, keepdims=True)
        stored = self._sink.format.quantize(values / self._scale)
        self._sink.write(np.moveaxis(stored, -1, 0), times)

    def finish(self) -> list[Path]:
        return self._sink.finish()

    def abort(self) -> None:
        self._sink.abort()


class _Sound:
    """A WAV of 16 bits: mono and stereo as they are, the mean of more channels."""

    def __init__(self, folder: Path, source: SourceInfo) -> None:
        from mediaconv.media.audio.reader import AudioWriter

        self._scale = source.scale
        self._kept = source.channels <= 2
        self._path = folder / "input.wav"
        channels = source.channels if self._kept else 1
        self._writer = AudioWriter(
            self._path, rate_hz=round(source.rate or 1), format=SOUND, channels=channels
        )

    def write(self, raw: np.ndarray, times: Times) -> None:
        values = raw if self._kept else raw.mean(-1, keepdims=True)
        self._writer.write(SOUND.quantize(values / self._scale))

    def finish(self) -> list[Path]:
        self._writer.close()
        return [self._path]

    def abort(self) -> None:
        self._writer.abort()


def input_file(pipeline: Pipeline, folder: Path, source: SourceInfo) -> InputFile:
    """The file in which the input is shown, in a folder that is made."""
    if pipeline.name not in KINDS:
        return _Nothing()
    folder.mkdir(parents=True, exist_ok=True)
    return _Sound(folder, source) if pipeline.name == "audio" else _Picture(pipeline, folder, source)
