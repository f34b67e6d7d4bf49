"""Still images as `read_image` reads them, against Pillow, OpenCV, tifffile and numpy."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tifffile

from mediaconv.errors import ReadError
from mediaconv.media.image.reader import read_image
from mediaconv.media.limits import Limits
from mediaconv.media.orientation import EXIF

CORNERS = np.zeros((4, 6, 3), np.uint8)
CORNERS[0, 0], CORNERS[0, 5], CORNERS[3, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def noise(*shape: int, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(2).integers(0, np.iinfo(kind).max + 1, shape).astype(kind)


def exif_bytes(orientation: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[274] = orientation
    return exif


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_eight_bit_lossless_formats(tmp_path: Path, suffix: str, channels: int) -> None:
    data = noise(7, 9, channels)
    path = tmp_path / f"a.{suffix}"
    PIL.Image.fromarray(data[..., 0] if channels == 1 else data).save(path, lossless=True, exact=True)
    image = read_image(path)
    assert image.bit_depth == 8
    if (suffix, channels) == ("webp", 1):
        data = np.repeat(data, 3, axis=2)  # WebP has no gray
    if (suffix, channels) == ("bmp", 4):
        data = data[..., :3]  # read without alpha, as Pillow writes and reads it
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize("name", ["a.jpg", "a.avif", "a.jp2", "a.webp"])
def test_lossy_formats_equal_pillow(tmp_path: Path, name: str) -> None:
    picture = PIL.Image.fromarray(np.kron(CORNERS, np.ones((8, 8, 1), np.uint8)))
    picture.save(tmp_path / name)
    with PIL.Image.open(tmp_path / name) as read:
        np.testing.assert_array_equal(read_image(tmp_path / name).data, np.asarray(read.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit(tmp_path: Path, suffix: str, channels: int) -> None:
    data = noise(64, 48, channels, kind=np.uint16)
    path = tmp_path / f"a.{suffix}"
    if (suffix, channels) == ("jp2", 4):
        pytest.skip("OpenCV writes no JPEG 2000 with alpha, so there is nothing to read")
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    lossless = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == "jp2" else []
    assert cv2.imwrite(str(path), data[..., order], lossless)
    image = read_image(path)
    assert (image.data.dtype, image.bit_depth) == (np.uint16, 16)
    np.testing.assert_array_equal(image.data, data)


def test_ten_bit_avif_fills_sixteen_bits(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1023, 64 * 64).reshape(64, 64).astype(np.uint16)
    quality = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 100]
    assert cv2.imwrite(str(tmp_path / "a.avif"), np.dstack([ramp] * 3), quality)
    image = read_image(tmp_path / "a.avif")
    np.testing.assert_array_equal(image.data[..., 1], np.rint(ramp.astype(float) * 65535 / 1023))


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_tiff_with_many_bands(tmp_path: Path, planes: str, compression: str | None, kind: type) -> None:
    data = noise(9, 11, 5, kind=kind)
    stored = data if planes == "contig" else np.moveaxis(data, -1, 0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planes, compression=compression)
    np.testing.assert_array_equal(read_image(path).data, data)
    with pytest.raises(ReadError, match="5 bands are no colours: 'rgb' needs 1, 3 or 4"):
        read_image(path, color="rgb")
    scaled = read_image(path, size=(5, 4))
    assert scaled.data.shape == (4, 5, 5)
    with pytest.raises(ReadError, match="5 bands, expected at most 4"):
        read_image(path, limits=Limits(max_channels=4))


def test_kinds_of_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pages = noise(3, 4, 5)
    tifffile.imwrite(path, pages, photometric="minisblack")
    np.testing.assert_array_equal(read_image(path).data[..., 0], pages[0])  # the first of three pages
    tifffile.imwrite(path, pages[0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(path).data[..., 0], 255 - pages[0])
    tifffile.imwrite(path, noise(32, 32, 3, kind=np.uint16), photometric="rgb", tile=(16, 16), byteorder=">")
    np.testing.assert_array_equal(read_image(path).data, noise(32, 32, 3, kind=np.uint16))
    bits = noise(4, 16) > 127
    PIL.Image.fromarray(bits).save(path)
    np.testing.assert_array_equal(read_image(path).data[..., 0], bits * np.uint8(255))
    PIL.Image.fromarray(CORNERS).convert("CMYK").save(path)
    np.testing.assert_array_equal(read_image(path).data, CORNERS)
    PIL.Image.fromarray(CORNERS).quantize(8).save(path)
    np.testing.assert_array_equal(read_image(path).data, CORNERS)
    for kind, message in (
        (np.int16, "signed integer samples of 16"),
        (np.complex64, "complex samples of 64"),
    ):
        tifffile.imwrite(path, np.zeros((3, 3), kind))
        with pytest.raises(ReadError, match=message):
            read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tif"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    PIL.Image.fromarray(np.kron(CORNERS, np.ones((8, 8, 1), np.uint8))).save(
        path, exif=exif_bytes(orientation)
    )
    with PIL.Image.open(path) as picture:
        wanted = np.asarray(PIL.ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
    read = read_image(path).data
    assert read.shape == wanted.shape
    assert np.abs(read - wanted).max() <= 1  # AVIF may turn before or after its own rounding
    scaled = read_image(path, size=(10, 20))
    assert scaled.data.shape[:2] == (20, 10)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("late", [False, True])
def test_exif_orientation_of_16_bit_png(tmp_path: Path, orientation: int, late: bool) -> None:
    """The tag may stand before or after the pixels."""
    data = noise(4, 6, 4, kind=np.uint16)
    encoded = cv2.imencode(".png", data[..., [2, 1, 0, 3]])[1].tobytes()
    chunk = png_chunk(b"eXIf", exif_bytes(orientation).tobytes()[6:])
    place = len(encoded) - 12 if late else 33
    (tmp_path / "a.png").write_bytes(encoded[:place] + chunk + encoded[place:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, EXIF[orientation].apply(data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bit_tiff(tmp_path: Path, orientation: int) -> None:
    data = noise(4, 6, 3, kind=np.uint16)
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extratags=tag)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, EXIF[orientation].apply(data))


def test_palette_with_transparency(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(CORNERS).quantize(4)
    picture.save(tmp_path / "a.png", transparency=0)
    with PIL.Image.open(tmp_path / "a.png") as read:
        wanted = np.asarray(read.convert("RGBA"))
    assert wanted[..., 3].min() == 0
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, wanted)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", color="rgb").data, wanted[..., :3])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_colors(tmp_path: Path, kind: type) -> None:
    data = noise(8, 9, 4, kind=kind)
    assert cv2.imwrite(str(tmp_path / "a.png"), data[..., [2, 1, 0, 3]])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", color="rgb").data, data[..., :3])
    gray = read_image(tmp_path / "a.png", color="gray").data
    luma = data[..., :3] @ np.array([0.299, 0.587, 0.114])
    assert gray.shape == (8, 9, 1)
    assert np.abs(gray[..., 0] - luma).max() <= 1.2  # fixed-point weights
    assert cv2.imwrite(str(tmp_path / "g.png"), data[..., 0])
    opaque = read_image(tmp_path / "g.png", color="rgba").data
    np.testing.assert_array_equal(opaque[..., :3], np.repeat(data[..., :1], 3, axis=2))
    np.testing.assert_array_equal(opaque[..., 3], np.iinfo(kind).max)
    with pytest.raises(ReadError, match="did you mean 'gray'"):
        read_image(tmp_path / "g.png", color="grey")


def test_size_averages_when_it_shrinks(tmp_path: Path) -> None:
    data = noise(8, 6, 3)
    PIL.Image.fromarray(data).save(tmp_path / "a.png")
    half = read_image(tmp_path / "a.png", size=(3, 4)).data
    means = data.reshape(4, 2, 3, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - means).max() <= 0.5
    assert read_image(tmp_path / "a.png", size=(12, 3)).data.shape == (3, 12, 3)


def test_one_pixel_and_first_gif_frame(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.array([[[1, 2, 3]]], np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").data.tolist() == [[[1, 2, 3]]]
    frames = [PIL.Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif").data, 10)


def test_ten_gigapixel_headers_are_refused_at_once(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(b"0")), png_chunk(b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        for name in ("ImageWidth", "ImageLength"):
            offset = file.pages[0].tags[name].valueoffset
            content[offset : offset + 4] = struct.pack("<I", 100_000)
    (tmp_path / "a.tif").write_bytes(content)
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[18:26] = struct.pack("<ii", 100_000, 100_000)
    (tmp_path / "a.bmp").write_bytes(content)
    for name in ("a.png", "a.tif", "a.bmp"):
        with pytest.raises(ReadError, match="100000x100000 pixels are more than the limit of 268435456"):
            read_image(tmp_path / name)
    PIL.Image.new("L", (8, 4)).save(tmp_path / "b.png")
    with pytest.raises(ReadError, match="more than the limit of 31"):
        read_image(tmp_path / "b.png", limits=Limits(max_pixels=31))


def test_bands_that_are_written_as_pages(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 2**16, (20, 30, 5)).astype(np.uint16)
    first = np.moveaxis(data, -1, 0)
    tifffile.imwrite(tmp_path / "last.tif", data)  # 20 pages of 30x5
    tifffile.imwrite(tmp_path / "ome.tif", first, ome=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "imagej.tif", first, imagej=True, metadata={"axes": "CYX"})
    for name in ("last", "ome", "imagej"):
        picture = read_image(tmp_path / f"{name}.tif")
        np.testing.assert_array_equal(picture.data, data)
        assert picture.images == 1
        with pytest.raises(ReadError, match="5 bands, expected at most 4"):
            read_image(tmp_path / f"{name}.tif", limits=Limits(max_channels=4))
    tifffile.imwrite(tmp_path / "pages.tif", first)  # nothing says that these belong together
    assert read_image(tmp_path / "pages.tif").images == 5


def test_bands_count_towards_the_limit_on_pixels(tmp_path: Path) -> None:
    bands = np.zeros((8, 4, 9), np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", bands, photometric="minisblack", planarconfig="contig")
    assert read_image(tmp_path / "b.tif", limits=Limits(max_pixels=72)).data.shape == (8, 4, 9)
    with pytest.raises(ReadError, match=r"4x8 pixels of 9 bands .* 71 pixels of 4 \(max_pixels\)"):
        read_image(tmp_path / "b.tif", limits=Limits(max_pixels=71))
