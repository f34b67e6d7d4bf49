"""A pipeline of one's own: volumes (multi-page TIFF, .npy), convolved in 3D with depth as the first axis."""

from pathlib import Path
from typing import Literal

import numpy as np
import tifffile

from mediaconv.errors import ReadError
from mediaconv.media.samples import SampleFormat
from mediaconv.media.sinks import FileSink, channel_views
from mediaconv.pipeline import Chunk, Options, OutputInfo, Pipeline, Sink, Source, SourceInfo


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
    read_options = VolumeRead
    write_options = VolumeWrite

    def open(self, path: Path, options: VolumeRead, limits) -> Source:
        return VolumeSource(path)

    def create(self, folder: Path, source: SourceInfo, output: OutputInfo, options: VolumeWrite) -> Sink:
        views = channel_views(output.channels, "tiff")
        return FileSink(folder, SampleFormat(options.bit_depth), views, VolumeWriter)
