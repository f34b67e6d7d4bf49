"""The door between the engine and a kind of media: what a pipeline offers, and how one is found.

A pipeline turns a file into chunks of raw samples (`Source`) and computed samples into files (`Sink`).
It decodes and encodes; it never computes. Pipelines live outside this package's imports: they are found
through the entry-point group `mediaconv.pipelines`, our own three by the same door as a user's plug-in.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mediaconv.errors import UsageError, nearest
from mediaconv.installed import installed
from mediaconv.lazy_lists import PathList
from mediaconv.media.limits import Limits
from mediaconv.media.output_names import check_names, check_pattern
from mediaconv.media.sink import OutputInfo, Sink
from mediaconv.media.source import Chunk, Source, SourceInfo

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

__all__ = [
    "Chunk",
    "Options",
    "OutputInfo",
    "Pipeline",
    "Sink",
    "Source",
    "SourceInfo",
    "WriteOptions",
    "find",
    "names",
]

GROUP = "mediaconv.pipelines"


class Options(BaseModel):
    """Base of a pipeline's `read` and `write` options: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WriteOptions(Options):
    """Options that every `write` of ours has; a plug-in's may begin with them too.

    Whoever creates files gives `names` to its sinks; `pattern` and `plots` are the run's to do.
    """

    names: list[str] | None = Field(
        None, description="of the files, one a channel, without suffix; default: channel_0, channel_1, ..."
    )
    pattern: str | None = Field(
        None,
        description="flat folders: '{stem}_{name}{suffix}' writes clip_low.wav beside its like; "
        "default: a folder an input",
    )
    plots: bool = Field(
        False, strict=True, description="also one figure an input: the input and each channel, plot.png"
    )

    @model_validator(mode="after")
    def _named(self) -> WriteOptions:
        if self.names is not None:
            check_names(self.names)
            if getattr(self, "layout", "channels") != "channels":
                raise ValueError("names: are for layout channels, a file a channel; leave them out")
        if self.pattern is not None:
            check_pattern(self.pattern)
        return self


class Pipeline(ABC):
    """One kind of media, from file to file."""

    name: ClassVar[str]
    axes: ClassVar[tuple[str, ...]]
    """Names of the convolved axes in torch's order, the stream axis first."""
    extensions: ClassVar[frozenset[str]]
    """Which files belong to it: lower case, with the dot."""
    signal_range: ClassVar[tuple[float, float]]
    """Range of the values a file holds: (0, 1) for pictures, (-1, 1) for sound."""
    causal_mode: ClassVar[str] = "pad"
    """What `causal: true` means."""
    units: ClassVar[tuple[str, ...]] = ()
    """What steps along each axis are called, in the plural (`step_units` has a default)."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """What a comparison measures of a channel beside the mean and the largest difference: `psnr`, `snr`,
    `ssim` (the steps are rows of one picture), `ssim_frames` (each step is a picture), `log_spectral`."""
    player: ClassVar[str | None] = None
    """How a page plays `preview` files: as `audio`, `image` or `video`; None: it shows numbers only."""
    read_options: ClassVar[type[Options]]
    write_options: ClassVar[type[Options]]

    @property
    def step_units(self) -> tuple[str, ...]:
        """What steps along each axis are called, in the plural, such as `samples`."""
        return self.units or tuple(f"{axis} steps" for axis in self.axes)

    def typical_input(self) -> SourceInfo:
        """An input as there are many, where none is at hand: its channels, lengths, scale and rate."""
        return SourceInfo(1, (16,) * len(self.axes), 1.0)

    def takes(self, options: Options) -> frozenset[str]:
        """Extensions of the files that inputs are made of, with these `read` options."""
        return self.extensions

    def inputs(self, files: Sequence[Path], options: Options) -> Sequence[Path]:
        """Which of the files found under a folder are inputs; by default those with its extensions."""
        taken = self.takes(options)
        if isinstance(files, PathList):
            return files.with_suffixes(taken)
        return [f for f in files if f.suffix.lower() in taken]

    def needed_bytes(self, path: Path) -> int:
        """About what reading an input holds at once beside a chunk, quickly told; 0: it is read in chunks."""
        return 0

    @abstractmethod
    def open(self, path: Path, options: Options, limits: Limits) -> Source:
        """Open one input. Raises ReadError."""

    def prelude(self, info: SourceInfo, options: Options) -> nn.Module | None:
        """Layers that come before the user's stack, streamed with it (resampling), or None."""
        return None

    @abstractmethod
    def create(self, folder: Path, source: SourceInfo, output: OutputInfo, options: Options) -> Sink:
        """The sink for one input's output in an existing, empty folder. Raises WriteError."""

    def preview(self, folder: Path, source: SourceInfo, output: OutputInfo, options: Options) -> Sink | None:
        """A sink whose files a browser plays, one a channel, in an existing, empty folder.

        None where those that `create` makes with these options are played already, or there is no player.
        """
        return None

    def preview_input(self, folder: Path, source: SourceInfo) -> Sink | None:
        """A sink that makes one file which a browser plays of an input itself: it takes all its channels."""
        return None

    def write_lossless(self, folder: Path, data: np.ndarray, info: SourceInfo) -> Path | None:
        """Write raw samples (n, ..., C) as an input file that gives the same samples back when it is read.

        None where there is no such format. Needed where causality is proven from file to file.
        """
        return None


def names() -> list[str]:
    """Names of all pipelines installed, ours and plug-ins."""
    return sorted({e.name for e in installed(GROUP)})


@functools.cache
def find(name: str) -> Pipeline:
    """The installed pipeline of that name. Raises UsageError listing what is installed."""
    for entry in installed(GROUP):
        if entry.name == name:
            kind = entry.load()
            return kind()
    raise UsageError(f"pipeline: got {name!r}, installed are {', '.join(names())}{nearest(name, names())}")


def for_file(path: Path | str) -> Pipeline:
    """The installed pipeline that takes files of this extension.

    Raises UsageError where none or several do.
    """
    path = Path(path)
    taking = [p for p in map(find, names()) if path.suffix.lower() in p.extensions]
    if len(taking) == 1:
        return taking[0]
    if not taking:
        raise UsageError(f"input: no pipeline takes {path.name}; give pipeline: {', '.join(names())}")
    candidates = ", ".join(pipeline.name for pipeline in taking)
    raise UsageError(f"input: {path.name} may be of several pipelines; give pipeline: {candidates}")
