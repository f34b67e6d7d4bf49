"""What `VideoWriter` writes, decoded and described by the ffmpeg programs."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import psutil
import pytest
from ffmpeg_oracle import decode, frame_times, probe

from mediaconv.errors import ReadError, WriteError
from mediaconv.media.video.reader import VideoReader
from mediaconv.media.video.writer import VideoWriter

RATE = Fraction(25)
TIMES = [Fraction(k, 25) for k in range(4)]
SIZES = [(50, 36), (51, 35), (1, 1), (16, 17)]


def noise(width: int, height: int, *, bits: int = 8, channels: int = 1, count: int = 4) -> np.ndarray:
    shape = (count, height, width) if channels == 1 else (count, height, width, channels)
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(7).integers(0, 2**bits, shape).astype(kind)


def write(path: Path, frames: np.ndarray, times: list[Fraction] | None = None, **options: object) -> Path:
    options.setdefault("time_base", Fraction(1, 12800))
    with VideoWriter(path, **options) as writer:
        writer.write(frames[:1], (times or TIMES)[:1])
        writer.write(frames[1:], (times or TIMES)[1 : len(frames)])
    return path


def stream_of(path: Path) -> dict:
    entries = "stream=codec_name,pix_fmt,color_range,color_space,width,height,avg_frame_rate"
    return probe(path, entries, "-select_streams", "v")["streams"][0]


@pytest.mark.parametrize(("suffix", "size"), list(product(["mp4", "mkv", "webm"], SIZES)))
def test_lossless_gray_luma_is_the_given_samples(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    frames = noise(*size)
    path = write(tmp_path / f"a.{suffix}", frames, lossless=True)
    stream = stream_of(path)
    assert (stream["width"], stream["height"], stream["color_range"]) == (*size, "pc")
    np.testing.assert_array_equal(decode(path, "gray", (size[1], size[0])), frames)
    with VideoReader(path, color="gray") as reader:
        np.testing.assert_array_equal(next(reader.chunks(9)).data[..., 0], frames)


@pytest.mark.parametrize(("suffix", "size"), list(product(["mp4", "mkv", "webm"], SIZES)))
def test_lossless_rgb_is_the_given_samples(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    frames = noise(*size, channels=3)
    path = write(tmp_path / f"a.{suffix}", frames, lossless=True)
    np.testing.assert_array_equal(decode(path, "rgb24", (size[1], size[0], 3)), frames)


@pytest.mark.parametrize(
    ("suffix", "codec", "bits", "pix_fmt"),
    [("mp4", "h264", 10, "gray10le"), ("mkv", "ffv1", 10, "gray10le"), ("mkv", "ffv1", 16, "gray16le")],
)
@pytest.mark.parametrize("size", SIZES)
def test_lossless_deep_gray(
    tmp_path: Path, suffix: str, codec: str, bits: int, pix_fmt: str, size: tuple[int, int]
) -> None:
    frames = noise(*size, bits=bits)
    path = write(tmp_path / f"a.{suffix}", frames, lossless=True, codec=codec, bit_depth=bits)
    np.testing.assert_array_equal(decode(path, pix_fmt, (size[1], size[0])), frames)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (16, 2)])
def test_ffv1_of_pictures_too_small_for_slices(tmp_path: Path, bits: int, size: tuple[int, int]) -> None:
    frames = noise(*size, bits=bits)
    path = write(tmp_path / "a.mkv", frames, codec="ffv1", bit_depth=bits)
    found = decode(path, "gray" if bits == 8 else "gray16le", (size[1], size[0]))
    np.testing.assert_array_equal(found, frames)


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_ffv1_rgb(tmp_path: Path, bits: int) -> None:
    frames = noise(51, 35, bits=bits, channels=3)
    path = write(tmp_path / "a.mkv", frames, codec="ffv1", bit_depth=bits)
    with VideoReader(path) as reader:
        read = next(reader.chunks(9)).data
    scale = 1 if bits == 8 else 65535 / (2**bits - 1)
    np.testing.assert_array_equal(read, np.rint(frames * scale))


def test_default_is_h264_mp4_full_range_faststart(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), (4, 64, 256)).copy()
    path = write(tmp_path / "a.mp4", ramp)
    stream = stream_of(path)
    assert (stream["codec_name"], stream["pix_fmt"], stream["color_range"]) == ("h264", "yuvj420p", "pc")
    content = path.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")
    difference = np.abs(decode(path, "gray", (64, 256)).astype(int) - ramp)
    assert difference.max() <= 6  # crf 18 of a smooth ramp
    assert difference.mean() < 1.5
    chroma = decode(path, "yuvj420p", (64 * 256 * 3 // 2,))[:, 64 * 256 :]
    np.testing.assert_array_equal(chroma, 128)


def test_odd_h264_is_padded_by_its_edge_and_states_its_size(tmp_path: Path) -> None:
    frames = np.full((2, 35, 51), 90, np.uint8)
    frames[:, :, -1] = 200
    frames[:, -1, :] = 30
    path = write(tmp_path / "a.mp4", frames, crf=1)
    stream = stream_of(path)
    assert (stream["width"], stream["height"]) == (52, 36)
    assert probe(path, "format_tags=comment")["format"]["tags"]["comment"] == "mediaconv size 51x35"
    coded = decode(path, "gray", (36, 52)).astype(int)
    assert np.abs(coded[:, :35, :51] - frames).max() <= 4  # crf 1
    assert np.abs(coded[:, :35, 51] - coded[:, :35, 50]).max() <= 4
    assert np.abs(coded[:, 35] - coded[:, 34]).max() <= 4
    with VideoReader(path, color="gray") as reader:
        np.testing.assert_array_equal(next(reader.chunks(2)).data[..., 0], coded[:, :35, :51])
        assert (reader.info.width, reader.info.height) == (51, 35)


def test_rgb_film_states_its_matrix_and_looks_right(tmp_path: Path) -> None:
    frames = np.zeros((3, 32, 48, 3), np.uint8)
    frames[:, :, :16] = (200, 30, 60)
    frames[:, :, 16:32] = (20, 180, 90)
    frames[:, :, 32:] = (40, 60, 220)
    path = write(tmp_path / "a.mp4", frames, crf=4)
    stream = stream_of(path)
    assert (stream["color_space"], stream["color_range"]) == ("bt709", "tv")
    read = decode(path, "rgb24", (32, 48, 3)).astype(int)
    for left in (4, 20, 36):  # inside the stripes: halved chroma blurs their borders
        assert np.abs(read[:, :, left : left + 8] - frames[:, :, left : left + 8]).max() <= 6


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize(
    "times",
    [
        [Fraction(0), Fraction(1, 30), Fraction(1), Fraction(7, 3)],
        [Fraction(2) + Fraction(k, 10) for k in range(4)],
        [Fraction(k * 1001, 30000) for k in range(4)],
    ],
)
def test_times_are_kept(tmp_path: Path, suffix: str, preset: str, times: list[Fraction]) -> None:
    path = write(tmp_path / f"a.{suffix}", noise(32, 32), times, time_base=Fraction(1, 30000), preset=preset)
    exact = 1e-6 if suffix == "mp4" else 6e-4  # ffprobe prints 6 digits; Matroska stores milliseconds
    assert frame_times(path) == pytest.approx([float(t) for t in times], abs=exact)


def test_times_before_zero_move_to_it_and_no_frame_is_lost(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", noise(32, 32), [Fraction(k - 2, 10) for k in range(4)])
    assert frame_times(path) == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-6)


def test_the_last_frame_lasts(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 4)]
    path = write(tmp_path / "a.mp4", noise(32, 32, count=2), times)
    assert float(probe(path, "format=duration")["format"]["duration"]) == pytest.approx(0.5, abs=1e-3)
    for last_time, expected in (
        (times[1], 1.25),
        (Fraction(1, 5), 0.5),
    ):  # the source's last frame may be another
        last = (last_time, Fraction(1))
        write(tmp_path / "b.mp4", noise(32, 32, count=2), times, rate=RATE, last_shown=lambda last=last: last)
        duration = probe(tmp_path / "b.mp4", "format=duration")["format"]["duration"]
        assert float(duration) == pytest.approx(expected, abs=1e-3)


def test_frames_without_times_come_by_the_rate(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mkv", rate=Fraction(10)) as writer:
        writer.write(noise(32, 32, count=3))
        writer.write(noise(32, 32, count=2))
    assert frame_times(tmp_path / "a.mkv") == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-6)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    first, second = (write(tmp_path / f"{k}.{suffix}", noise(48, 32)) for k in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "h265"}, "codec: got 'h265', .mp4 holds h264, vp9"),
        ({"bit_depth": 16}, "bit_depth: got 16, codec h264 holds 8 or 10"),
        ({"crf": 99}, "crf: got 99, codec h264 takes 0"),
        ({"preset": "ultrfast"}, "did you mean 'ultrafast'"),
        ({"crf": 3, "lossless": True}, "no quality setting"),
    ],
)
def test_options_that_cannot_be_had_are_told(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(WriteError, match=message):
        write(tmp_path / "a.mp4", noise(8, 8), **options)


def test_unknown_container_and_wrong_frames(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"expected one of \.mp4, \.mkv, \.webm"):
        VideoWriter(tmp_path / "a.mp5")
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(np.zeros((1, 8, 8), np.uint8), [Fraction(0)])
        with pytest.raises(WriteError, match=r"shape \(1, 9, 8\)"):
            writer.write(np.zeros((1, 9, 8), np.uint8), [Fraction(0)])
    with pytest.raises(WriteError, match="gave no frame to write"):
        VideoWriter(tmp_path / "b.mp4").close()
    with pytest.raises(WriteError, match="No such file or directory"):
        VideoWriter(tmp_path / "none" / "b.mp4")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize("size", [100, 20_000])
def test_a_full_disk_is_told(tmp_path: Path, small_disk, suffix: str, size: int) -> None:
    frames = noise(64, 48, count=16)
    with small_disk(size), pytest.raises(WriteError, match="cannot be written") as failure:
        write(tmp_path / f"a.{suffix}", frames, [Fraction(k, 25) for k in range(16)], lossless=True)
    assert isinstance(failure.value.__cause__, OSError)
    assert failure.value.stage == "write"


def test_abort_leaves_the_file_closed(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4")
    writer.write(noise(64, 48), TIMES)
    for _ in range(2):
        writer.abort()
        assert str(tmp_path / "a.mp4") not in {file.path for file in psutil.Process().open_files()}
    with pytest.raises(ReadError):  # nothing that a player would take for a film
        VideoReader(tmp_path / "a.mp4")
