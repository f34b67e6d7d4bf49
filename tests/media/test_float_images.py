"""TIFF of floats and of 32-bit integers, from file to file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

import mediaconv
from mediaconv.errors import ReadError
from mediaconv.media.image.reader import read_image

FILTER = [[[[0.1, -0.2, 0.7], [0.3, 0.5, -0.4], [0.0, 0.2, 0.6]]]]


def noise(kind: type, *shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype(kind)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}])
def test_floats_are_read_as_they_are(tmp_path: Path, kind: type, shape: tuple, options: dict) -> None:
    data = noise(kind, *shape)
    extra = {"extrasamples": ["unassalpha"]} if shape[2:] == (4,) else {}
    photometric = "minisblack" if len(shape) == 2 else "rgb"
    if kind == np.float16 and "predictor" in options:
        pytest.skip("tifffile writes no predictor for 16 bits")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=photometric, **extra, **options)
    image = read_image(tmp_path / "a.tif")
    assert_array_equal(image.data, data if len(shape) == 3 else data[..., None])
    assert image.data.dtype == (np.float64 if kind == np.float64 else np.float32)


def test_integers_of_32_bits(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 2**32, (20, 30), np.uint32)
    tifffile.imwrite(tmp_path / "a.tif", data)
    keys = {"normalize": "none", "pipeline": "image", "precision": "float64"}
    assert_array_equal(mediaconv.convert(["identity"], tmp_path / "a.tif", **keys)[0], data / (2.0**32 - 1))


def convolved(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, 1)
    taps = FILTER[0][0]
    rows, columns = x.shape
    return sum(taps[r][c] * padded[r : r + rows, c : c + columns] for r in range(3) for c in range(3))  # type: ignore[return-value]


@pytest.mark.parametrize("chunk", [1, 7, "auto"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_floats_from_file_to_file(tmp_path: Path, precision: str, chunk: object) -> None:
    x = noise(np.float64, 20, 30)
    tifffile.imwrite(tmp_path / "a.tif", x)
    layer = {"conv": {"out_channels": 1, "kernel_size": 3, "weight": FILTER, "bias": False}}
    keys = {"normalize": "none", "write": {"format": "tiff"}, "precision": precision, "chunk": chunk}
    written = mediaconv.convert([layer], tmp_path / "a.tif", tmp_path / "out", pipeline="image", **keys)
    data = tifffile.imread(written.paths[0])
    assert data.dtype == precision
    assert written.clipped == 0
    assert_allclose(data, convolved(x), rtol=0, atol=1e-12 if precision == "float64" else 4e-6)


def test_what_is_no_number_is_the_files_fault(tmp_path: Path) -> None:
    data = noise(np.float32, 4, 5)
    data[2, 3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", data)
    with pytest.raises(ReadError, match="first in row 2, column 3"):
        read_image(tmp_path / "a.tif")
