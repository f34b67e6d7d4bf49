"""Sound is as long as its samples: headers that say otherwise, files that were joined, cut out or piped."""

from __future__ import annotations

import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ffmpeg_oracle import decode_sound, ffmpeg, make
from numpy.testing import assert_array_equal

from mediaconv.errors import ReadError
from mediaconv.media.audio.audio_clock import ROUNDING, are_meaningless
from mediaconv.media.audio.reader import AudioReader

NOISE = "aevalsrc='0.4*(random(0)-0.5)|0.3*sin(2*PI*300*t)':s=44100:d=0.8"
TAG = b"ID3\x04\0\0\0\0\x02\x2c" + bytes(300)


def sound(path: Path, **options: object) -> tuple[np.ndarray, list[str]]:
    with AudioReader(path, **options) as reader:
        return np.concatenate([part.data for part in reader.chunks(5000)]), reader.notes()


def mp3(path: Path, *arguments: object) -> bytes:
    return make(path, NOISE, "-c:a", "libmp3lame", "-id3v2_version", 0, *arguments).read_bytes()


def by_mpg123(path: Path) -> np.ndarray:
    """An oracle that shares no decoder; skips where it is not installed."""
    if shutil.which("mpg123") is None:
        pytest.skip("mpg123 is not installed")
    words = ["mpg123", "-q", "-w", "-", "-e", "f32", str(path)]
    data = subprocess.run(words, check=True, capture_output=True).stdout
    return np.frombuffer(data[data.index(b"data") + 8 :], np.float32).reshape(-1, 2)


@pytest.mark.parametrize(
    "before", [b"junk \xff\xfa and " * 40, bytes(5000), TAG + b"junk" * 50, TAG + TAG], ids=range(4)
)
def test_rubbish_before_an_mp3_moves_nothing(tmp_path: Path, before: bytes) -> None:
    whole = mp3(tmp_path / "a.mp3")
    path = tmp_path / "b.mp3"
    path.write_bytes(before + whole)
    assert_array_equal(sound(path)[0], sound(tmp_path / "a.mp3")[0])
    np.testing.assert_allclose(sound(path)[0], by_mpg123(tmp_path / "a.mp3"), atol=1e-5)  # two decoders


@pytest.mark.parametrize("frames", [3, 10, 10**6])
def test_a_wrong_count_of_frames_cuts_nothing_out(tmp_path: Path, frames: int) -> None:
    """FFmpeg takes the padding out where the count says that the end is."""
    whole = mp3(tmp_path / "a.mp3")
    at = whole.index(b"Info") + 8
    path = tmp_path / "b.mp3"
    path.write_bytes(whole[:at] + struct.pack(">I", frames) + whole[at + 4 :])
    right = sound(tmp_path / "a.mp3")[0]
    data, notes = sound(path)
    assert_array_equal(data[: len(right)], right)
    assert (
        len(right) < len(data) < len(right) + 2 * 1152
    )  # with the encoder's padding, whose place is not told
    assert any(f"states {frames} frames" in note for note in notes)


def test_the_end_is_cut_before_rubbish_too(tmp_path: Path) -> None:
    whole = mp3(tmp_path / "a.mp3")
    path = tmp_path / "b.mp3"
    path.write_bytes(whole + bytes(3000))
    assert len(sound(path)[0]) == round(0.8 * 44100)
    assert_array_equal(sound(path)[0], sound(tmp_path / "a.mp3")[0])


@pytest.mark.parametrize("between", [b"", TAG, b"TAG" + bytes(125) + TAG])
def test_joined_mp3s_are_read_whole(tmp_path: Path, between: bytes) -> None:
    whole = mp3(tmp_path / "a.mp3")
    path = tmp_path / "b.mp3"
    path.write_bytes(whole + between + whole)
    right = sound(tmp_path / "a.mp3")[0]
    data, notes = sound(path)
    assert_array_equal(data[: len(right)], right)
    assert len(data) > 2 * len(right)
    assert "silence" not in " ".join(notes)


def ogg_links(folder: Path, suffix: str, *arguments: object) -> tuple[Path, np.ndarray]:
    """A chain of three streams, and what they are alone."""
    parts = []
    for seconds in (0.5, 0.3, 0.9):
        source = f"aevalsrc='0.4*(random(0)-0.5)':s=16000:d={seconds}"
        parts.append(make(folder / f"{seconds}.{suffix}", source, *arguments))
    path = folder / f"chain.{suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path, np.concatenate([sound(part)[0] for part in parts])


@pytest.mark.parametrize(
    ("suffix", "arguments"),
    [
        ("ogg", ["-c:a", "libvorbis"]),
        ("opus", ["-c:a", "libopus", "-ar", 48000]),
        ("spx", ["-c:a", "libspeex"]),
        ("oga", ["-c:a", "flac", "-f", "ogg"]),
        ("flac", ["-c:a", "flac"]),
    ],
)
def test_all_links_of_a_chain(tmp_path: Path, suffix: str, arguments: list[object]) -> None:
    path, right = ogg_links(tmp_path, suffix, *arguments)
    data, notes = sound(path)
    assert_array_equal(data, right)
    assert not notes
    rate = 48000 if suffix == "opus" else 16000
    for start, length in ((0.2, 0.1), (0.45, 0.5), (1.0, 9.0)):
        first, count = round(Fraction(start) * rate), round(Fraction(length) * rate)
        part = sound(path, start_seconds=start, duration_seconds=length)[0]
        assert_array_equal(part, right[first : first + count])


def test_a_flac_that_states_too_little_is_read_whole(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flac", NOISE, "-c:a", "flac")
    right = sound(path)[0]
    content = bytearray(path.read_bytes())
    content[22:26] = struct.pack(">I", 9000)
    path.write_bytes(content)
    assert_array_equal(sound(path)[0], right)


def test_blocks_of_a_voc(tmp_path: Path) -> None:
    """Written to a pipe, each of FFmpeg's packets is a block."""
    path = tmp_path / "a.voc"
    path.write_bytes(ffmpeg("-f", "lavfi", "-i", NOISE, "-f", "voc", "-"))
    assert_array_equal(sound(path)[0], decode_sound(path, 2))


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_f64le"])
@pytest.mark.parametrize("kind", ["rf64", "zeros"])
def test_wav_whose_length_a_pipe_left_at_zero(tmp_path: Path, kind: str, codec: str) -> None:
    right = sound(make(tmp_path / "right.wav", NOISE, "-c:a", codec))[0]
    options = ["-rf64", "always"] if kind == "rf64" else []
    content = bytearray(ffmpeg("-f", "lavfi", "-i", NOISE, "-c:a", codec, *options, "-f", "wav", "-"))
    if kind == "zeros":
        at = content.index(b"data") + 4
        content[4:8] = content[at : at + 4] = bytes(4)
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert_array_equal(sound(path)[0], right)


def test_a_wav_without_samples_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", NOISE)
    content = path.read_bytes()
    at = content.index(b"data")
    path.write_bytes(content[: at + 4] + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(ReadError, match="zero samples"):
        sound(path)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "aifc", "au"])
def test_what_sox_writes_to_a_pipe(tmp_path: Path, suffix: str) -> None:
    if shutil.which("sox") is None:
        pytest.skip("sox is not installed")
    words = ["sox", "-R", "-n", "-r", "16000", "-c", "2", "-b", "16", "-t", suffix]
    tone = ["synth", "0.4", "sine", "300", "vol", "0.5"]
    subprocess.run([*words, tmp_path / f"right.{suffix}", *tone], check=True, capture_output=True)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(subprocess.run([*words, "-", *tone], check=True, capture_output=True).stdout)
    assert_array_equal(sound(path)[0], sound(tmp_path / f"right.{suffix}")[0])


def test_a_window_of_vorbis_that_was_cut_from_a_stream(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.ogg", "aevalsrc='0.4*(random(0)-0.5)':s=44100:d=3", "-c:a", "libvorbis")
    path = tmp_path / "b.ogg"
    ffmpeg("-ss", 1.1, "-i", whole, "-c", "copy", path)
    right = sound(path)[0]
    part = sound(path, start_seconds=1.0, duration_seconds=0.25)[0]
    assert_array_equal(part, right[44100 : 44100 + 11025])


def test_a_window_of_opus_is_that_of_a_full_read(tmp_path: Path) -> None:
    """Speech at 8 kHz depends on all that was decoded before."""
    source = "aevalsrc='0.4*(random(0)-0.5)*sin(9*t)':s=8000:d=3"
    path = make(tmp_path / "a.opus", source, "-c:a", "libopus", "-application", "voip", "-b:a", "10k")
    right = sound(path)[0]
    rate = len(right) // 3
    for start in (0.5, 1.1, 2.3):
        part = sound(path, start_seconds=start, duration_seconds=0.2)[0]
        first = round(Fraction(start) * rate)
        assert_array_equal(part, right[first : first + rate // 5])


def test_times_that_jitter_cut_nothing_out(tmp_path: Path) -> None:
    source = "aevalsrc='0.4*(random(0)-0.5)|0.3*sin(2*PI*300*t)':s=48000:d=1.2"
    path = make(tmp_path / "a.mpg", source, "-c:a", "pcm_s16be", "-f", "vob")
    data, notes = sound(path)
    assert_array_equal(data, decode_sound(path, 2))
    assert not notes


def test_times_that_are_no_clock_cut_nothing_out(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ra", NOISE, "-c:a", "real_144", "-ar", 8000, "-ac", 1)
    data, notes = sound(path)
    assert_array_equal(data, decode_sound(path, 1))
    assert notes == ["the times of its packets are no clock of the sound, which was read without holes"]


def spans(*jumps: float) -> list[tuple[Fraction | None, Fraction]]:
    """Frames of 20 ms whose times jump by so much."""
    length, time, made = Fraction(1, 50), Fraction(0), []
    for jump in (0, *jumps):
        time += Fraction(jump)
        made.append((time, length))
        time += length
    return made


def test_lost_packets_are_holes_and_counted_ones_are_none() -> None:
    assert not are_meaningless(spans(*[0] * 30), ROUNDING)
    assert not are_meaningless(spans(*[0, 0, 0, 0.02] * 8), ROUNDING)  # each fourth is lost
    assert not are_meaningless(spans(*[0] * 9, -0.5, *[0] * 9), ROUNDING)  # joined once
    assert are_meaningless(spans(*[0.2] * 8), ROUNDING)
    assert are_meaningless(spans(*[0, 0, 0, -0.015] * 8), ROUNDING)
