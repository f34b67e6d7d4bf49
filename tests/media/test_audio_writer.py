"""What `AudioWriter` writes, read back by soundfile and ffprobe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from ffmpeg_oracle import probe

from mediaconv.errors import WriteError
from mediaconv.media.audio.writer import AudioWriter
from mediaconv.media.samples import SampleFormat

FORMATS = {
    "PCM_16": SampleFormat(16, signed=True),
    "PCM_24": SampleFormat(24, signed=True),
    "PCM_32": SampleFormat(32, signed=True),
    "FLOAT": SampleFormat(32, signed=True, floating=True),
    "DOUBLE": SampleFormat(64, signed=True, floating=True),
}
CASES = [(s, t) for s in (".wav", ".flac") for t in FORMATS if s == ".wav" or t in ("PCM_16", "PCM_24")]


@pytest.mark.parametrize(("suffix", "subtype"), CASES)
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 40])
def test_written_samples_are_the_given_ones(tmp_path: Path, suffix: str, subtype: str, channels: int) -> None:
    if suffix == ".flac" and channels > 8:
        return
    format = FORMATS[subtype]
    path = tmp_path / f"a{suffix}"
    samples = format.quantize(np.random.default_rng(1).uniform(-1, 1, (1001, channels)))
    samples[:2] = 0
    if not format.floating:
        samples[0], samples[1] = format.low, format.high
    with AudioWriter(path, rate_hz=11025, format=format, channels=channels) as writer:
        for start, stop in ((0, 1), (1, 1), (1, 600), (600, 1001)):
            writer.write(samples[start:stop, 0] if channels == 1 else samples[start:stop])
    read, rate = soundfile.read(path, dtype="float64", always_2d=True)
    assert (rate, soundfile.info(path).subtype) == (11025, subtype)
    np.testing.assert_array_equal(read, samples if format.floating else samples / format.factor)
    stream = probe(path, "stream=duration_ts,channels,sample_rate")["streams"][0]
    assert (stream["duration_ts"], stream["channels"], stream["sample_rate"]) == (1001, channels, "11025")


@pytest.mark.long
def test_a_file_past_4_gib_is_rf64(tmp_path: Path) -> None:
    """A block of noise again and again, until a RIFF file could not state its length."""
    path = tmp_path / "a.wav"
    block = np.random.default_rng(1).integers(-(2**31), 2**31, (2**20, 16), dtype=np.int32)
    times = 2**32 // block.nbytes + 1
    with AudioWriter(path, rate_hz=48000, format=FORMATS["PCM_32"], channels=16) as writer:
        for _ in range(times):
            writer.write(block)
    with path.open("rb") as file:
        assert file.read(4) == b"RF64"
    with soundfile.SoundFile(path) as file:
        assert file.frames == times * len(block)
        file.seek((times - 1) * len(block))
        np.testing.assert_array_equal(file.read(dtype="int32"), block)
    path.unlink()


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_the_same_samples_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        format = FORMATS["FLOAT" if suffix == ".wav" else "PCM_16"]
        with AudioWriter(tmp_path / f"{name}{suffix}", rate_hz=8000, format=format) as writer:
            writer.write(np.ones(100, format.dtype))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("size", [10, 3000])
def test_a_full_disk_is_told(tmp_path: Path, small_disk, suffix: str, size: int) -> None:
    samples = np.random.default_rng(0).integers(-9999, 9999, 40_000).astype(np.int16)
    path = tmp_path / f"a{suffix}"
    with (
        small_disk(size),
        pytest.raises(WriteError, match="cannot be written") as failure,
        AudioWriter(path, rate_hz=8000, format=FORMATS["PCM_16"]) as writer,
    ):
        writer.write(samples)
    assert isinstance(failure.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("name", "format", "options", "message"),
    [
        ("a.mp3", "PCM_16", {}, "format: got '.mp3', expected .wav or .flac"),
        ("a.flac", "PCM_32", {}, "bit_depth: got signed 32, .flac holds signed 16, 24"),
        ("a.flac", "FLOAT", {}, "holds no floats"),
        ("a.flac", "PCM_16", {"channels": 9}, "channels: got 9, .flac holds 1 to 8"),
        ("none/a.wav", "PCM_16", {}, "No such file or directory"),
        ("none/a.flac", "PCM_16", {}, "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_told(
    tmp_path: Path, name: str, format: str, options: dict, message: str
) -> None:
    with pytest.raises(WriteError, match=message):
        AudioWriter(tmp_path / name, rate_hz=8000, format=FORMATS[format], **options)
