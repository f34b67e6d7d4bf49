"""What codec and container state of a film's frames is done: cropping, fields, clocks that wrap, ranges."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from ffmpeg_oracle import ffmpeg, make
from numpy.testing import assert_array_equal

from mediaconv.media.audio.reader import AudioReader
from mediaconv.media.video.reader import VideoReader

SOURCE = "testsrc2=s=64x48:r=25:d=0.4"


def film(path: Path, **options: object) -> tuple[np.ndarray, list, list[str]]:
    with VideoReader(path, **options) as reader:
        chunks = list(reader.chunks(64))
        return (
            np.concatenate([c.data for c in chunks]),
            [t for c in chunks for t in c.times or []],
            reader.notes(),
        )


@pytest.mark.parametrize(("coder", "filter"), [("libx264", "h264_metadata"), ("libx265", "hevc_metadata")])
def test_what_the_codec_crops_on_the_left_is_cropped(tmp_path: Path, coder: str, filter: str) -> None:
    """FFmpeg's decoders round it down unless they are told not to."""
    whole = make(tmp_path / "whole.mp4", SOURCE, "-c:v", coder)
    crop = "crop_left=4:crop_right=6:crop_top=2:crop_bottom=8"
    ffmpeg("-i", whole, "-c", "copy", "-bsf:v", f"{filter}={crop}", tmp_path / "a.mp4")
    for color in ("rgb", "gray"):
        expected = film(whole, color=color)[0][:, 2:40, 4:58]
        assert_array_equal(film(tmp_path / "a.mp4", color=color)[0], expected)


def test_an_order_of_fields_that_the_container_alone_states(tmp_path: Path) -> None:
    """FFV1 and the like mark no frame as interlaced."""
    fields = "color=black:s=64x48:r=50:d=0.4,geq=lum='20+9*N':cb=128:cr=128,format=yuv420p"
    woven = f"{fields},interlace=scan={{}}:lowpass=0"
    for order, scan in (("tt", "tff"), ("bb", "bff")):
        path = tmp_path / f"{order}.mkv"
        make(path, woven.format(scan) + ",setfield=prog", "-c:v", "ffvhuff", "-field_order", order)
        _, _, notes = film(path)
        assert any("interlaced, as the file states" in note for note in notes)
        data, _, notes = film(path, color="gray", deinterlace="yadif")
        assert not notes
        first = film(path, color="gray")[0][:, 0 if order == "tt" else 1]  # the field that is shown first
        assert_array_equal(data[3:-1, 10], first[3:-1])


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_a_clock_that_wraps_begins_at_its_first_frame(tmp_path: Path, suffix: str) -> None:
    """The clock of MPEG streams has 33 bits: 26.5 hours."""
    words = ["-f", "lavfi", "-i", "color=s=64x48:r=25:d=2,format=gray,geq=lum='16+4*N'", "-f", "lavfi"]
    words += ["-i", "aevalsrc=floor(t*10)/100|0:s=48000:d=2", "-c:v", "mpeg2video", "-q:v", 2, "-c:a", "mp2"]
    path = tmp_path / f"a.{suffix}"
    ffmpeg(*words, "-b:a", "256k", "-output_ts_offset", 95442.9, path)
    data, times, _ = film(path, color="gray")
    assert 0 <= times[0] < 0.02
    part, _, _ = film(path, color="gray", start_seconds=float(times[25]), duration_seconds=0.3)
    assert_array_equal(part, data[25 : 25 + len(part)])
    with AudioReader(path, start_seconds=1.0, duration_seconds=0.1) as reader:
        sound = np.concatenate([chunk.data for chunk in reader.chunks(5000)])
    assert abs(np.median(sound[:, 0]) - 0.1) < 2e-3  # MP2 is lossy


MATRICES = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv420p9le", "yuv440p12le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_deep_colours_are_by_the_book(tmp_path: Path, pixels: str, full: bool, matrix: str) -> None:
    """ITU-R BT.601, 709 and 2020, of stored samples of one colour a frame."""
    bits = int("".join(c for c in pixels[7:] if c.isdigit()))
    red, blue = MATRICES[matrix]
    top, unit = (1 << bits) - 1, 1 << bits - 8
    stored, expected = [], []
    for r, g, b in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0), (0.2, 0.5, 0.8)]:
        y = red * r + (1 - red - blue) * g + blue * b
        cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
        if full:
            code = [y * top, cb * top + 128 * unit, cr * top + 128 * unit]
        else:
            code = [(16 + 219 * y) * unit, (128 + 224 * cb) * unit, (128 + 224 * cr) * unit]
        y, cb, cr = (min(top, max(0, round(value))) for value in code)
        stored.append((y, cb, cr))
        scale = (top, top) if full else (219 * unit, 224 * unit)
        y, cb, cr = (y - 16 * unit * (not full)) / scale[0], *((c - 128 * unit) / scale[1] for c in (cb, cr))
        r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
        expected.append(np.clip([r, (y - red * r - blue * b) / (1 - red - blue), b], 0, 1))
    across, down = {"20": (2, 2), "22": (2, 1), "44": (1, 1), "40": (1, 2)}[pixels[4:6]]
    sizes = [32 * 16, *[32 // across * (16 // down)] * 2]
    raw = b"".join(
        np.full(n, v, "<u2").tobytes() for code in stored for n, v in zip(sizes, code, strict=True)
    )
    range = ["-color_range", "pc" if full else "tv"]
    words = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", pixels, "-s", "32x16", *range, "-i", "-"]
    words += ["-c:v", "ffv1", "-pix_fmt", pixels, *range, "-colorspace", matrix, str(tmp_path / "a.mkv")]
    subprocess.run(words, input=raw, check=True, capture_output=True)
    data = film(tmp_path / "a.mkv")[0] / 65535
    # OpenCV computes in float32: up to 2 of 65,535
    np.testing.assert_allclose(
        data, np.broadcast_to(np.array(expected)[:, None, None], data.shape), atol=2.1 / 65535
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_motion_jpeg_with_exif(tmp_path: Path, orientation: int) -> None:
    """Cameras write it in each frame; PyAV has no name for such data."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    rows, columns = np.mgrid[:48, :64]
    picture = np.dstack([4 * columns, 5 * rows, 0 * rows]).astype(np.uint8)
    PIL.Image.fromarray(picture).save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    (tmp_path / "a.mjpeg").write_bytes((tmp_path / "a.jpg").read_bytes() * 3)
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "a.mjpeg", "-c", "copy", tmp_path / "a.mov")
    upright = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(tmp_path / "a.jpg")))
    data = film(tmp_path / "a.mov")[0]
    assert data.shape == (3, *upright.shape)
    np.testing.assert_allclose(data.astype(int), np.stack([upright.astype(int)] * 3), atol=4)  # two decoders
