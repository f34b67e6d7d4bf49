"""Cropping, fields, sizes that change, HDR, animations, and times that would make hours of a small file."""

from __future__ import annotations

import struct
import time
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from ffmpeg_oracle import decode, ffmpeg, make
from numpy.testing import assert_array_equal

import mediaconv
from mediaconv.errors import MediaError, ReadError
from mediaconv.media.image.reader import read_image
from mediaconv.media.limits import Limits
from mediaconv.media.video.reader import VideoReader
from mediaconv.pipeline import find

SOURCE = "testsrc2=s=64x48:r=10:d=1"


def film(path: Path, **options: object) -> tuple[np.ndarray, list[Fraction], list[str]]:
    pipeline = find("video")
    with pipeline.open(path, pipeline.read_options(**options), Limits()) as reader:
        parts = list(reader.chunks(7))
        data = np.concatenate([part.data for part in parts])
        return data, [t for part in parts for t in part.times or []], reader.notes()


def crop_of_matroska(path: Path, whole: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("mkvmerge") is None:
        pytest.skip("mkvmerge is not installed (Debian: mkvtoolnix)")
    subprocess.run(["mkvmerge", "-q", "-o", path, "--cropping", "0:8,4,16,2", whole], check=True)


def crop_of_mp4(path: Path, whole: Path) -> None:
    """A clap box by hand: 40x42, its centre moved by (-4, +1) from the picture's."""
    import struct

    data = whole.read_bytes()
    clap = struct.pack(">I4s8i", 40, b"clap", 40, 1, 42, 1, -4, 1, 1, 1)
    at = data.index(b"stsd")
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        place = data.index(name, data.index(b"moov")) - 4
        length = int.from_bytes(data[place : place + 4], "big") + len(clap)
        data = data[:place] + length.to_bytes(4, "big") + data[place + 4 :]
    entry = data.index(b"avc1", at) - 4
    end = entry + int.from_bytes(data[entry : entry + 4], "big") - len(clap)
    path.write_bytes(data[:end] + clap + data[end:])


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_cropping_of_the_container(tmp_path: Path, name: str) -> None:
    whole = make(tmp_path / f"whole_{name}", SOURCE, "-c:v", "libx264")  # moov last: no offset moves
    (crop_of_matroska if name == "a.mkv" else crop_of_mp4)(tmp_path / name, whole)
    expected, times, _ = film(whole)
    data, got, _ = film(tmp_path / name)
    assert got == times
    assert_array_equal(data, expected[:, 4:46, 8:48])
    assert film(tmp_path / name, size=[20, 21])[0].shape == (10, 21, 20, 3)


def interlaced(path: Path) -> Path:
    flags = ["-vf", "interlace", "-flags", "+ildct+ilme", "-b:v", "3M"]
    return make(path, "testsrc2=s=64x48:r=50:d=1", *flags, "-c:v", "mpeg2video")


def test_fields_are_told_and_made_frames_on_request(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "a.mpg")
    plain, times, notes = film(path, color="gray")
    assert notes[0].startswith("interlaced: 25 of 25 frames hold two fields")
    data, got, notes = film(path, color="gray", deinterlace="yadif")
    assert (got, notes) == (times, [])
    expected = decode(path, "gray", (48, 64), "-vf", "yadif=mode=send_frame")
    assert_array_equal(data[..., 0], expected)
    assert (data != plain).any()
    part, shown, _ = film(path, color="gray", deinterlace="yadif", start_seconds=0.5, duration_seconds=0.2)
    chosen = [k for k, at in enumerate(times) if 0.5 <= at < 0.7]
    assert_array_equal(part, data[chosen])
    assert shown == [times[k] - Fraction(1, 2) for k in chosen]


def test_a_size_that_changes_midway(tmp_path: Path) -> None:
    stream = ["-c:v", "libx264", "-f", "mpegts"]
    first = ffmpeg("-f", "lavfi", "-i", SOURCE, *stream, "-")
    small = SOURCE.replace("64x48", "32x24")
    second = ffmpeg("-f", "lavfi", "-i", small, *stream, "-output_ts_offset", 1, "-")
    (tmp_path / "a.ts").write_bytes(first + second)
    for name, data in (("one.ts", first), ("two.ts", second)):
        (tmp_path / name).write_bytes(data)
    whole, times, notes = film(tmp_path / "a.ts")
    assert whole.shape == (20, 48, 64, 3)
    assert notes[0].startswith("the size of the frames changes to 32x24 at ")
    assert "all were scaled to the first size" in notes[0]
    for part, name in enumerate(("one.ts", "two.ts")):
        data, got, _ = film(tmp_path / "a.ts", part=part)
        assert_array_equal(data, film(tmp_path / name)[0])
        assert got == times[10 * part : 10 * part + 10]
    with pytest.raises(ReadError, match="part 2"):
        film(tmp_path / "a.ts", part=2)


@pytest.mark.parametrize(
    ("transfer", "told"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG"), ("bt709", None)]
)
def test_hdr_is_told(tmp_path: Path, transfer: str, told: str | None) -> None:
    tags = ["-color_trc", transfer, "-colorspace", "bt2020nc"]
    tags += ["-color_primaries", "bt2020" if told else "bt709"]
    path = make(tmp_path / "a.mkv", SOURCE, "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", *tags)
    notes = film(path)[2]
    assert len(notes) == bool(told)
    assert all(f"HDR ({told}" in note and "primaries of BT.2020" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "codec", "tags", "told"),
    [
        ("a.mov", "prores_ks -pix_fmt yuv422p10le", "bt2020 smpte2084 bt2020nc", "HDR (PQ"),
        ("a.mkv", "ffv1", "bt2020 bt709 bt2020nc", "primaries of BT.2020"),
        ("a.mkv", "ffv1", "unknown unknown bt2020nc", "primaries of BT.2020"),
        ("a.mp4", "libx264", "smpte432 bt709 bt709", "primaries of Display P3"),
        ("a.mkv", "ffv1", "bt470bg smpte170m smpte170m", None),
    ],
)
def test_a_wide_gamut_is_told(tmp_path: Path, name: str, codec: str, tags: str, told: str | None) -> None:
    """Also where the container alone states it, as of ProRes by FFmpeg."""
    keys = ("-color_primaries", "-color_trc", "-colorspace")
    words = [word for pair in zip(keys, tags.split(), strict=True) for word in pair]
    path = make(tmp_path / name, SOURCE, "-c:v", *codec.split(), *words)
    notes = film(path)[2]
    assert len(notes) == bool(told)
    assert all(str(told) in note and "not converted" in note for note in notes)


def test_colours_that_are_no_matrix_are_named(tmp_path: Path) -> None:
    words = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "ictcp"]
    path = make(tmp_path / "a.mkv", SOURCE, "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", *words)
    with pytest.raises(ReadError, match=r"yuv420p10le of ICtCp colours cannot be converted .*BT\.709"):
        film(path)


@pytest.mark.parametrize("colour", ["black", "white", "0x102030"])
@pytest.mark.parametrize("wanted", ["rgb", "rgba", "gray"])
def test_prores_4444(tmp_path: Path, colour: str, wanted: str) -> None:
    source = f"color={colour}:s=64x48:r=5:d=0.4"
    path = make(tmp_path / "a.mov", source, "-c:v", "prores_ks", "-pix_fmt", "yuva444p10le")
    data = film(path, color=wanted)[0]
    if colour in ("black", "white"):
        assert (data[..., :3] == (65535 if colour == "white" else 0)).all()
    if wanted == "rgba":
        assert (data[..., 3] == 65535).all()
        assert_array_equal(data[..., :3], film(path, color="rgb")[0])


def test_animated_webp_as_film(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 20, 30, 3)).astype(np.uint8)
    pictures = [PIL.Image.fromarray(frame) for frame in frames]
    durations = [100, 250, 50, 100]
    path = tmp_path / "a.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], lossless=True, duration=durations)
    data, times, _ = film(path)
    assert_array_equal(data, frames)
    assert times == [0, Fraction(1, 10), Fraction(35, 100), Fraction(4, 10)]
    assert_array_equal(film(path, start_seconds=0.2, duration_seconds=0.2)[0], frames[2:3])
    assert_array_equal(film(path, fps=20)[0][:8], frames[[0, 0, 1, 1, 1, 1, 1, 2]])
    assert film(path, size=[15, 10], color="gray")[0].shape == (4, 10, 15, 1)


@pytest.mark.parametrize("kind", ["rgb48be", "rgba64be", "gray16be", "ya16be"])
def test_png_of_16_bits_as_film(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "a.png", SOURCE, "-pix_fmt", kind, "-f", "apng")
    expected = ffmpeg(
        "-f", "lavfi", "-i", SOURCE, "-vf", f"format={kind}", "-f", "rawvideo", "-pix_fmt", "rgb48le", "-"
    )
    data = film(path)[0]
    assert_array_equal(data, np.frombuffer(expected, np.uint16).reshape(-1, 48, 64, 3))


def test_a_still_picture_beside_an_animation(tmp_path: Path) -> None:
    """A first picture without a control chunk before it: it is the file's picture, and no frame."""
    still = make(tmp_path / "still.png", "color=red:s=64x48:r=1:d=1", "-pix_fmt", "rgb48be", "-frames:v", 1)
    data = make(tmp_path / "b.png", SOURCE, "-pix_fmt", "rgb48be", "-f", "apng").read_bytes()
    chunks, offset = [], 8
    while offset < len(data):
        end = offset + 12 + int.from_bytes(data[offset : offset + 4], "big")
        chunks.append((data[offset + 4 : offset + 8], data[offset + 8 : end - 4]))
        offset = end
    own = still.read_bytes()
    at = own.index(b"IDAT")
    length = int.from_bytes(own[at - 4 : at], "big")
    changed: list[tuple[bytes, bytes]] = []
    number = 0
    import struct
    import zlib

    for kind, body in chunks:
        if kind == b"fcTL" and not any(k == b"IDAT" for k, _ in changed):
            changed.append((b"IDAT", own[at + 4 : at + 4 + length]))
        if kind == b"fcTL":
            body = struct.pack(">I", number) + body[4:]
            number += 1
        if kind in (b"IDAT", b"fdAT"):
            kind, body = b"fdAT", struct.pack(">I", number) + (body if kind == b"IDAT" else body[4:])
            number += 1
        changed.append((kind, body))
    path = tmp_path / "a.png"
    path.write_bytes(
        data[:8]
        + b"".join(
            struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in changed
        )
    )
    picture = read_image(path).data
    assert_array_equal(picture, read_image(still).data)


def slow_gif(path: Path, seconds: float, count: int = 3) -> Path:
    """A GIF of few bytes whose pictures last long."""
    data = bytearray(make(path, f"testsrc2=s=16x16:r=10:d={count / 10}").read_bytes())
    at = -1
    while (at := data.find(b"\x21\xf9\x04", at + 1)) >= 0:
        data[at + 4 : at + 6] = int(seconds * 100).to_bytes(2, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("seconds", [655.0, 410.0])
def test_hours_of_repeats_meet_a_limit(tmp_path: Path, seconds: float) -> None:
    path = slow_gif(tmp_path / "a.gif", seconds)
    began = time.monotonic()
    with pytest.raises(MediaError, match=r"more often than the limit of 10000 .*max_repeats"):
        mediaconv.convert(["identity"], path, tmp_path / "out", pipeline="video", read={"fps": 25})
    assert time.monotonic() - began < 20
    assert film(path)[1][:2] == [0, Fraction(str(seconds))]  # without fps nothing is repeated


def test_repeats_up_to_the_limit_are_made(tmp_path: Path) -> None:
    path = slow_gif(tmp_path / "a.gif", 300, count=2)
    with VideoReader(path, fps=25, limits=Limits(max_repeats=7500)) as reader:
        assert sum(len(part.data) for part in reader.chunks(500)) >= 7500


CONTROLS = [(0, 0, 0, 0), (3, 4, 0, 1), (5, 2, 1, 1), (0, 0, 2, 1), (8, 8, 0, 0), (2, 3, 1, 0), (1, 1, 0, 1)]
"""Left, top, what becomes of the part, and whether it lies over what was there."""


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("hidden", [False, True])
def test_parts_of_an_animated_png(tmp_path: Path, depth: int, channels: int, hidden: bool) -> None:
    """Composed here by the definition; hidden: the still picture is no part of the animation."""
    draw, top = np.random.default_rng(channels), (1 << depth) - 1
    shapes = [(30, 40), *[(20, 30)] * (len(CONTROLS) - 1)]
    parts = [draw.integers(0, top + 1, (*shape, channels)) for shape in shapes]
    for part in parts if channels != 3 else ():
        kind = draw.random(part.shape[:2])
        part[..., -1] = np.where(kind < 0.3, 0, np.where(kind < 0.6, top, part[..., -1]))
    path = tmp_path / "a.png"
    path.write_bytes(_animated(parts, depth, {2: 4, 3: 2, 4: 6}[channels], hidden=hidden))
    pipeline = find("video")
    with pipeline.open(path, pipeline.read_options(color="rgba"), Limits()) as reader:
        chunks = list(reader.chunks(99))
    data = np.concatenate([chunk.data for chunk in chunks])
    assert data.dtype.itemsize * 8 == depth
    seen = data[..., 3:] > 0
    expected = np.stack(_composed(parts, top))
    np.testing.assert_array_equal(data[..., 3], expected[..., 3])
    np.testing.assert_array_equal(np.where(seen, data, 0), np.where(seen, expected, 0))


def _animated(parts: list[np.ndarray], depth: int, kind: int, *, hidden: bool) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def packed(part: np.ndarray) -> bytes:
        rows = part.astype(">u2" if depth == 16 else "u1")
        return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))

    height, width = parts[0].shape[:2]
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    content += chunk(b"acTL", struct.pack(">II", len(parts), 0))
    content += chunk(b"IDAT", packed(0 * parts[0])) if hidden else b""
    number = 0
    for k, (part, (left, above, dispose, over)) in enumerate(zip(parts, CONTROLS, strict=True)):
        size = (part.shape[1], part.shape[0], left, above)
        content += chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *size, 1, 20, dispose, over))
        number += 1
        if k == 0 and not hidden:
            content += chunk(b"IDAT", packed(part))
            continue
        content += chunk(b"fdAT", struct.pack(">I", number) + packed(part))
        number += 1
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


def _composed(parts: list[np.ndarray], top: int) -> list[np.ndarray]:
    canvas = np.zeros((*parts[0].shape[:2], 4))
    shown = []
    for k, (part, (left, above, dispose, over)) in enumerate(zip(parts, CONTROLS, strict=True)):
        before, area = canvas.copy(), np.s_[above : above + part.shape[0], left : left + part.shape[1]]
        picture = part.astype(float)
        if part.shape[2] == 2:
            picture = picture[..., [0, 0, 0, 1]]
        if part.shape[2] == 3:
            picture = np.dstack([picture, np.full(part.shape[:2], top)])
        if over:
            own, below = picture[..., 3:] / top, canvas[area][..., 3:] / top
            both = own + below * (1 - own)
            mixed = picture[..., :3] * own + canvas[area][..., :3] * below * (1 - own)
            picture = np.concatenate([mixed / np.where(both > 0, both, 1), both * top], axis=2)
        canvas[area] = np.rint(picture)
        shown.append(canvas.copy())
        if dispose == 1 or (dispose == 2 and k == 0):
            canvas[area] = 0
        elif dispose == 2:
            canvas = before
    return shown
