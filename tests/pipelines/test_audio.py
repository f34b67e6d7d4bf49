"""Sound from file to file, beside torch.nn.functional, torchaudio and soundfile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from mediaconv.pipelines.audio import AudioPipeline, AudioRead
from torch.nn import functional as F

from mediaconv.errors import ComputeError
from tests.pipelines.one_run import run_one

RNG = np.random.default_rng(6)
WEIGHT = RNG.uniform(-0.5, 0.5, (3, 2, 5)).round(3)
CONV = {
    "conv": {"out_channels": 3, "kernel_size": 5, "dilation": 3, "weight": WEIGHT.tolist(), "bias": False}
}


def noise(samples: int, channels: int = 2) -> np.ndarray:
    """Sound in 16-bit steps, (T, C)."""
    return RNG.integers(-20000, 20000, (samples, channels)).astype(np.int16)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("chunk", [7, 100_000, "auto"])
def test_stored_samples_are_the_rounded_stack(tmp_path, causal, chunk):
    sound = noise(1000)
    soundfile.write(tmp_path / "in.wav", sound, 44100, subtype="PCM_16")
    _, folder = run_one(
        tmp_path / "in.wav", tmp_path / "out", pipeline="audio", causal=causal, chunk=chunk, stack=[CONV]
    )
    x = torch.tensor(sound.T[None] / 32768.0)
    y = F.conv1d(F.pad(x, (12, 0) if causal else (6, 6)), torch.tensor(WEIGHT), dilation=3)
    wanted = torch.round((2 * torch.sigmoid(y) - 1) * 32768)[0].numpy()
    for channel in range(3):
        found, rate = soundfile.read(folder / f"channel_{channel}.wav", dtype="int16")
        assert rate == 44100
        # float32 against float64: one step of 16 bits, at a rounding tie
        assert np.abs(found - wanted[channel]).max() <= 1


def test_a_rate_whose_filter_outgrows_memory_is_refused(tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(100), 44100)
    with pytest.raises(ComputeError, match="got 44101, which shares no factor above 1 with the file's 44100"):
        run_one(
            tmp_path / "in.wav",
            tmp_path / "out",
            pipeline="audio",
            read={"sample_rate": 44101},
            stack=[{"conv": {"kernel": "identity"}}],
        )


@pytest.mark.parametrize(
    ("subtype", "stored"), [("PCM_16", "PCM_16"), ("PCM_24", "PCM_24"), ("FLOAT", "FLOAT")]
)
def test_the_identity_gives_every_bit_back(tmp_path, subtype, stored):
    values = RNG.integers(-(2**23), 2**23, 500) / 2**23
    soundfile.write(tmp_path / "in.wav", values, 48000, subtype=subtype)
    _, folder = run_one(
        tmp_path / "in.wav",
        tmp_path / "out",
        pipeline="audio",
        stack=[{"conv": {"kernel": "identity"}}],
        normalize="none",
    )
    assert soundfile.info(folder / "channel_0.wav").subtype == stored
    given = soundfile.read(tmp_path / "in.wav", dtype="int32" if subtype != "FLOAT" else "float32")[0]
    found = soundfile.read(folder / "channel_0.wav", dtype="int32" if subtype != "FLOAT" else "float32")[0]
    assert np.array_equal(given, found)


def test_silence_stays_silence(tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros(300, np.int16), 8000)
    stack = [{"conv": {"out_channels": 2, "kernel_size": 9, "bias": False}}]
    _, folder = run_one(tmp_path / "in.wav", tmp_path / "out", pipeline="audio", causal=True, stack=stack)
    assert not soundfile.read(folder / "channel_1.wav", dtype="int16")[0].any()


def test_resampling_in_chunks_is_torchaudio_on_the_whole(tmp_path):
    sound = noise(3001, 1)
    soundfile.write(tmp_path / "in.wav", sound, 44100, subtype="PCM_16")
    _, folder = run_one(
        tmp_path / "in.wav",
        tmp_path / "out",
        pipeline="audio",
        chunk=113,
        read={"sample_rate": 16000},
        stack=[{"conv": {"kernel": "identity"}}],
        normalize="none",
        write={"bit_depth": "float"},
    )
    found, rate = soundfile.read(folder / "channel_0.wav", dtype="float32")
    whole = torchaudio.functional.resample(torch.tensor(sound.T / 32768.0, dtype=torch.float32), 44100, 16000)
    assert rate == 16000
    # float32 sums over the same 40 or so products in another order
    assert np.abs(found - whole[0].numpy()).max() < 1e-6
    assert len(found) == whole.shape[1]


def test_clipping_is_told(tmp_path):
    soundfile.write(tmp_path / "in.wav", np.full(100, 30000, np.int16), 8000)
    loud = [{"conv": {"out_channels": 1, "kernel_size": 1, "weight": [[[4.0]]], "bias": False}}]
    result, folder = run_one(
        tmp_path / "in.wav", tmp_path / "out", pipeline="audio", stack=loud, normalize="none"
    )
    assert result.clipped == 100
    assert any("100 values" in note for note in result.notes)
    assert soundfile.read(folder / "channel_0.wav", dtype="int16")[0].max() == 32767


@pytest.mark.parametrize(
    ("normalize", "bias", "told"), [("sigmoid", 0.2, True), ("sigmoid", 0.0, False), ("none", 0.2, True)]
)
def test_quiet_sound_around_an_offset_is_told(tmp_path, normalize, bias, told):
    sound = (RNG.standard_normal(5000) * 2000).astype(np.int16)
    soundfile.write(tmp_path / "in.wav", sound, 8000)
    conv = {"out_channels": 2, "kernel_size": 1, "weight": [[[0.5]], [[16.0]]], "bias": [bias, 0.0]}
    options = {"pipeline": "audio", "stack": [{"conv": conv}], "normalize": normalize}
    result, folder = run_one(tmp_path / "in.wav", tmp_path / "out", **options)
    found, _ = soundfile.read(folder / "channel_0.wav")
    rms, offset = 20 * np.log10(found.std()), found.mean()
    level = f"channel_0 has an RMS of {rms:.0f} dB, around a DC offset of {offset:.2g}:"
    assert [level in note for note in result.notes if "quiet" in note] == [True] * told


def test_a_rate_that_is_no_integer_is_rounded_and_told(tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(90, 1), 8000)
    result, folder = run_one(
        tmp_path / "in.wav",
        tmp_path / "out",
        pipeline="audio",
        stack=[{"conv": {"out_channels": 1, "kernel_size": 3, "stride": 3}}],
    )
    assert soundfile.info(folder / "channel_0.wav").samplerate == 2667
    assert any("2667" in note for note in result.notes)


def test_a_low_pass_in_hertz_keeps_and_kills_tones(tmp_path):
    time = np.arange(22050) / 22050
    tones = 0.4 * np.sin(2 * np.pi * 300 * time) + 0.4 * np.sin(2 * np.pi * 5000 * time)
    soundfile.write(tmp_path / "in.wav", tones, 22050, subtype="FLOAT")
    stack = [{"conv": {"kernel": {"low_pass": {"cutoff_hz": 1500, "taps": 201}}}}]
    _, folder = run_one(
        tmp_path / "in.wav", tmp_path / "out", pipeline="audio", stack=stack, normalize="none"
    )
    found = soundfile.read(folder / "channel_0.wav")[0]
    power = np.abs(np.fft.rfft(found)) * 2 / len(found)
    assert power[300] == pytest.approx(0.4, rel=0.02)
    assert power[5000] < 0.001


def test_the_sound_of_a_film_is_sound(tmp_path, root):
    result, folder = run_one(
        root / "data/video/lightning.mp4",
        tmp_path / "out",
        pipeline="audio",
        stack=[{"conv": {"out_channels": 1, "kernel_size": 3}}],
    )
    assert result.media_seconds == pytest.approx(2, abs=0.1)
    assert soundfile.info(folder / "channel_0.wav").frames == result.output_shape[1]


def test_films_are_inputs_where_there_is_no_sound_beside_them():
    folder = [Path("a.mp4"), Path("b.gif"), Path("c.png"), Path("d.MKV")]
    pipeline = AudioPipeline()
    assert pipeline.inputs(folder, AudioRead()) == [Path("a.mp4"), Path("d.MKV")]
    assert pipeline.inputs([*folder, Path("e.wav")], AudioRead()) == [Path("e.wav")]


def test_real_thirty_two_bit_sound(tmp_path, real_media):
    _, folder = run_one(
        real_media / "sine_mono_s32_44100.wav",
        tmp_path / "out",
        pipeline="audio",
        causal=True,
        stack=[{"conv": {"out_channels": 1, "kernel_size": 7}}],
    )
    assert soundfile.info(folder / "channel_0.wav").subtype == "PCM_32"
