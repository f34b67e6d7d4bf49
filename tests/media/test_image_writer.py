"""What `write_image` writes, read back by OpenCV and Pillow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from mediaconv.errors import WriteError
from mediaconv.media.image.writer import write_image

SHAPES = [(7, 9), (7, 9, 3), (7, 9, 4), (1, 1), (1, 1, 3)]


def noise(shape: tuple[int, ...], kind: type) -> np.ndarray:
    return np.random.default_rng(2).integers(0, np.iinfo(kind).max + 1, shape).astype(kind)


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", SHAPES)
def test_lossless_formats(tmp_path: Path, suffix: str, kind: type, shape: tuple[int, ...]) -> None:
    data = noise(shape, kind)
    write_image(tmp_path / f"a.{suffix}", data)
    read = cv2.imread(str(tmp_path / f"a.{suffix}"), cv2.IMREAD_UNCHANGED)
    if read.ndim == 3:
        read = read[..., [2, 1, 0, 3][: read.shape[2]]]
    np.testing.assert_array_equal(read, data)


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 3])
def test_lossless_webp_keeps_transparent_colours(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = noise(shape, np.uint8)
    if shape[2] == 4:
        data[:3, ..., 3] = 0
    write_image(tmp_path / "a.webp", data, lossless=True)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "a.webp")), data)


def test_quality_is_used(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8), (64, 64)).copy()
    ramp[::5] = 255 - ramp[::5]
    for suffix in ("jpg", "webp"):
        sizes, errors = [], []
        for quality in (5, 95):
            path = tmp_path / f"a{quality}.{suffix}"
            write_image(path, ramp, quality=quality)
            sizes.append(path.stat().st_size)
            errors.append(np.abs(np.asarray(PIL.Image.open(path).convert("L")).astype(int) - ramp).mean())
        assert sizes[0] < sizes[1]
        assert errors[0] > errors[1]


@pytest.mark.parametrize(
    ("name", "shape", "kind", "options", "message"),
    [
        ("a.gif", (4, 4), np.uint8, {}, "expected one of .png, .jpg"),
        ("a.jpg", (4, 4), np.uint16, {}, "bit_depth: got samples of uint16, jpeg holds"),
        ("a.jpg", (4, 4, 4), np.uint8, {}, "channels: got a picture of shape"),
        ("a.png", (4, 4, 5), np.uint8, {}, "channels: got a picture of shape"),
        ("a.jpg", (4, 4), np.uint8, {"quality": 101}, "quality: got 101"),
        ("a.jpg", (4, 4), np.uint8, {"lossless": True}, "jpeg always loses"),
        ("a.webp", (1, 16384, 3), np.uint8, {}, "up to 16383 pixels a side"),
        ("none/a.png", (4, 4), np.uint8, {}, "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_told(
    tmp_path: Path, name: str, shape: tuple[int, ...], kind: type, options: dict, message: str
) -> None:
    with pytest.raises(WriteError, match=message):
        write_image(tmp_path / name, np.zeros(shape, kind), **options)


def test_a_full_disk_is_told(tmp_path: Path, small_disk) -> None:
    with small_disk(500), pytest.raises(WriteError, match="cannot be written") as failure:
        write_image(tmp_path / "a.png", noise((99, 99), np.uint8))
    assert isinstance(failure.value.__cause__, OSError)
