"""JPEGs whose structure is whole and whose pixels are not are refused; odd ones are read as by Pillow."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from mediaconv.errors import ReadError
from mediaconv.media.image import jpeg
from mediaconv.media.image.reader import read_image

END = b"\xff\xd9"
QUANTIZATION = b"\xff\xdb"
WAYS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "own tables": {"optimize": True},
    "RGB": {"keep_rgb": True},
}
MODES = ["L", "RGB", "CMYK"]


def encoded(mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (37, 45, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).resize((90, 74)).convert(mode).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def by_pillow(content: bytes) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(content)) as image:
        data = np.asarray(image.convert("RGB") if image.mode == "CMYK" else image)
    return data if data.ndim == 3 else data[..., None]


def written(folder: Path, content: bytes) -> Path:
    path = folder / "a.jpg"
    path.write_bytes(content)
    return path


def check_refused(folder: Path, content: bytes, told: str) -> None:
    """And that it is one which Pillow reads."""
    assert by_pillow(content).size
    with pytest.raises(ReadError, match=f"some of its pixels are missing .*{told}"):
        read_image(written(folder, content))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_whole_and_cut(tmp_path: Path, way: str, mode: str) -> None:
    content = encoded(mode, **WAYS[way])
    np.testing.assert_array_equal(read_image(written(tmp_path, content)).data, by_pillow(content))
    scans = [*(scan.start() for scan in re.finditer(b"\xff\xda", content)), len(content)]
    long = [pair for pair in itertools.pairwise(scans) if pair[1] - pair[0] > 100]
    for begin, end in (long[0], long[-1]):
        kept = (begin + end) // 2
        check_refused(tmp_path, content[:kept] + END, "premature end of data segment")


def test_its_last_bytes(tmp_path: Path) -> None:
    check_refused(tmp_path, encoded()[:-4] + END, "premature end of data segment")


def test_one_decoding_gives_the_pixels() -> None:
    """Pillow's, without Pillow."""
    for mode in ("L", "RGB"):
        content = encoded(mode)
        found = jpeg.decode(Path("a.jpg"), content, mode)
        assert found is not None
        np.testing.assert_array_equal(found, by_pillow(content))


def test_missing_before_a_restart(tmp_path: Path) -> None:
    content = encoded(restart_marker_blocks=3)
    marks = [mark.start() for mark in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    check_refused(tmp_path, content[: marks[2] - 8] + content[marks[2] :], "premature end of data segment")
    check_refused(tmp_path, content[: marks[2]] + content[marks[3] :], "instead of RST")


def test_oddities_are_read(tmp_path: Path) -> None:
    """Rubbish between and behind the parts, fill bytes, a revision of the future."""
    content = encoded()
    table, scan = content.index(QUANTIZATION), content.index(b"\xff\xda")
    odd = [
        content + b"rubbish" * 9,
        content[:-2] + b"rubbish" + END,
        content[:table] + b"rubbish" + content[table:],
        content[:scan] + b"\xff\xff\xff" + content[scan:],
        content.replace(b"JFIF\0\1", b"JFIF\0\3"),
    ]
    for each in odd:
        np.testing.assert_array_equal(read_image(written(tmp_path, each)).data, by_pillow(content))


def test_oddities_hide_no_damage(tmp_path: Path) -> None:
    """libjpeg tells of them first, and then of nothing more."""
    content = encoded()[:-300] + END
    table = content.index(QUANTIZATION)
    odd = [
        content[:table] + b"rubbish\xff\0\xff\xd0" + content[table:],
        content.replace(b"JFIF\0\1", b"JFIF\0\3"),
    ]
    for each in odd:
        check_refused(tmp_path, each, "premature end of data segment")


def test_without_an_end(tmp_path: Path) -> None:
    """Whether anything is missing cannot be told."""
    for content in (encoded()[:-2], encoded()[:-200], encoded(progressive=True)[:-2]):
        with pytest.raises(ReadError, match="truncated"):
            read_image(written(tmp_path, content))


def test_two_pictures_in_one_file(tmp_path: Path) -> None:
    """As cameras write them: the first counts."""
    first, second = (PIL.Image.open(io.BytesIO(encoded(mode))) for mode in ("RGB", "L"))
    file = io.BytesIO()
    first.save(file, "MPO", save_all=True, append_images=[second], quality=90)
    whole = file.getvalue()
    assert PIL.Image.open(io.BytesIO(whole)).format == "MPO"
    np.testing.assert_array_equal(read_image(written(tmp_path, whole)).data, by_pillow(whole))
    end = whole.index(END + b"\xff\xd8")
    content = whole[: end - 200] + END + bytes(200) + whole[end + 2 :]
    check_refused(tmp_path, content, "premature end of data segment")


@pytest.mark.parametrize("tile", [None, (48, 64)])
@pytest.mark.parametrize("photometric", ["rgb", "ycbcr", "minisblack"])
def test_in_tiff(tmp_path: Path, photometric: str, tile: tuple[int, int] | None) -> None:
    """A strip or tile is a JPEG of its own, the last strip a lower one."""
    path, data = tmp_path / "a.tif", np.random.default_rng(4).integers(0, 256, (90, 128, 3), np.uint8)
    data = data[..., 0] if photometric == "minisblack" else data
    layout = {"rowsperstrip": 40} if tile is None else {"tile": tile}
    tifffile.imwrite(path, data, compression="jpeg", photometric=photometric, **layout)
    assert read_image(path).data.shape[:2] == (90, 128)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        begin, count = file.pages[0].dataoffsets[1], file.pages[0].databytecounts[1]
    cut = begin + count * 3 // 4
    content[cut : begin + count] = END.ljust(begin + count - cut, b"\0")
    path.write_bytes(content)
    assert tifffile.imread(path).shape == data.shape
    with pytest.raises(ReadError, match="some of its pixels are missing"):
        read_image(path)


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_a_lower_one_in_tiff(tmp_path: Path, photometric: str) -> None:
    path, data = tmp_path / "a.tif", np.random.default_rng(4).integers(0, 256, (48, 128, 3), np.uint8)
    data = data[..., 0] if photometric == "minisblack" else data
    tifffile.imwrite(path, data[:40], compression="jpeg", photometric=photometric, rowsperstrip=40)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in ("ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(48)
    with pytest.raises(ReadError, match="40 of 48 rows"):
        read_image(path)


def test_pages_that_are_bands_in_tiff(tmp_path: Path) -> None:
    """Each is looked at."""
    path, data = tmp_path / "a.ome.tif", np.random.default_rng(4).integers(0, 256, (3, 48, 128), np.uint8)
    tifffile.imwrite(path, data, compression="jpeg", photometric="minisblack", metadata={"axes": "CYX"})
    assert read_image(path).data.shape == (48, 128, 3)
    with tifffile.TiffFile(path) as file:
        begin, count = file.pages[2].dataoffsets[0], file.pages[2].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[begin + count // 2 : begin + count] = END.ljust(count - count // 2, b"\0")
    path.write_bytes(content)
    with pytest.raises(ReadError, match="some of its pixels are missing"):
        read_image(path)
