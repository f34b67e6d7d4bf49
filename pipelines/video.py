"""Film: decoded by PyAV to frames, convolved in 3D over (time, height, width), encoded a film per channel."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from mediaconv.errors import UsageError, WriteError
from mediaconv.media.image.grid import tile
from mediaconv.media.input_file import read_head
from mediaconv.media.limits import Limits, PictureSize, check_pixels
from mediaconv.media.samples import SampleFormat
from mediaconv.media.sinks import (
    FileSink,
    PreviewSink,
    TensorSink,
    View,
    channel_views,
    check_tensor_format,
    merged_view,
    rgb_refusal,
)
from mediaconv.media.streams import StreamChoice
from mediaconv.media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from mediaconv.media.video.animated_images import AnimationReader, is_animation
from mediaconv.media.video.codecs import PRESETS, Wish, choose, codec_for
from mediaconv.media.video.frames.deinterlace import Filter
from mediaconv.media.video.reader import VideoReader
from mediaconv.media.video.sequence import DEFAULT_FPS, SequenceReader
from mediaconv.media.video.video_info import VideoInfo
from mediaconv.media.video.writer import VideoWriter
from mediaconv.pipeline import Options, OutputInfo, Pipeline, Sink, Source, SourceInfo, WriteOptions


def _check_sequence(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and glob.has_magic(value)):
        return value
    raise ValueError("expected true, false, or a pattern of names such as 'frame_*.png'")


class VideoRead(Options):
    """How a film is read."""

    size: PictureSize | None = Field(None, description="width and height in pixels to scale to")
    fps: Fraction | None = Field(
        None, gt=Fraction(0), description="frames a second; default: the file's frame times"
    )
    color: Literal["rgb", "gray", "rgba"] = Field("rgb", description="channels that a frame is decoded to")
    start_seconds: float = Field(0.0, ge=0, strict=True, description="where in the file to begin")
    duration_seconds: float | None = Field(
        None, gt=0, strict=True, description="how much to read; default: to the end"
    )
    stream: StreamChoice = Field(
        None, description="which film of several: its number from 0, or its language; default: as players do"
    )
    deinterlace: Filter | None = Field(
        None, description="FFmpeg's filter for interlaced film, which makes frames of one time"
    )
    part: int | None = Field(
        None,
        ge=0,
        strict=True,
        description="of a film whose size changes the frames of one size, by their run's number from 0; "
        "default: all, scaled to the first size",
    )
    sequence: Annotated[bool | str, BeforeValidator(_check_sequence)] = Field(
        False,
        description="true: still images in name order as one clip, a folder a clip; "
        "a pattern such as 'frame_*.png': only those names",
    )

    def is_still(self, path: Path) -> bool:
        """Whether a file is a frame of a sequence."""
        named = self.sequence is True or fnmatch.fnmatchcase(path.name, str(self.sequence))
        return named and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


class VideoWrite(WriteOptions):
    """How films are written."""

    format: Literal["mp4", "mkv", "webm", "npy", "safetensors"] | None = Field(
        None, description="container; default mp4, and npy for layout tensor"
    )
    codec: Literal["h264", "vp9", "ffv1"] | None = Field(None, description="default follows from the format")
    crf: int | None = Field(
        None, ge=0, le=63, strict=True, description="constant rate factor; lower is better and larger"
    )
    preset: Literal[PRESETS] = Field(  # type: ignore[valid-type]
        "ultrafast", description="x264's; the default puts speed before size"
    )
    lossless: bool = Field(
        False, strict=True, description="decoded pixels equal the quantized values exactly"
    )
    bit_depth: Literal[8, 10, 16] = Field(8, description="bits of a stored pixel; 16 needs ffv1 in mkv")
    layout: Literal["channels", "rgb", "grid", "tensor"] = Field(
        "channels",
        description="a file per channel, three channels as colour, all tiled, or tensor: one array of values "
        "after `normalize`; with `normalize: none` they are raw, as the stack gives them",
    )
    audio: Literal["drop", "keep"] = Field("drop", description="keep: copy the source's into every output")

    audio_stream: StreamChoice = Field(
        None, description="which sound of several is kept: its number from 0, or its language"
    )

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "sound" in value:
            raise ValueError(f"sound: is called audio now; write audio: {value['sound']}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> VideoWrite:
        check_tensor_format(self.layout, self.format)
        if self.layout != "tensor":
            self._check_codec()
        return self

    @property
    def stored_codec(self) -> str | None:
        """The codec asked for, or the one that the bit depth needs; None: the format's own."""
        return self.codec or ("ffv1" if self.bit_depth == 16 else None)

    def _check_codec(self) -> None:
        """Raises ValueError where no file can be as these options want it, whatever the source."""
        suffix = f".{self.format or 'mp4'}"
        if self.bit_depth == 16 and self.codec is None and self.format != "mkv":
            raise ValueError(f"bit_depth: got 16, expected 8 or 10 in {suffix}; 16 needs format: mkv")
        wish = Wish(
            width=2,
            height=2,
            channels=3 if self.layout == "rgb" else 1,
            bit_depth=self.bit_depth,
            lossless=self.lossless or self.codec == "ffv1",
            crf=self.crf,
            preset=self.preset,
            threads=1,
        )
        try:
            choose(codec_for(suffix, self.stored_codec), wish)
        except WriteError as error:
            raise ValueError(str(error)) from error


class VideoPipeline(Pipeline):
    """Film in, one film per output channel out."""

    name: ClassVar[str] = "video"
    axes: ClassVar[tuple[str, ...]] = ("time", "height", "width")
    extensions: ClassVar[frozenset[str]] = frozenset(VIDEO_SUFFIXES)
    signal_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    units: ClassVar[tuple[str, ...]] = ("frames", "rows", "columns")
    metrics: ClassVar[tuple[str, ...]] = ("psnr", "ssim_frames")
    player: ClassVar[str] = "video"
    read_options: ClassVar[type[Options]] = VideoRead
    write_options: ClassVar[type[Options]] = VideoWrite

    def takes(self, options: VideoRead) -> frozenset[str]:  # type: ignore[override]
        return frozenset(IMAGE_SUFFIXES) if options.sequence else self.extensions

    def inputs(self, files: Sequence[Path], options: VideoRead) -> Sequence[Path]:  # type: ignore[override]
        """Films by extension; with `sequence`, every folder that holds still images."""
        if not options.sequence:
            return super().inputs(files, options)
        stills = {f for f in files if options.is_still(f)}
        folders = sorted({f.parent for f in stills})
        for folder in folders:
            left = sorted(set(_stills(folder, options)) - stills) if folder.is_dir() else []
            if left:
                raise UsageError(
                    f"read.sequence: a clip is all images of its folder, but input, include or exclude leave "
                    f"out {left[0]}; choose by name with a pattern: sequence: 'frame_*.png'"
                )
        return folders

    def open(self, path: Path, options: VideoRead, limits: Limits) -> Source:  # type: ignore[override]
        if options.size is not None:
            check_pixels(path, *options.size, limits)
        of_all: dict[str, Any] = {
            "size": options.size,
            "color": options.color,
            "start_seconds": options.start_seconds,
            "duration_seconds": options.duration_seconds,
            "limits": limits,
        }
        if options.sequence:
            stills = _stills(path, options) if path.is_dir() else [path]
            return SequenceReader(stills, fps=options.fps or DEFAULT_FPS, **of_all)
        if path.is_file() and is_animation(read_head(path)):
            return AnimationReader(path, fps=options.fps, **of_all)
        of_film: dict[str, Any] = {"deinterlace": options.deinterlace, "part": options.part}
        return VideoReader(path, fps=options.fps, stream=options.stream, **of_film, **of_all)

    def create(self, folder: Path, source: VideoInfo, output: OutputInfo, options: VideoWrite) -> Sink:  # type: ignore[override]
        if options.layout == "tensor":
            return TensorSink(folder, options.format or "npy", float_bits=output.float_bits)
        return _VideoSink(folder, _video_info(source), output, options)

    def typical_input(self) -> SourceInfo:
        return SourceInfo(3, (16, 64, 64), 255.0, Fraction(DEFAULT_FPS))

    def preview(  # type: ignore[override]
        self, folder: Path, source: VideoInfo, output: OutputInfo, options: VideoWrite
    ) -> Sink | None:
        played = (
            options.layout == "channels"
            and options.format in (None, "mp4", "webm")
            and options.codec in (None, "h264", "vp9")
            and not options.lossless
            and options.bit_depth == 8
        )
        return None if played else self.create(folder, source, output, VideoWrite.model_validate({}))

    def preview_input(self, folder: Path, source: VideoInfo) -> Sink:  # type: ignore[override]
        """8 bits: in colour of three or four channels, else the mean of all."""
        count = 3 if source.channels in (3, 4) else 1
        output = OutputInfo(count, source.shape, (Fraction(1),) * 3)
        options = VideoWrite.model_validate({"layout": "rgb" if count == 3 else "channels"})
        return PreviewSink(self.create(folder, source, output, options), count)

    def write_lossless(self, folder: Path, data: np.ndarray, info: SourceInfo) -> Path:
        path = folder / "input.mkv"
        rate = Fraction(info.rate or DEFAULT_FPS).limit_denominator(1001)
        with VideoWriter(path, rate=rate, codec="ffv1", lossless=True, bit_depth=8 * data.itemsize) as writer:
            writer.write(data if data.shape[-1] > 1 else data[..., 0])
        return path


def _video_info(source: SourceInfo) -> VideoInfo:
    """What a sink asks of its source; of frames that are no file's, from their rate."""
    if isinstance(source, VideoInfo):
        return source
    common = {field.name: getattr(source, field.name) for field in fields(source)}
    return VideoInfo(**common, time_base=1 / (source.rate or Fraction(DEFAULT_FPS)))


def _stills(folder: Path, options: VideoRead) -> list[Path]:
    return [f for f in folder.iterdir() if options.is_still(f)]


class _VideoSink(FileSink):
    """Films in one of the layouts, with the source's sound where it is asked for."""

    def __init__(self, folder: Path, source: VideoInfo, output: OutputInfo, options: VideoWrite) -> None:
        self._source, self._ratio, self._options = source, output.ratio, options
        suffix = options.format or "mp4"
        if options.layout == "rgb":
            if output.channels != 3:
                raise rgb_refusal(output.channels)
            views: dict[str, View] = {f"rgb.{suffix}": merged_view}
        elif options.layout == "grid":
            views = {f"grid.{suffix}": tile}
        else:
            views = channel_views(output.channels, suffix, options.names)
        self._video_writers: list[VideoWriter] = []
        super().__init__(folder, SampleFormat(options.bit_depth), views, self._open)

    def notes(self) -> list[str]:
        silent = self._options.audio == "keep" and self._source.audio is None
        notes = ["audio: keep: the source has no sound"] if silent else []
        return list(dict.fromkeys(notes + [note for writer in self._video_writers for note in writer.notes]))

    def _open(self, path: Path) -> VideoWriter:
        options, source, ratio = self._options, self._source, self._ratio
        writer = VideoWriter(
            path,
            time_base=source.time_base / ratio[0].numerator,
            rate=(source.rate or Fraction(DEFAULT_FPS)) * ratio[0],
            sample_aspect_ratio=source.sample_aspect_ratio * ratio[1] / ratio[2],
            codec=options.stored_codec,
            crf=options.crf,
            preset=options.preset,
            lossless=options.lossless,
            bit_depth=options.bit_depth,
            last_shown=source.last_shown,
        )
        if options.audio == "keep" and source.audio is not None:
            origin = source.audio
            writer.copy_audio(
                origin.path,
                start_seconds=origin.start_seconds,
                duration_seconds=origin.duration_seconds,
                stream=options.audio_stream,
            )
        self._video_writers.append(writer)
        return writer
