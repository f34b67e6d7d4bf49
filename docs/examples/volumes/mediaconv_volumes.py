"""A pipeline of one's own: volumes (multi-page TIFF, .npy), convolved in 3D with depth as the first axis."""

from fractions import Fraction
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile

from mediaconv.errors import ReadError
from mediaconv.media.samples import SampleFormat
from mediaconv.media.sinks import FileSink, PreviewSink, channel_views
from mediaconv.media.video.writer import VideoWriter
from mediaconv.pipeline import Chunk, Options, OutputInfo, Pipeline, Sink, Source, SourceInfo

SLICES = partial(VideoWriter, rate=Fraction(10))
"""A volume as a browser can play it: a video of its slices, ten a second."""


class VolumeRead(Options):
    """Nothing to choose yet: keys under `read` are refused."""


class VolumeWrite(Options):
    """Bits of a stored voxel."""

    bit_depth: Literal[8, 16] = 16


class VolumeSource(Source):
    """A volume (depth, height, width) or (depth, height, width, channels) of uint8 or uint16."""

    def __init__(self, path: Path) -> None:
        try:
            data = np.load(path, mmap_mode="r") if path.suffix == ".npy" else tifffile.imread(path)
        except (OSError, ValueError) as error:
            raise ReadError(f"{path}: no volume that can be read") from error
        if data.ndim not in (3, 4) or data.dtype not in (np.uint8, np.uint16):
            raise ReadError(
                f"{path}: got {data.dtype} of shape {data.shape}, expected a uint8 or uint16 volume"
            )
        self._data = data if data.ndim == 4 else data[..., None]
        *shape, channels = self._data.shape
        self.info = SourceInfo(channels, tuple(shape), scale=float(np.iinfo(data.dtype).max))

    def chunks(self, size):
        for start in range(0, len(self._data), size):
            yield Chunk(np.asarray(self._data[start : start + size]))

    def close(self) -> None:
        self._data = None


class VolumeWriter:
    """One multi-page TIFF, a page for each step of depth."""

    def __init__(self, path: Path) -> None:
        self._file = tifffile.TiffWriter(path)

    def write(self, samples, times) -> None:
        for page in samples:
            self._file.write(page, contiguous=True)

    def close(self) -> None:
        self._file.close()

    abort = close


class VolumePipeline(Pipeline):
    """Volume in, one volume per output channel out."""

    name = "volume"
    axes = ("depth", "height", "width")
    extensions = frozenset({".tif", ".tiff", ".npy"})
    signal_range = (0.0, 1.0)
    units = ("slices", "rows", "columns")
    metrics = ("psnr", "ssim_frames")
    player = "video"
    read_options = VolumeRead
    write_options = VolumeWrite

    def open(self, path: Path, options: VolumeRead, limits) -> Source:
        return VolumeSource(path)

    def create(self, folder: Path, source: SourceInfo, output: OutputInfo, options: VolumeWrite) -> Sink:
        views = channel_views(output.channels, "tiff")
        return FileSink(folder, SampleFormat(options.bit_depth), views, VolumeWriter)

    def typical_input(self) -> SourceInfo:
        return SourceInfo(1, (16, 64, 64), scale=65535.0, bit_depth=16)

    def preview(self, folder: Path, source: SourceInfo, output: OutputInfo, options: VolumeWrite) -> Sink:
        return FileSink(folder, SampleFormat(8), channel_views(output.channels, "mp4"), SLICES)

    def preview_input(self, folder: Path, source: SourceInfo) -> Sink:
        return PreviewSink(FileSink(folder, SampleFormat(8), {"input.mp4": itemgetter(0)}, SLICES), 1)

    def write_lossless(self, folder: Path, data: np.ndarray, info: SourceInfo) -> Path:
        np.save(folder / "input.npy", data)
        return folder / "input.npy"
