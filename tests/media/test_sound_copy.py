"""Sound carried over by `VideoWriter.copy_audio`, packet for packet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ffmpeg_oracle import decode_sound, ffmpeg, frame_times, make, probe

from mediaconv.media.video.reader import VideoReader
from mediaconv.media.video.writer import VideoWriter

SOUNDS = {
    "film.mp4": ("libx264", "aac"),
    "film.mov": ("libx264", "pcm_s16le"),
    "film.webm": ("libvpx-vp9", "libopus"),
}


def film(folder: Path, name: str) -> Path:
    video, sound = SOUNDS[name]
    return make(
        folder / name,
        "testsrc2=s=32x32:r=10:d=2",
        *("-f", "lavfi", "-i", "sine=d=2", "-c:v", video, "-c:a", sound, "-shortest"),
    )


def copy(source: Path, target: Path, **window: float) -> list[str]:
    with (
        VideoReader(source, color="gray", **window) as reader,
        VideoWriter(target, time_base=reader.info.time_base) as writer,
    ):
        writer.copy_audio(source, **window)
        for part in reader.chunks(4):
            frames, times = part.data, part.times
            writer.write(frames[..., 0], times)
    return writer.notes


def packets(path: Path) -> bytes:
    return ffmpeg("-i", path, "-map", "0:a:0", "-c", "copy", "-f", "md5", "-")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("film.mp4", "mp4"),
        ("film.mp4", "mkv"),
        ("film.mov", "mkv"),
        ("film.webm", "webm"),
        ("film.webm", "mp4"),
    ],
)
def test_packets_are_the_same(tmp_path: Path, name: str, suffix: str) -> None:
    source = film(tmp_path, name)
    target = tmp_path / f"out.{suffix}"
    assert copy(source, target) == []
    assert packets(target) == packets(source)


def test_sound_that_the_container_does_not_hold_is_told(tmp_path: Path) -> None:
    source = film(tmp_path, "film.mp4")
    note = copy(source, tmp_path / "out.webm")
    assert note == ["sound left out: webm files do not hold aac; write .mkv"]
    assert [s["codec_type"] for s in probe(tmp_path / "out.webm", "stream=codec_type")["streams"]] == [
        "video"
    ]


def test_a_film_without_sound_is_told(tmp_path: Path) -> None:
    source = make(tmp_path / "mute.mp4", "testsrc2=s=32x32:r=10:d=0.3", "-c:v", "libx264")
    assert copy(source, tmp_path / "out.mp4") == ["mute.mp4 has no sound to copy"]


def test_the_window_of_the_pictures_is_the_sounds_too(tmp_path: Path) -> None:
    """A click at 1.25 s of the source lies at 0.55 s of what was read from 0.7 s on."""
    click = "aevalsrc='if(between(t,1.25,1.26),sin(6000*t),0)':s=48000:d=2"
    source = make(
        tmp_path / "click.mov",
        "testsrc2=s=32x32:r=10:d=2",
        *("-f", "lavfi", "-i", click, "-c:v", "libx264", "-c:a", "pcm_s16le"),
    )
    target = tmp_path / "out.mkv"
    assert copy(source, target, start_seconds=0.7, duration_seconds=0.8) == []
    raw = ffmpeg("-i", target, "-af", "aresample=async=1:first_pts=0", "-ac", 1, "-f", "f32le", "-")
    sound = np.frombuffer(raw, np.float32)
    loud = np.flatnonzero(np.abs(sound) > 0.3)
    shown = loud[0] / 48000 - frame_times(target)[0]
    assert shown == pytest.approx(0.55, abs=0.01)  # Matroska's whole milliseconds, and the sine's rise
    assert len(sound) / 48000 == pytest.approx(0.8, abs=0.05)  # whole packets at both ends


def test_times_before_zero_shift_sound_and_pictures_alike(tmp_path: Path) -> None:
    source = film(tmp_path, "film.mov")
    target = tmp_path / "out.mkv"
    with VideoWriter(target, time_base=Fraction(1, 1000)) as writer:
        writer.copy_audio(source)
        writer.write(np.zeros((4, 32, 32), np.uint8), [Fraction(k, 10) - Fraction(1, 2) for k in range(4)])
    first = probe(target, "packet=pts_time", "-select_streams", "a", "-read_intervals", "%+#1")["packets"][0]
    assert float(first["pts_time"]) == pytest.approx(0.5, abs=1e-3)


def test_what_an_edit_list_hides_is_not_copied(tmp_path: Path) -> None:
    whole = make(
        tmp_path / "whole.mp4",
        "testsrc=s=32x32:r=10:d=3",
        "-f",
        "lavfi",
        "-i",
        "sine=r=48000:d=3",
        *("-c:v", "libx264", "-g", "100", "-c:a", "aac"),
    )
    hidden = tmp_path / "hidden.mp4"
    ffmpeg("-ss", "1", "-i", whole, "-c", "copy", hidden)
    shown = float(probe(hidden, "format=duration")["format"]["duration"])
    with VideoWriter(tmp_path / "copy.mkv") as writer:
        writer.copy_audio(hidden)
        writer.write(np.zeros((20, 32, 32), np.uint8), [Fraction(k, 10) for k in range(20)])
    stored = decode_sound(tmp_path / "copy.mkv", 1)
    assert abs(len(stored) / 48000 - shown) < 0.15
