"""Ready-made sinks: one file a channel, one merged file, or one tensor. Our pipelines and plug-ins use them.

The folder is its caller's, who removes it after an error and gives it its name when all is complete. A sink
knows no codec: a pipeline hands it functions that open writers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Protocol

import numpy as np

from mediaconv.errors import UsageError
from mediaconv.media.output_names import names_of_channels
from mediaconv.media.samples import SampleFormat
from mediaconv.media.sink import Sink
from mediaconv.media.tensor.writer import TensorWriter
from mediaconv.side_by_side import SideBySide

Times = Sequence[Fraction] | None
View = Callable[[np.ndarray], np.ndarray]
"""From samples (C, n, ...) to what one file's writer takes."""


FEW_BYTES = 1 << 18
"""Samples up to which all files are written in turn: encoding them takes no longer than starting threads."""


class Writer(Protocol):
    """One open output file."""

    def write(self, samples: np.ndarray, times: Times) -> None:
        """Append samples: (n, ...) of one channel, or (n, ..., C) of a merged file."""

    def close(self) -> None:
        """Complete the file."""

    def abort(self) -> None:
        """Release the file, complete or not."""


class FileSink(Sink):
    """Files written side by side, each from its own view of the samples.

    open_writer: from a path to an open writer, called once a file.
    views: file name -> function from samples (C, n, ...) to what that file's writer takes.
    """

    def __init__(
        self,
        folder: Path,
        format: SampleFormat,
        views: Mapping[str, View],
        open_writer: Callable[[Path], Writer],
        *,
        notes: Callable[[], list[str]] = list,
    ) -> None:
        self.format = format
        self._notes = notes
        self._views = list(views.values())
        self._paths = [folder / name for name in views]
        self._writers: list[Writer] = []
        self._encoders: SideBySide | None = None
        self._bytes = 0
        try:
            for path in self._paths:
                self._writers.append(open_writer(path))
        except BaseException:
            self.abort()
            raise

    def write(self, samples: np.ndarray, times: Times) -> None:
        self._bytes += samples.nbytes
        pairs = zip(self._writers, self._views, strict=True)
        self._all([partial(writer.write, view(samples), times) for writer, view in pairs])

    def finish(self) -> list[Path]:
        self._all([writer.close for writer in self._writers])
        self._end_encoders()
        return self._paths

    def abort(self) -> None:
        self._end_encoders()
        for writer in self._writers:
            writer.abort()

    def notes(self) -> list[str]:
        return self._notes()

    def _all(self, calls: Sequence[Callable[[], None]]) -> None:
        """One call a file, encoders side by side; the first error is raised once all have stopped.

        While there is little, in the caller's thread: threads would take longer to start.
        """
        if self._encoders is None and (len(calls) == 1 or self._bytes <= FEW_BYTES):
            for call in calls:
                call()
            return
        if self._encoders is None:
            self._encoders = SideBySide(min(len(calls), os.cpu_count() or 1), "encode")
        self._encoders.map(_call, calls)

    def _end_encoders(self) -> None:
        if self._encoders is not None:
            self._encoders.close()


def _call(call: Callable[[], None]) -> None:
    call()


class TensorSink(Sink):
    """The normalized values before quantization, (C, ...), as one `tensor.npy` or `.safetensors`.

    float_bits: of a value, 32 or 64.
    """

    def __init__(self, folder: Path, suffix: str, *, float_bits: int = 32) -> None:
        self.format = SampleFormat(float_bits, floating=True)
        self._path = folder / f"tensor.{suffix}"
        self._writer = TensorWriter(self._path, float_bits=float_bits)

    def write(self, samples: np.ndarray, times: Times) -> None:
        self._writer.write(samples)

    def finish(self) -> list[Path]:
        self._writer.close()
        return [self._path]

    def abort(self) -> None:
        self._writer.abort()


def channel_views(channels: int, suffix: str, names: Sequence[str] | None = None) -> dict[str, View]:
    """One file a channel: `channel_0.png`, `channel_1.png`, ..., or of these names. Raises UsageError."""
    return {f"{name}.{suffix}": itemgetter(c) for c, name in enumerate(names_of_channels(names, channels))}


def merged_view(samples: np.ndarray) -> np.ndarray:
    """Channels last, as colour writers take them: (C, n, ...) to (n, ..., C)."""
    return np.ascontiguousarray(np.moveaxis(samples, 0, -1))


def shown_channels(samples: np.ndarray, count: int) -> np.ndarray:
    """Of samples (C, n, ...) what is shown: all, the first `count` as colours, or one, the mean of all."""
    if count == len(samples):
        return samples
    if count > 1:
        return samples[:count]
    return np.rint(samples.mean(0, keepdims=True)).astype(samples.dtype)


class PreviewSink(Sink):
    """Hands on what is shown of an input's channels: `count` of them, or the mean of all."""

    def __init__(self, sink: Sink, count: int) -> None:
        self._sink, self._count = sink, count
        self.format = sink.format

    def write(self, samples: np.ndarray, times: Times) -> None:
        self._sink.write(shown_channels(samples, self._count), times)

    def finish(self) -> list[Path]:
        return self._sink.finish()

    def abort(self) -> None:
        self._sink.abort()


def check_tensor_format(layout: str, format: str | None) -> None:
    """Raises ValueError where a format is not one of the layout's: tensors and media do not mix."""
    is_tensor = format in ("npy", "safetensors")
    if format is not None and is_tensor != (layout == "tensor"):
        allowed = "npy or safetensors" if layout == "tensor" else "a media format, or layout: tensor"
        raise ValueError(f"format: got {format}, which does not fit layout {layout}; expected {allowed}")


def rgb_refusal(channels: int) -> UsageError:
    """Why `layout: rgb` cannot be had of so many output channels."""
    return UsageError(f"write.layout: rgb needs 3 output channels, the stack gives {channels}")
