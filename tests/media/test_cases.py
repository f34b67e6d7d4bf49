"""The small files of common kinds of faults, each with the value that independent decoders give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mediaconv.media.audio.reader import AudioReader
from mediaconv.media.video.reader import VideoReader

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs the files of ../shared/cases")


def film(name: str, **options: object) -> np.ndarray:
    with VideoReader(CASES / name, **options) as reader:
        return np.concatenate([part.data for part in reader.chunks(64)])


@pytest.mark.parametrize("name", ["film_dts_seek.ts", "film_fragments.mp4", "film_bframes.avi"])
def test_a_film_from_a_second_on(name: str) -> None:
    part = film(name, color="gray", start_seconds=1.5, duration_seconds=1)
    assert len(part) == 25
    skipped = 37 if name.endswith(("avi", "mp4")) else 38
    numbers = (part.mean(axis=(1, 2, 3)) * 219 / 255 / 2).round().astype(int)
    first = numbers[0]
    assert abs(first - skipped) <= 1
    assert numbers.tolist() == list(range(first, first + 25))


def test_a_palette_of_the_header_survives_a_start() -> None:
    assert film("film_palette.avi", start_seconds=1.5).mean() == pytest.approx(125, abs=1)


def sound(name: str, **options: object) -> tuple[np.ndarray, list[str]]:
    with AudioReader(CASES / name, **options) as reader:
        return np.concatenate([part.data for part in reader.chunks(5000)]), reader.notes()


LENGTHS = {
    "sound_cbr_no_xing.mp3": 133632,
    "sound_vbr_no_xing.mp3": 398592,
    "sound_chained.ogg": 44100,
    "sound_piped.flac": 16000,
    "sound_int64.wav": 800,
}


@pytest.mark.parametrize("name", LENGTHS)
def test_the_length_is_what_decoding_finds(name: str) -> None:
    assert len(sound(name)[0]) == LENGTHS[name]


def test_samples_of_64_bits() -> None:
    expected = np.sin(np.arange(800) * 0.1) * 0.25
    np.testing.assert_allclose(sound("sound_int64.wav")[0][:, 0], expected, atol=1e-7)  # float32


def test_channels_are_in_the_order_of_wav() -> None:
    data, notes = sound("sound_51.ogg")
    tones = [np.abs(np.fft.rfft(channel)).argmax() * 48000 / len(data) for channel in data.T]
    np.testing.assert_allclose(tones, [200, 400, 600, 50, 1000, 1200], atol=5)
    assert notes == ["channels: FL FR FC LFE BL BR"]


def test_sound_that_begins_late_is_read_by_the_clock_of_the_file() -> None:
    data = sound("sound_begins_late.mkv", start_seconds=2, duration_seconds=1)[0][:, 0]
    np.testing.assert_allclose(data[400::800], np.arange(5, 15) / 100, atol=2**-15)
    early = sound("sound_begins_late.mkv", start_seconds=1, duration_seconds=1)[0][:, 0]
    assert len(early) == 8000
    assert not early[:4800].any()
    np.testing.assert_allclose(early[6000], 0.02, atol=2**-15)


def test_a_hole_is_silence_and_told() -> None:
    data, notes = sound("sound_with_hole.mka")
    assert not data[17000:32000].any()
    at = np.abs(np.fft.rfft(data[40000:56000, 0])).argmax()
    assert at == 880
    assert notes == ["holes in the sound are silence, overlaps left out: +1.024 s at 1.024 s"]


def test_alpha_of_vp9() -> None:
    alpha = film("film_alpha.webm", color="rgba")[..., 3]
    assert (alpha[:, :, :31] == 0).all()
    assert (alpha[:, :, 33:] == 255).all()
