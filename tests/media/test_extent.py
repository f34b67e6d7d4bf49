"""Files whose second half is zeros, as interrupted downloads leave it: what is missing is told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from ffmpeg_oracle import ffmpeg, make

from mediaconv.media.audio.reader import AudioReader
from mediaconv.media.video.reader import VideoReader

PICTURES, SOUND = "testsrc2=size=64x48:rate=10:duration=6", "sine=duration=6:sample_rate=8000"
FILMS = {"mkv": "ffv1", "webm": "libvpx", "avi": "ffv1", "flv": "flashsv", "wmv": "mjpeg"}
SOUNDS = {"mka": "libmp3lame", "weba": "libopus", "wma": "wmav2"}


def halved(path: Path) -> Path:
    """A copy of the same size whose second half is zeros."""
    data = path.read_bytes()
    copy = path.with_stem("halved")
    copy.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    return copy


def film_notes(path: Path, **options: float) -> tuple[Fraction, list[str]]:
    """The time of the last frame, and the notes."""
    with VideoReader(path, **options) as reader:
        return [part.times[-1] for part in reader.chunks(7)][-1], reader.notes()


def sound_notes(path: Path) -> tuple[float, list[str]]:
    """Seconds read, and the notes."""
    with AudioReader(path) as reader:
        return sum(len(part.data) for part in reader.chunks(999)) / reader.info.rate_hz, reader.notes()


@pytest.mark.parametrize("suffix", FILMS)
def test_a_film_that_ends_early_is_told(tmp_path: Path, suffix: str) -> None:
    whole = make(tmp_path / f"whole.{suffix}", PICTURES, "-c:v", FILMS[suffix])
    last, notes = film_notes(whole)
    assert (round(last, 1), notes) == (Fraction("5.9"), [])
    last, notes = film_notes(halved(whole))
    assert last < 4
    assert len(notes) == 1
    assert notes[0].startswith("the file states 6.")
    told = float(notes[0].split("; ")[1].split()[0])
    assert last - Fraction("0.1") < told < last + Fraction("0.2")  # not all codecs state a frame's duration
    assert film_notes(halved(whole), fps=5)[1] == notes
    assert film_notes(halved(whole), duration_seconds=0.5)[1] == []


@pytest.mark.parametrize("suffix", SOUNDS)
def test_a_sound_that_ends_early_is_told(tmp_path: Path, suffix: str) -> None:
    whole = make(tmp_path / f"whole.{suffix}", SOUND, "-c:a", SOUNDS[suffix], "-f", *container(suffix))
    seconds, notes = sound_notes(whole)
    assert seconds == pytest.approx(6, abs=0.2)  # encoders pad at both ends
    assert notes == []
    seconds, notes = sound_notes(halved(whole))
    assert seconds < 4
    assert len(notes) == 1
    assert notes[0].startswith("the file states 6.")


def container(suffix: str) -> list[str]:
    return [{"mka": "matroska", "weba": "webm", "wma": "asf"}[suffix]]


def test_slides_of_seconds_each_and_longer_sound_raise_no_alarm(tmp_path: Path) -> None:
    slides = tmp_path / "slides.mkv"
    source = "testsrc2=size=64x48:rate=1/4:duration=12"
    ffmpeg("-f", "lavfi", "-i", source, "-f", "lavfi", "-i", SOUND, "-c:v", "ffv1", "-c:a", "flac", slides)
    assert film_notes(slides) == (8, [])
    assert sound_notes(slides)[1] == []
    short = tmp_path / "short.flv"
    picture = "testsrc2=size=64x48:rate=10:duration=1"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", SOUND, "-c:v", "flv1", "-ar", 11025, short)
    assert film_notes(short)[1] == []
