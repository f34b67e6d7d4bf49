"""PNGs whose zlib stream is whole and holds fewer rows than the header promises are refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from mediaconv.errors import ReadError
from mediaconv.media.image.reader import read_image
from mediaconv.media.video.animated_images import AnimationReader

SIGNATURE = b"\x89PNG\r\n\x1a\n"
WIDTH, HEIGHT = 13, 11
KINDS = [
    (1, 0),
    (2, 0),
    (4, 0),
    (8, 0),
    (16, 0),
    (8, 2),
    (16, 2),
    (1, 3),
    (2, 3),
    (4, 3),
    (8, 3),
    (8, 4),
    (16, 4),
]
KINDS += [(8, 6), (16, 6)]
BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column, steps of rows and columns, as the standard draws them."""


def chunk(kind: bytes, body: bytes, *, damage: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ damage)


def line(samples: np.ndarray, bits: int) -> bytes:
    """A row without a filter."""
    if bits == 16:
        return b"\0" + samples.astype(">u2").tobytes()
    digits = ((samples.reshape(-1, 1) >> np.arange(bits)[::-1]) & 1).astype(np.uint8)
    return b"\0" + np.packbits(digits.ravel()).tobytes()


def lines(data: np.ndarray, bits: int, *, interlaced: bool) -> list[bytes]:
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    grids = [data[y::down, x::across] for y, x, down, across in passes]
    return [line(row, bits) for grid in grids if grid.size for row in grid]


def png(
    rows: list[bytes], bits: int, colour: int, *more: bytes, interlaced: bool = False, damage: int = 0
) -> bytes:
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, interlaced)
    palette = np.random.default_rng(1).integers(0, 256, (1 << min(bits, 8), 3), np.uint8).tobytes()
    stream = zlib.compress(b"".join(rows))
    half = len(stream) // 2
    return b"".join(
        [
            SIGNATURE,
            chunk(b"IHDR", head),
            *([chunk(b"PLTE", palette)] if colour == 3 else []),
            *more,
            chunk(b"IDAT", stream[:half], damage=damage),
            chunk(b"IDAT", stream[half:]),
            chunk(b"IEND", b""),
        ]
    )


def samples(bits: int, colour: int) -> np.ndarray:
    """The last rows are black, as those are that a decoder leaves out."""
    data = np.random.default_rng(bits + colour).integers(0, 1 << bits, (HEIGHT, WIDTH, BANDS[colour]))
    data[-2:] = 0
    return data


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("bits", "colour"), KINDS)
def test_what_is_missing_is_told(tmp_path: Path, bits: int, colour: int, interlaced: bool) -> None:
    path, data = tmp_path / "a.png", samples(bits, colour)
    rows = lines(data, bits, interlaced=interlaced)
    kind = "interlaced rows" if interlaced else "rows"
    for missing in (1, 3, len(rows) // 2):
        path.write_bytes(png(rows[: len(rows) - missing], bits, colour, interlaced=interlaced))
        with pytest.raises(ReadError, match=f"holds {len(rows) - missing} of {len(rows)} {kind}"):
            read_image(path)
    for few in ([*rows[:-1], rows[-1][:-1]], []):
        path.write_bytes(png(few, bits, colour, interlaced=interlaced))
        with pytest.raises(ReadError, match="damaged or cut off"):
            read_image(path)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("bits", "colour"), KINDS)
def test_whole_ones_are_read(tmp_path: Path, bits: int, colour: int, interlaced: bool) -> None:
    """Also those with black rows at the end, and those whose stream goes on behind the last row."""
    path, data = tmp_path / "a.png", samples(bits, colour)
    rows = lines(data, bits, interlaced=interlaced)
    for more in ([], [bytes(9)]):
        path.write_bytes(png(rows + more, bits, colour, interlaced=interlaced))
        found = read_image(path).data
        assert found.shape[:2] == (HEIGHT, WIDTH)
        if colour in (0, 2, 6):
            top = np.iinfo(found.dtype).max
            np.testing.assert_array_equal(found, data * (top // ((1 << bits) - 1)))


@pytest.mark.parametrize("extra", [b"gAMA", b"tEXt"])
def test_the_short_way_and_the_long_way(tmp_path: Path, extra: bytes) -> None:
    """A note sends a picture to the other decoder."""
    path, rows = tmp_path / "a.png", lines(samples(8, 2), 8, interlaced=False)
    body = struct.pack(">I", 45455) if extra == b"gAMA" else b"a\0b"
    path.write_bytes(png(rows[:4], 8, 2, chunk(extra, body)))
    with pytest.raises(ReadError, match=f"holds 4 of {HEIGHT} rows"):
        read_image(path)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_wrong_checksum_of_a_chunk(tmp_path: Path, bits: int) -> None:
    """The stream's own proves the pixels; libpng, which reads 16 bits, refuses it."""
    path, data = tmp_path / "a.png", samples(bits, 2)
    rows = lines(data, bits, interlaced=False)
    content = png(rows, bits, 2, damage=1)
    path.write_bytes(content)
    if bits == 8:
        np.testing.assert_array_equal(read_image(path).data, data)
    else:
        with pytest.raises(ReadError, match="cannot be decoded"):
            read_image(path)
    stream = zlib.compress(b"".join(rows))
    head = content[: content.index(b"IDAT") - 4]
    wrong = stream[:-4] + struct.pack(">I", zlib.adler32(b"".join(rows)) ^ 1)
    path.write_bytes(head + chunk(b"IDAT", wrong) + chunk(b"IEND", b""))
    with pytest.raises(ReadError, match="cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("short", [0, 1])
def test_pictures_of_an_animation(tmp_path: Path, bits: int, short: int) -> None:
    """Of the still picture the first one counts; as a film each does."""
    path = tmp_path / "a.png"
    rows = lines(samples(bits, 6), bits, interlaced=False)
    kept = [rows[:-2] if index == short else rows for index in range(2)]
    control = [struct.pack(">IIIIIHHBB", n, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0) for n in (0, 1)]
    first = png(kept[0], bits, 6, chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", control[0]))
    second = chunk(b"fcTL", control[1]) + chunk(
        b"fdAT", struct.pack(">I", 2) + zlib.compress(b"".join(kept[1]))
    )
    path.write_bytes(first[:-12] + second + first[-12:])
    told = f"holds {HEIGHT - 2} of {HEIGHT} rows"
    with pytest.raises(ReadError, match=told):
        list(AnimationReader(path).chunks(1))
    if short == 0:
        with pytest.raises(ReadError, match=told):
            read_image(path)
    else:
        np.testing.assert_array_equal(read_image(path).data, samples(bits, 6))
