"""Short WAV files that FFmpeg does not write are those that it would have written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mediaconv.errors import WriteError
from mediaconv.media.audio import writer
from mediaconv.media.audio.writer import AudioWriter
from mediaconv.media.samples import SampleFormat

FORMATS = [
    SampleFormat(16, signed=True),
    SampleFormat(24, signed=True),
    SampleFormat(32, signed=True),
    SampleFormat(32, floating=True),
    SampleFormat(64, floating=True),
]


def noise(format: SampleFormat, count: int, channels: int) -> np.ndarray:
    values = np.random.default_rng(count).uniform(-1, 1, (count, channels))
    values[:2] = [[-1.0], [1.0]][: len(values)]
    return format.quantize(values)


def written(path: Path, samples: np.ndarray, format: SampleFormat, rate_hz: int, *, cut: int = 1) -> bytes:
    channels = samples.shape[1]
    with AudioWriter(path, rate_hz=rate_hz, format=format, channels=channels) as file:
        for block in np.array_split(samples, cut):
            file.write(block, [Fraction(0)])
    return path.read_bytes()


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{'f' if f.floating else 's'}{f.bits}")
@pytest.mark.parametrize("channels", [1, 2])
def test_bytes_are_those_of_ffmpeg(
    tmp_path: Path, format: SampleFormat, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All headers, also of odd lengths and of rates whose bytes a second do not fit in 32 bits."""
    for rate_hz in (1, 8_000, 48_000, 48_001, 192_000, 2**31 - 1):
        for count in (1, 2, 801):
            samples = noise(format, count, channels)
            ours = written(tmp_path / "ours.wav", samples, format, rate_hz, cut=3)
            with monkeypatch.context() as patch:
                patch.setattr(writer, "SHORT_BYTES", 0)  # none is short
                assert ours == written(tmp_path / "its.wav", samples, format, rate_hz)
    found, rate = soundfile.read(tmp_path / "ours.wav", always_2d=True)
    assert rate == 2**31 - 1
    scale = 1 if format.floating else format.factor
    np.testing.assert_array_equal(found, samples / scale)


@pytest.mark.parametrize("more", [-1, 0, 1, 5000])
def test_a_sound_that_goes_on_is_whole(tmp_path: Path, more: int) -> None:
    """What has waited is handed over to FFmpeg in its order; blocks may lie in memory that changes."""
    format = SampleFormat(16, signed=True)
    samples = noise(format, writer.SHORT_BYTES // 2 + more, 1)
    path, block = tmp_path / "a.wav", np.empty((1000, 1), np.int16)
    with AudioWriter(path, rate_hz=8_000, format=format) as file:
        for start in range(0, len(samples), 1000):
            part = samples[start : start + 1000]
            block[: len(part)] = part
            file.write(block[: len(part)])
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16", always_2d=True)[0], samples)


def test_nothing_is_no_sound(tmp_path: Path) -> None:
    """As of longer ones: a stack that gives nothing is told; a folder that is not there at once."""
    format = SampleFormat(16, signed=True)
    with (
        pytest.raises(WriteError, match="no sample"),
        AudioWriter(tmp_path / "a.wav", rate_hz=8, format=format),
    ):
        pass
    with pytest.raises(WriteError, match="No such file"):
        AudioWriter(tmp_path / "none/a.wav", rate_hz=8, format=format)
