"""Sound: decoded in blocks, resampled where asked for, convolved in 1D over time, a WAV per channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from mediaconv.errors import UsageError
from mediaconv.media.audio.level import LevelMeter
from mediaconv.media.audio.reader import AudioReader
from mediaconv.media.audio.writer import AudioWriter
from mediaconv.media.limits import Limits
from mediaconv.media.output_names import check_groups, names_of_channels, names_of_groups
from mediaconv.media.samples import SampleFormat
from mediaconv.media.sinks import (
    FileSink,
    PreviewSink,
    TensorSink,
    Times,
    View,
    channel_views,
    check_tensor_format,
    merged_view,
)
from mediaconv.media.streams import StreamChoice
from mediaconv.media.suffixes import AUDIO_SUFFIXES, VIDEO_AUDIO_SUFFIXES
from mediaconv.pipeline import Options, OutputInfo, Pipeline, Sink, Source, SourceInfo, WriteOptions

if TYPE_CHECKING:
    from torch import nn

LARGEST_RATIO = 1000
"""Of a sample rate to the file's: more makes a small file's output endless."""
LARGEST_FILTER = 2**26
"""Weights of a resampling filter: about the product of the rates in lowest terms."""


class AudioRead(Options):
    """How a sound is read."""

    sample_rate: int | None = Field(
        None, ge=1, strict=True, description="resample to this rate in Hz; default: the file's"
    )
    channels: Literal["keep", "mono"] = Field("keep", description="mono: the mean of all channels")
    start_seconds: float = Field(0.0, ge=0, strict=True, description="where in the file to begin")
    duration_seconds: float | None = Field(
        None, gt=0, strict=True, description="how much to read; default: to the end"
    )
    stream: StreamChoice = Field(
        None, description="which sound of several: its number from 0, or its language; default: as players do"
    )
    holes: Literal["silence", "close"] = Field(
        "silence",
        description="silence: holes in the times of the sound are filled, overlaps left out; close: neither",
    )
    late_start: Literal["drop", "keep"] = Field(
        "drop", description="keep: silence before sound that begins after its file, whose film comes first"
    )


class AudioWrite(WriteOptions):
    """How sounds are written."""

    format: Literal["wav", "flac", "npy", "safetensors"] | None = Field(
        None, description="default wav, and npy for layout tensor"
    )
    bit_depth: Literal[16, 24, 32, "float"] | None = Field(
        None,
        description="of a stored sample; default: the source's, at least 16; floats have 32 bits, 64 with "
        "`precision: float64`",
    )
    layout: Literal["channels", "tensor"] = Field(
        "channels",
        description="a file per channel, or tensor: one array of values after `normalize`; with "
        "`normalize: none` they are raw, as the stack gives them",
    )
    groups: list[list[int]] | None = Field(
        None, description="files of several channels: [[0, 1], [2, 3]] writes two stereo files"
    )

    channel_names: bool = Field(
        False,
        strict=True,
        description="the input's speakers in the names of outputs that are made of one channel each, such as "
        "channel_0_FL.wav",
    )

    @model_validator(mode="after")
    def _fits(self) -> AudioWrite:
        check_tensor_format(self.layout, self.format)
        if self.channel_names and (self.names is not None or self.groups is not None):
            raise ValueError("channel_names: says nothing beside names or groups; give one of them")
        if self.groups is not None:
            check_groups(self.groups, self.names)
            if self.layout == "tensor":
                raise ValueError("groups: are for files of sound; a tensor holds all channels")
        if self.format == "flac" and self.bit_depth in (32, "float"):
            raise ValueError(f"bit_depth: got {self.bit_depth}, expected 16 or 24 in flac, or format: wav")
        return self


class AudioPipeline(Pipeline):
    """Sound in, one sound per output channel out."""

    name: ClassVar[str] = "audio"
    axes: ClassVar[tuple[str, ...]] = ("time",)
    extensions: ClassVar[frozenset[str]] = frozenset(AUDIO_SUFFIXES)
    signal_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    units: ClassVar[tuple[str, ...]] = ("samples",)
    metrics: ClassVar[tuple[str, ...]] = ("snr", "log_spectral")
    player: ClassVar[str] = "audio"
    read_options: ClassVar[type[Options]] = AudioRead
    write_options: ClassVar[type[Options]] = AudioWrite

    def inputs(self, files: Sequence[Path], options: Options) -> Sequence[Path]:
        """Sounds; of films where there are only these, as a folder or a glob of films means their sound."""
        return super().inputs(files, options) or [
            f for f in files if f.suffix.lower() in VIDEO_AUDIO_SUFFIXES
        ]

    def open(self, path: Path, options: AudioRead, limits: Limits) -> Source:  # type: ignore[override]
        return AudioReader(
            path,
            mono=options.channels == "mono",
            start_seconds=options.start_seconds,
            duration_seconds=options.duration_seconds,
            stream=options.stream,
            holes=options.holes,
            keep_late_start=options.late_start == "keep",
            limits=limits,
        )

    def prelude(self, info: SourceInfo, options: AudioRead) -> nn.Module | None:  # type: ignore[override]
        """Resampling is a strided convolution, so it streams with the stack: chunks stay exact."""
        if options.sample_rate is None or options.sample_rate == info.rate:
            return None
        rate = int(info.rate or 0)
        shared = math.gcd(rate, options.sample_rate)
        if rate * options.sample_rate > LARGEST_FILTER * shared**2:
            raise UsageError(
                f"read.sample_rate: got {options.sample_rate}, which shares no factor above {shared} with "
                f"the file's {rate} Hz: the filter would take gigabytes; choose a rounder rate"
            )
        if options.sample_rate > LARGEST_RATIO * rate:
            raise UsageError(
                f"read.sample_rate: got {options.sample_rate}, over {LARGEST_RATIO} times the file's "
                f"{rate} Hz: an hour would become months; the file's rate may be wrong"
            )
        from mediaconv.nn import Resample

        return Resample(rate, options.sample_rate)

    def create(self, folder: Path, source: SourceInfo, output: OutputInfo, options: AudioWrite) -> Sink:  # type: ignore[override]
        if options.layout == "tensor":
            return TensorSink(folder, options.format or "npy", float_bits=output.float_bits)
        exact = (source.rate or Fraction(1)) * output.ratio[0]
        rate_hz = max(1, round(exact))
        notes = [] if rate_hz == exact else [f"sample rate {float(exact):g} Hz rounded to {rate_hz} Hz"]
        suffix = options.format or "wav"
        names = options.names
        if options.channel_names:
            speakers, refusal = _names_of_outputs(source, output)
            notes += refusal
            names = [f"channel_{c}_{speaker}" for c, speaker in enumerate(speakers)] or None
        format = stored_format(source, options, output.float_bits)
        if options.groups is None:
            views = channel_views(output.channels, suffix, names)
            counts = dict.fromkeys(views, 1)
        else:
            groups = names_of_groups(options.groups, options.names, output.channels)
            views = {f"{name}.{suffix}": _group_view(group) for name, group in groups.items()}
            counts = {f"{name}.{suffix}": len(group) for name, group in groups.items()}

        def open_writer(path: Path) -> AudioWriter:
            return AudioWriter(path, rate_hz=rate_hz, format=format, channels=counts[path.name])

        meter = LevelMeter(
            format, names_of_channels(None if options.groups else names or None, output.channels)
        )
        return MeteredSink(folder, format, views, open_writer, meter=meter, notes=notes)

    def typical_input(self) -> SourceInfo:
        return SourceInfo(1, (16_000,), 1.0, Fraction(22_050), bit_depth=16)

    def preview(  # type: ignore[override]
        self, folder: Path, source: SourceInfo, output: OutputInfo, options: AudioWrite
    ) -> Sink | None:
        played = options.layout == "channels" and options.groups is None
        return None if played else self.create(folder, source, output, AudioWrite.model_validate({}))

    def preview_input(self, folder: Path, source: SourceInfo) -> Sink:
        """A WAV of 16 bits: mono and stereo as they are, the mean of more channels."""
        count = source.channels if source.channels <= 2 else 1
        rate_hz, format = round(source.rate or 1), SampleFormat(16, signed=True)
        sink = FileSink(
            folder,
            format,
            {"input.wav": merged_view},
            lambda path: AudioWriter(path, rate_hz=rate_hz, format=format, channels=count),
        )
        return PreviewSink(sink, count)

    def write_lossless(self, folder: Path, data: np.ndarray, info: SourceInfo) -> Path:
        path = folder / "input.wav"
        format = SampleFormat(64 if data.dtype == np.float64 else 32, floating=True)
        with AudioWriter(
            path, rate_hz=round(info.rate or 1), format=format, channels=data.shape[1]
        ) as writer:
            writer.write(data.astype(format.dtype))
        return path


class MeteredSink(FileSink):
    """Files of sound, and a note where they are quiet. notes: of the sink, beside those of the meter."""

    def __init__(self, *files: Any, meter: LevelMeter, notes: Sequence[str]) -> None:
        super().__init__(*files, notes=lambda: [*notes, *meter.notes()])
        self._meter = meter

    def write(self, samples: np.ndarray, times: Times) -> None:
        self._meter.add(samples)
        super().write(samples, times)


def _group_view(channels: Sequence[int]) -> View:
    """Of samples (C, n) those of a file of several channels, (n, C'); of one channel (n,)."""
    if len(channels) == 1:
        return itemgetter(channels[0])
    return lambda samples: merged_view(samples[list(channels)])


def _names_of_outputs(source: SourceInfo, output: OutputInfo) -> tuple[list[str], list[str]]:
    """The speaker of each output channel, and a note where there is none."""
    if not source.channel_names:
        return [], ["write.channel_names: the input does not tell its speakers; files are numbered"]
    if output.origins is None:
        return [], ["write.channel_names: the stack mixes channels; files are numbered"]
    return [source.channel_names[c] for c in output.origins], []


def stored_format(source: SourceInfo, options: AudioWrite, float_bits: int = 32) -> SampleFormat:
    """At least the source's bits, in steps that the format has; float_bits: of what is computed."""
    flac = options.format == "flac"
    if options.bit_depth == "float" or (options.bit_depth is None and source.floating and not flac):
        return SampleFormat(float_bits, floating=True)
    bits = options.bit_depth or (24 if source.floating else max(16, source.bit_depth))
    most = 24 if flac else 32
    return SampleFormat(min(most, next(b for b in (16, 24, 32) if b >= min(int(bits), 32))), signed=True)
