"""Images: read whole, convolved in 2D over (height, width) in bands of rows, an image per channel."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from mediaconv.errors import WriteError
from mediaconv.media.image.decoders import needed_bytes
from mediaconv.media.image.grid import tile
from mediaconv.media.image.reader import read_image
from mediaconv.media.image.writer import write_image
from mediaconv.media.limits import Limits, PictureSize, check_pixels
from mediaconv.media.samples import SampleFormat, full_scale
from mediaconv.media.sinks import (
    FileSink,
    PreviewSink,
    TensorSink,
    Times,
    View,
    channel_views,
    check_tensor_format,
    merged_view,
    rgb_refusal,
)
from mediaconv.media.suffixes import IMAGE_SUFFIXES
from mediaconv.pipeline import Chunk, Options, OutputInfo, Pipeline, Sink, Source, SourceInfo, WriteOptions

_DEEP = ("png", "tiff", "tif")
"""Formats that hold 16 bits."""


class ImageRead(Options):
    """How an image is read."""

    color: Literal["rgb", "gray", "rgba"] | None = Field(
        None,
        description="channels to read; default: the file's own, rgba for gray with alpha. "
        "rgb drops alpha without blending",
    )
    size: PictureSize | None = Field(None, description="width and height in pixels to scale to")


class ImageWrite(WriteOptions):
    """How images are written."""

    format: Literal["png", "jpg", "jpeg", "tiff", "tif", "webp", "npy", "safetensors"] | None = Field(
        None, description="the suffix of the files; default png, and npy for layout tensor"
    )
    bit_depth: Literal[8, 16, "float"] | None = Field(
        None,
        description="bits of a sample; default: as the source; float: of tiff, 32 bits, 64 with "
        "`precision: float64`",
    )
    quality: int | None = Field(None, ge=1, le=100, strict=True, description="of jpg and webp")
    lossless: bool = Field(
        False, strict=True, description="decoded pixels equal the quantized values exactly"
    )
    layout: Literal["channels", "rgb", "grid", "tensor"] = Field(
        "channels",
        description="a file per channel, three channels as colour, all tiled, or tensor: one array of values "
        "after `normalize`; with `normalize: none` they are raw, as the stack gives them",
    )

    @model_validator(mode="after")
    def _fits(self) -> ImageWrite:
        check_tensor_format(self.layout, self.format)
        if self.lossless and self.format in ("jpg", "jpeg"):
            raise ValueError(
                f"lossless: got true, {self.format} cannot be; expected format png, tiff or webp"
            )
        if self.bit_depth == 16 and self.format not in (None, *_DEEP):
            raise ValueError(f"bit_depth: got 16, {self.format} stores 8 bits; expected format png or tiff")
        if self.bit_depth == "float" and self.layout == "grid":
            raise ValueError("bit_depth: got float, expected 8 or 16 with layout: grid")
        if self.bit_depth == "float" and self.format not in ("tiff", "tif"):
            raise ValueError(
                f"bit_depth: got float, {self.format or 'png'} holds none; expected format: tiff"
            )
        return self


class _ImageSource(Source):
    def __init__(self, path: Path, options: ImageRead, limits: Limits) -> None:
        if options.size is not None:
            check_pixels(path, *options.size, limits)
        image = read_image(path, color=options.color, size=options.size, limits=limits)
        self._data = image.data
        self._images = image.images
        height, width, channels = image.data.shape
        self.info = SourceInfo(
            channels=channels,
            shape=(height, width),
            scale=full_scale(image.data.dtype),
            bit_depth=image.bit_depth,
            floating=image.data.dtype.kind == "f",
        )

    def chunks(self, size: int) -> Iterator[Chunk]:
        for start in range(0, len(self._data), size):
            yield Chunk(self._data[start : start + size])

    def close(self) -> None:
        self._data = self._data[:0]

    def notes(self) -> list[str]:
        if self._images == 1:
            return []
        return [f"the file holds {self._images} pictures, of which the first was read"]


class _ImageWriter:
    """Gathers the rows of one image and writes it whole: no common codec takes rows."""

    def __init__(self, path: Path, options: ImageWrite) -> None:
        self._path, self._options = path, options
        self._rows: list[np.ndarray] = []

    def write(self, samples: np.ndarray, times: Times) -> None:
        self._rows.append(samples)

    def close(self) -> None:
        if not sum(rows.size for rows in self._rows):
            raise WriteError("the stack gave an image without pixels")
        data = self._rows[0] if len(self._rows) == 1 else np.concatenate(self._rows)
        self._rows = []
        write_image(self._path, data, quality=self._options.quality, lossless=self._options.lossless)

    def abort(self) -> None:
        self._rows = []


class _GridWriter(_ImageWriter):
    """Gathers all channels' rows and tiles them once they are whole."""

    def write(self, samples: np.ndarray, times: Times) -> None:
        self._rows.append(np.moveaxis(samples, 0, -1))

    def close(self) -> None:
        data = np.concatenate(self._rows)
        self._rows = [tile(np.moveaxis(data, -1, 0)[:, None])[0]]
        super().close()


def _stored_format(source: SourceInfo, output: OutputInfo, options: ImageWrite, suffix: str) -> SampleFormat:
    """Floats where they are asked for, or where the source's are and the format and layout hold them."""
    held = suffix in ("tiff", "tif") and options.layout != "grid"
    if options.bit_depth == "float" or (options.bit_depth is None and source.floating and held):
        return SampleFormat(output.float_bits, floating=True)
    return SampleFormat(options.bit_depth or (16 if source.bit_depth > 8 and suffix in _DEEP else 8))


class ImagePipeline(Pipeline):
    """Image in, one image per output channel out."""

    name: ClassVar[str] = "image"
    axes: ClassVar[tuple[str, ...]] = ("height", "width")
    extensions: ClassVar[frozenset[str]] = frozenset(IMAGE_SUFFIXES)
    signal_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    causal_mode: ClassVar[str] = "raster"
    units: ClassVar[tuple[str, ...]] = ("rows", "columns")
    metrics: ClassVar[tuple[str, ...]] = ("psnr", "ssim")
    player: ClassVar[str] = "image"
    read_options: ClassVar[type[Options]] = ImageRead
    write_options: ClassVar[type[Options]] = ImageWrite

    def needed_bytes(self, path: Path) -> int:
        return needed_bytes(path)

    def open(self, path: Path, options: ImageRead, limits: Limits) -> Source:  # type: ignore[override]
        return _ImageSource(path, options, limits)

    def create(self, folder: Path, source: SourceInfo, output: OutputInfo, options: ImageWrite) -> Sink:  # type: ignore[override]
        if options.layout == "tensor":
            return TensorSink(folder, options.format or "npy", float_bits=output.float_bits)
        suffix = options.format or "png"
        stored = _stored_format(source, output, options, suffix)
        if options.layout == "grid":
            views: dict[str, View] = {f"grid.{suffix}": lambda samples: samples}
            return FileSink(folder, stored, views, lambda path: _GridWriter(path, options))
        if options.layout == "rgb":
            if output.channels != 3:
                raise rgb_refusal(output.channels)
            views = {f"rgb.{suffix}": merged_view}
        else:
            views = channel_views(output.channels, suffix, options.names)
        return FileSink(folder, stored, views, lambda path: _ImageWriter(path, options))

    def typical_input(self) -> SourceInfo:
        return SourceInfo(3, (64, 64), 255.0)

    def preview(  # type: ignore[override]
        self, folder: Path, source: SourceInfo, output: OutputInfo, options: ImageWrite
    ) -> Sink | None:
        played = options.layout == "channels" and options.format in (None, "png", "jpg", "webp")
        return None if played else self.create(folder, source, output, ImageWrite.model_validate({}))

    def preview_input(self, folder: Path, source: SourceInfo) -> Sink:
        """8 bits: in colour of three or four channels, else the mean of all."""
        count = 3 if source.channels in (3, 4) else 1
        output = OutputInfo(count, source.shape, (Fraction(1), Fraction(1)))
        options = ImageWrite.model_validate({"layout": "rgb" if count == 3 else "channels", "bit_depth": 8})
        return PreviewSink(self.create(folder, source, output, options), count)

    def write_lossless(self, folder: Path, data: np.ndarray, info: SourceInfo) -> Path:
        if data.shape[-1] in (1, 3, 4) and data.itemsize <= 2:
            write_image(folder / "input.png", data)
            return folder / "input.png"
        import tifffile

        path = folder / "input.tiff"
        planes = np.moveaxis(data, -1, 0)
        tifffile.imwrite(path, planes, photometric="minisblack", planarconfig="separate")
        return path
