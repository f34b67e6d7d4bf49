"""Colours and alpha that a file states in a way of its own: keys, multiplied alpha, inks."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from mediaconv.errors import ReadError
from mediaconv.media.image.reader import read_image


def png_with_key(path: Path, data: np.ndarray, key: list[int], bits: int = 16) -> Path:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    kind = 0 if data.ndim == 2 else 2
    head = struct.pack(">IIBBBBB", data.shape[1], data.shape[0], bits, kind, 0, 0, 0)
    rows = b"".join(b"\0" + packed(row, bits) for row in data)
    keyed = chunk(b"tRNS", np.array(key, ">u2").tobytes())
    body = chunk(b"IHDR", head) + keyed + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def packed(row: np.ndarray, bits: int) -> bytes:
    """Samples side by side, the first one in the highest bits."""
    text = "".join(f"{value:0{bits}b}" for value in row.reshape(-1))
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_gray_key_of_few_bits_is_transparent(tmp_path: Path, bits: int) -> None:
    top = (1 << bits) - 1
    data = np.random.default_rng(bits).integers(0, top + 1, (6, 9))
    read = read_image(png_with_key(tmp_path / "a.png", data, [int(data[2, 3])], bits), color="rgba").data
    np.testing.assert_array_equal(read[..., 0], data * (255 // top))
    np.testing.assert_array_equal(read[..., 3], np.where(data == data[2, 3], 0, 255))


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_a_key_of_16_bits_is_transparent(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = np.arange(np.prod(shape)).reshape(shape).astype(np.uint16) * 300
    key = data[2, 3].reshape(-1).tolist()
    read = read_image(png_with_key(tmp_path / "a.png", data, key), color="rgba").data
    np.testing.assert_array_equal(read[..., :3], data if data.ndim == 3 else np.dstack([data] * 3))
    expected = np.full((6, 8), 65535)
    expected[2, 3] = 0
    np.testing.assert_array_equal(read[..., 3], expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_multiplied_alpha_is_undone(tmp_path: Path, dtype: type) -> None:
    top = np.iinfo(dtype).max
    half = top // 2 + 1
    data = np.zeros((4, 5, 4), dtype)
    data[...] = [half, 0, half // 2, half]
    data[0, 0] = 0
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extrasamples=["assocalpha"])
    read = read_image(tmp_path / "a.tif", color="rgba").data
    assert read[1, 1].tolist() == [top, 0, round(half // 2 * top / half), half]
    assert not read[0, 0].any()


def test_inks_of_16_bits_are_as_those_of_8(tmp_path: Path) -> None:
    inks = np.random.default_rng(1).integers(0, 256, (9, 7, 4)).astype(np.uint8)
    PIL.Image.fromarray(inks, "CMYK").save(tmp_path / "eight.tif")
    tifffile.imwrite(tmp_path / "sixteen.tif", inks.astype(np.uint16) * 257, photometric="separated")
    eight = read_image(tmp_path / "eight.tif", color="rgb").data
    sixteen = read_image(tmp_path / "sixteen.tif", color="rgb").data
    assert np.abs(sixteen / 257 - eight).max() <= 1  # Pillow rounds to 8 bits


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inks_with_alpha(tmp_path: Path, dtype: type) -> None:
    top = np.iinfo(dtype).max
    inks = np.random.default_rng(2).integers(0, top, (9, 7, 5), endpoint=True).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", extrasamples=["unassalpha"])
    left = 1 - inks[..., :4] / top
    expected = np.rint(left[..., :3] * left[..., 3:] * top)
    read = read_image(tmp_path / "a.tif", color="rgba").data
    np.testing.assert_array_equal(read, np.dstack([expected, inks[..., 4]]))


def test_lab_of_16_bits_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 3), np.uint16), photometric="cielab")
    with pytest.raises(ReadError, match="CIELAB colours of 16 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("largest", [255, 256, 999, 4095, 65535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_the_largest_value_of_a_portable_map_is_white(tmp_path: Path, kind: str, largest: int) -> None:
    channels = 3 if kind in ("P3", "P6") else 1
    stored = np.random.default_rng(largest).integers(0, largest + 1, (5, 7, channels))
    stored[0, 0] = largest
    head = f"{kind} # made\n7 5\n# of any number\n{largest}\n".encode()
    wide = ">u2" if largest > 255 else "u1"
    text = (
        " ".join(map(str, stored.ravel())).encode() if kind in ("P2", "P3") else stored.astype(wide).tobytes()
    )
    path = tmp_path / "a.ppm"
    path.write_bytes(head + text)
    top = 65535 if largest > 255 else 255
    np.testing.assert_array_equal(read_image(path).data, np.rint(stored * top / largest))
