"""A source and a sink that show what passes to a figure, and otherwise are the ones that they hold."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mediaconv.media.output_names import names_of_channels
from mediaconv.pipeline import Chunk, OutputInfo, Pipeline, Sink, Source, SourceInfo
from mediaconv.run.plots.gather import Gathered

NAME = "plot.png"


class Watched:
    """One conversion, watched. title: above the figure."""

    def __init__(
        self, pipeline: Pipeline, info: SourceInfo, output: OutputInfo, options: Any, *, title: str
    ) -> None:
        axes = len(pipeline.axes)
        self._pipeline, self._info, self._output, self._title = pipeline, info, output, title
        self._input = Gathered(axes, info.shape)
        self._outputs = Gathered(axes, output.shape, 1 / output.ratio[0])
        self._names = names_of_channels(getattr(options, "names", None), output.channels)
        self._merged = getattr(options, "layout", "") == "rgb"

    def source(self, source: Source) -> Source:
        """The source, whose chunks are gathered as they pass."""
        return _WatchedSource(source, self._input)

    def sink(self, sink: Sink) -> Sink:
        """The sink, whose samples are gathered as they pass."""
        return _WatchedSink(sink, self._outputs)

    def save(self, folder: Path) -> Path:
        """Draw the figure into a folder."""
        from mediaconv.run.plots.chart import draw

        path = folder / NAME
        rate: Fraction | None = self._info.rate
        draw(
            path,
            self._input,
            self._outputs,
            title=self._title,
            names=self._names,
            axes=len(self._pipeline.axes),
            rate=None if rate is None else float(rate),
            ratio=float(self._output.ratio[0]),
            merged=self._merged,
        )
        return path


class _WatchedSource(Source):
    def __init__(self, source: Source, gathered: Gathered) -> None:
        self._source, self._gathered = source, gathered
        self.info = source.info

    def chunks(self, size: int) -> Iterator[Chunk]:
        for chunk in self._source.chunks(size):
            self._gathered.add(np.moveaxis(chunk.data, -1, 0) / self.info.scale)
            yield chunk

    def close(self) -> None:
        self._source.close()

    def notes(self) -> list[str]:
        return self._source.notes()


class _WatchedSink(Sink):
    def __init__(self, sink: Sink, gathered: Gathered) -> None:
        self._sink, self._gathered = sink, gathered
        self.format = sink.format

    def write(self, samples: np.ndarray, times: Any) -> None:
        self._gathered.add(samples if self.format.floating else samples / self.format.factor)
        self._sink.write(samples, times)

    def finish(self) -> list[Path]:
        return self._sink.finish()

    def abort(self) -> None:
        self._sink.abort()

    def notes(self) -> list[str]:
        return self._sink.notes()
