"""A window of a film is the slice of a full read, by the time of showing, in every container."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ffmpeg_oracle import make

from mediaconv.media.video.reader import VideoReader

CODERS = {
    "h264": ["-c:v", "libx264", "-bf", "3", "-b_strategy", "0"],
    "pyramid": ["-c:v", "libx264", "-bf", "5", "-x264-params", "b-pyramid=normal:open-gop=1"],
    "refresh": ["-c:v", "libx264", "-bf", "0", "-x264-params", "intra-refresh=1"],
    "hevc": ["-c:v", "libx265", "-x265-params", "log-level=none:bframes=4:open-gop=1"],
    "mpeg2": ["-c:v", "mpeg2video", "-bf", "2"],
    "mpeg4": ["-c:v", "mpeg4", "-bf", "2"],
    "flv1": ["-c:v", "flv"],
    "wmv": ["-c:v", "wmv2"],
    "vp8": ["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "8", "-cpu-used", "8"],
    "vp9": ["-c:v", "libvpx-vp9", "-lag-in-frames", "8", "-cpu-used", "8"],
    "theora": ["-c:v", "libtheora"],
    "mjpeg": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"],
    "ffv1": ["-c:v", "ffv1"],
    "palette": ["-c:v", "rawvideo", "-pix_fmt", "pal8"],
}
FILMS = [
    *(f"h264.{suffix}" for suffix in ("mp4", "mov", "mkv", "ts", "m2ts", "avi", "flv", "nut", "h264", "3gp")),
    *(f"pyramid.{suffix}" for suffix in ("mp4", "mkv", "ts", "avi")),
    *(f"fragments_{coder}.mp4" for coder in ("h264", "pyramid", "hevc")),
    *("refresh.mp4", "refresh.ts", "hevc.mp4", "hevc.mkv", "hevc.ts", "hevc.hevc"),
    *(f"mpeg2.{suffix}" for suffix in ("mpg", "ts", "mkv", "m2v", "avi", "mxf", "vob")),
    *(
        "mpeg4.mp4",
        "mpeg4.avi",
        "mpeg4.mkv",
        "flv1.flv",
        "wmv.wmv",
        "wmv.avi",
        "vp8.webm",
        "vp8.ivf",
        "vp9.webm",
    ),
    *("vp9.mp4", "vp9.mkv", "theora.ogv", "mjpeg.avi", "mjpeg.mov", "ffv1.mkv", "ffv1.avi", "palette.avi"),
    *("palette.mov", "palette.nut", "h264.asf", "h264.ismv", "mpeg2.mpeg", "flv1.avi"),
]


def load(path: Path, **window: float) -> tuple[np.ndarray, list[Fraction]]:
    with VideoReader(path, color="gray", **window) as reader:
        parts = list(reader.chunks(50))
    return np.concatenate([part.data for part in parts]), [t for part in parts for t in part.times or []]


@pytest.mark.parametrize("name", FILMS)
def test_windows_are_slices_of_the_whole(name: str, tmp_path: Path) -> None:
    draw = random.Random(name)
    coder = CODERS[name.partition(".")[0].removeprefix("fragments_")]
    flags = ["-movflags", "frag_keyframe+empty_moov"] if name.startswith("fragments") else []
    with_sound = name.endswith((".mp4", ".mov", ".mkv", ".ts", ".mpg", ".vob")) and draw.random() < 0.6
    sound = ["-f", "lavfi", "-i", "sine=r=48000:d=3"] if with_sound else []
    size = "64x64" if "hevc" in name else "48x32"  # libx265 writes past its memory below its block of 64
    picture = f"testsrc2=s={size}:r=25:d=3"
    path = make(tmp_path / name, picture, *sound, *coder, "-g", str(draw.choice([7, 12, 25])), *flags)
    frames, times = load(path)
    assert len(frames) > (10 if name == "theora.ogv" else 70)  # which leaves repeated pictures out
    starts = [0.04, 1.0, float(draw.choice(times)), *(round(draw.uniform(0.1, 2.7), 3) for _ in range(3))]
    for start in starts:
        length = draw.choice([0.2, 0.5, 9.0])
        begin = Fraction(start).limit_denominator(10**9)
        chosen = [k for k, time in enumerate(times) if begin <= time < begin + Fraction(str(length))]
        if not chosen:
            continue
        got, got_times = load(path, start_seconds=start, duration_seconds=length)
        assert got_times == [times[k] - begin for k in chosen], (start, length)
        np.testing.assert_array_equal(got, frames[chosen], err_msg=f"{start} {length}")


@pytest.mark.parametrize(
    "name", ["h264.ts", "h264.avi", "h264.asf", "mpeg4.avi", "fragments_hevc.mp4", "h264.mkv"]
)
@pytest.mark.parametrize("reordered", [False, True])
def test_a_frame_begins_at_the_time_that_the_whole_tells(name: str, reordered: bool, tmp_path: Path) -> None:
    """At rates whose frames last no whole number of microseconds, to which FFmpeg rounds a file's start."""
    coder = CODERS[name.partition(".")[0].removeprefix("fragments_")]
    flags = ["-bf", "2" if reordered else "0"]
    if name.startswith("fragments"):
        flags += ["-movflags", "frag_keyframe+empty_moov"]
    path = make(tmp_path / name, "testsrc2=s=64x64:r=30000/1001:d=2", *coder, "-g", "12", *flags)
    frames, times = load(path)
    assert times[0] == 0
    for index in (1, 13, 20, 37):
        got, got_times = load(path, start_seconds=float(times[index]))
        assert abs(got_times[0]) < Fraction(1, 10**8)  # the start itself is a float
        np.testing.assert_array_equal(got, frames[index:])
