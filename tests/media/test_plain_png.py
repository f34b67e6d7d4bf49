"""PNGs of 8 bits that are nothing but pixels take a shorter way, to the same pixels; others do not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mediaconv.errors import ReadError
from mediaconv.media.image import decoders
from mediaconv.media.image.reader import read_image
from mediaconv.media.limits import Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MODES = {0: "L", 2: "RGB", 6: "RGBA"}
BANDS = {0: 1, 2: 3, 6: 4}
HEIGHT, WIDTH = 5, 7


def chunk(kind: bytes, body: bytes, *, damage: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ damage)


def pixels(colour: int) -> np.ndarray:
    shape = (HEIGHT, WIDTH, BANDS[colour])
    return np.random.default_rng(colour).integers(0, 256, shape, np.uint8)


def png(colour: int, rows: bytes, *more: bytes, interlace: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, colour, 0, 0, interlace)
    return b"".join([SIGNATURE, chunk(b"IHDR", head), *more, chunk(b"IDAT", rows), chunk(b"IEND", b"")])


def packed(data: np.ndarray) -> bytes:
    """Rows of a PNG, each with another filter, as the standard defines them."""
    lines, bands = data.reshape(len(data), -1).astype(int), data.shape[2]
    above = np.vstack([np.zeros_like(lines[:1]), lines[:-1]])
    left = np.hstack([np.zeros((len(lines), bands), int), lines[:, :-bands]])
    corner = np.hstack([np.zeros((len(lines), bands), int), above[:, :-bands]])
    estimate = left + above - corner
    near = [np.abs(estimate - side) for side in (left, above, corner)]
    paeth = np.where(
        (near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], above, corner)
    )
    guesses = [np.zeros_like(lines), left, above, (left + above) // 2, paeth]
    filtered = [bytes([y % 5, *((lines[y] - guesses[y % 5][y]) % 256).tolist()]) for y in range(len(lines))]
    return zlib.compress(b"".join(filtered))


@pytest.mark.parametrize("colour", MODES)
@pytest.mark.parametrize("extra", [b"", b"pHYs", b"tIME", b"sRGB", b"gAMA", b"cHRM"])
def test_pixels_are_those_that_were_stored(tmp_path: Path, colour: int, extra: bytes) -> None:
    """Whatever stands beside them that is not for pixels, and through all filters."""
    bodies = {
        b"pHYs": struct.pack(">IIB", 2835, 1000, 1),
        b"tIME": struct.pack(">HBBBBB", 2020, 1, 1, 1, 1, 1),
        b"sRGB": b"\0",
        b"gAMA": struct.pack(">I", 100_000),
        b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    }
    path, data = tmp_path / "a.png", pixels(colour)
    path.write_bytes(png(colour, packed(data), *([chunk(extra, bodies[extra])] if extra else [])))
    found = decoders._decode_plain_png(path, path.read_bytes(), Limits())
    assert found is not None
    np.testing.assert_array_equal(found, data)
    np.testing.assert_array_equal(read_image(path).data, data)
    with PIL.Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image).reshape(data.shape), data)


def test_other_pictures_go_the_long_way(tmp_path: Path) -> None:
    """Which turns them, makes a colour transparent, or finds the first of several."""
    data = pixels(2)
    rows = packed(data)
    upside_down = b"II*\0" + struct.pack("<IHHHII", 8, 1, 274, 3, 1, 3) + bytes(4)
    key = struct.pack(">HHH", *data[0, 0].tolist())
    cases = {
        "turned": png(2, rows, chunk(b"eXIf", upside_down)),
        "keyed": png(2, rows, chunk(b"tRNS", key)),
        "told": png(2, rows, chunk(b"tEXt", b"Title\0words")),
        "interlaced": png(2, rows, interlace=1),
        "damaged": png(2, rows).replace(rows[:20], rows[:19] + b"\xff", 1),
        "short": png(2, rows)[:28],
    }
    path = tmp_path / "a.png"
    for name, content in cases.items():
        assert decoders._decode_plain_png(path, content, Limits()) is None, name
    path.write_bytes(cases["turned"])
    np.testing.assert_array_equal(read_image(path).data, data[::-1, ::-1])
    path.write_bytes(cases["keyed"])
    assert read_image(path).data[0, 0].tolist() == [*data[0, 0].tolist(), 0]


def test_rows_that_are_missing_are_no_black_ones(tmp_path: Path) -> None:
    """Chunks that are whole around pixels that are not: refused as before."""
    path = tmp_path / "a.png"
    path.write_bytes(png(2, packed(pixels(2))[:-12]))
    with pytest.raises(ReadError, match="damaged or cut off"):
        read_image(path)


def test_limits_are_checked_before_anything_is_decoded(tmp_path: Path) -> None:
    """As they are on the long way."""
    path = tmp_path / "a.png"
    path.write_bytes(png(2, packed(pixels(2))))
    with pytest.raises(ReadError, match="7x5 pixels are more than the limit of 34"):
        read_image(path, limits=Limits(max_pixels=34))
