"""Sound as `AudioReader` reads it, against soundfile, numpy and the ffmpeg program."""

from __future__ import annotations

import builtins
import os
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ffmpeg_oracle import decode_sound, ffmpeg, make

from mediaconv.errors import ReadError
from mediaconv.media.audio.audio_clock import AudioClock
from mediaconv.media.audio.reader import AudioInfo, AudioReader
from mediaconv.media.audio.writer import AudioWriter
from mediaconv.media.limits import Limits
from mediaconv.media.samples import SampleFormat


def load(path: Path, chunk: int = 1000, **options: object) -> tuple[np.ndarray, AudioInfo]:
    with AudioReader(path, **options) as reader:
        chunks = [part.data for part in reader.chunks(chunk)]
    assert all(len(block) == chunk for block in chunks[:-1])
    assert all(block.dtype in (np.float32, np.float64) for block in chunks)
    return np.concatenate(chunks).astype(np.float32), reader.info


def test_a_short_wav_is_opened_twice_and_its_outputs_as_often(tmp_path: Path, monkeypatch) -> None:
    """By its head, and to be decoded: of a folder of small clips each further opening takes a tenth as long
    as all else. An output is made at once, and filled in the end."""
    source, output = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, noise(160, 2), 16_000, subtype="PCM_16")
    opened: list[str] = []
    plain, by_descriptor = builtins.open, os.open

    def open_file(path, *args, **kwargs):
        opened.append(str(path))
        return plain(path, *args, **kwargs)

    def open_descriptor(path, *args, **kwargs):
        opened.append(str(path))
        return by_descriptor(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", open_file)
    monkeypatch.setattr(os, "open", open_descriptor)
    samples, _ = load(source)
    writer = AudioWriter(output, rate_hz=16_000, format=SampleFormat(16, signed=True), channels=2)
    assert output.read_bytes() == b""
    writer.write(np.rint(samples * 2**15).astype(np.int16))
    writer.close()
    monkeypatch.undo()
    assert (opened.count(str(source)), opened.count(str(output))) == (2, 2), opened
    assert np.array_equal(*(soundfile.read(path, dtype="int16")[0] for path in (source, output)))


def noise(samples: int, channels: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.9, 0.9, (samples, channels))


EXACT = {
    "u8.wav": ("PCM_U8", 8, False),
    "s16.wav": ("PCM_16", 16, False),
    "s24.wav": ("PCM_24", 24, False),
    "s32.wav": ("PCM_32", 32, False),
    "float.wav": ("FLOAT", 32, True),
    "double.wav": ("DOUBLE", 64, True),
    "s16.flac": ("PCM_16", 16, False),
    "s24.flac": ("PCM_24", 24, False),
    "s16.aiff": ("PCM_16", 16, False),
    "s24.w64": ("PCM_24", 24, False),
    "s16.caf": ("PCM_16", 16, False),
    "s16.au": ("PCM_16", 16, False),
}


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("name", EXACT)
def test_formats_of_libsndfile(tmp_path: Path, name: str, channels: int) -> None:
    subtype, bits, floating = EXACT[name]
    path = tmp_path / name
    soundfile.write(path, noise(2345, channels), 11025, subtype=subtype)
    sound, info = load(path)
    wanted, _ = soundfile.read(path, dtype="float64", always_2d=True)
    np.testing.assert_array_equal(sound, wanted.astype(np.float32))
    assert replace(info, layout=()) == AudioInfo(
        channels=channels, shape=(2345,), rate=Fraction(11025), bit_depth=bits, floating=floating
    )


def test_rf64_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, noise(100, 2), 8000, format="RF64", subtype="PCM_16")
    assert path.read_bytes()[:4] == b"RF64"
    assert load(path)[1].samples == 100


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp3", "libmp3lame"), ("a.ogg", "libvorbis"), ("a.opus", "libopus")]
)
def test_lossy_formats(tmp_path: Path, name: str, codec: str) -> None:
    path = make(tmp_path / name, "sine=f=440:r=48000:d=0.5", "-c:a", codec, "-ac", 2)
    sound, info = load(path)
    assert (info.rate_hz, info.channels) == (48000, 2)
    assert info.samples == (None if name == "a.mp3" else len(sound))  # whose header may be wrong
    assert abs(len(sound) - 24000) <= 1152 + 529  # MP3 keeps its decoder's delay in whole frames
    middle = sound[8000:16000, 0]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == round(440 * 8000 / 48000)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.m4a", "alac"), ("a.mp4", "libopus"), ("a.mka", "ac3")]
)
def test_the_rest_equals_ffmpeg(tmp_path: Path, name: str, codec: str) -> None:
    path = make(tmp_path / name, "sine=f=440:r=48000:d=0.3", "-c:a", codec, "-ac", 2)
    sound, info = load(path)
    wanted = decode_sound(path, 2)
    assert info.rate_hz == 48000
    assert sound.shape == wanted.shape  # the encoder's delay is trimmed alike
    assert np.abs(sound - wanted).max() < 2e-4  # float decoders of two versions


def test_24_bit_alac_is_exact(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, noise(5000, 1), 44100, subtype="PCM_24")
    ffmpeg("-i", source, "-c:a", "alac", "-sample_fmt", "s32p", tmp_path / "a.m4a")
    sound, info = load(tmp_path / "a.m4a")
    np.testing.assert_array_equal(sound, load(source)[0])
    assert info.bit_depth == 32  # as decoded: at least the stored ones


def test_sound_of_a_film(real_media) -> None:
    path = real_media("nasa_13013.mp4")
    sound, info = load(path, start_seconds=1, duration_seconds=0.5)
    assert (info.rate_hz, info.channels, info.samples) == (16000, 2, None)
    wanted = decode_sound(path, 2, "-map", "0:4")
    assert np.abs(sound - wanted[16000:24000]).max() < 2e-4  # float decoders of two versions


def test_real_32_bit_wav(real_media) -> None:
    path = real_media("sine_mono_s32_44100.wav")
    sound, info = load(path)
    assert (info.rate_hz, info.bit_depth, info.samples) == (44100, 32, len(sound))
    np.testing.assert_array_equal(sound, decode_sound(path, 1))


def test_mono_is_the_mean(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(999, 3), 8000, subtype="FLOAT")
    sound, info = load(path, mono=True)
    every, _ = load(path)
    assert info.channels == 1
    np.testing.assert_array_equal(sound[:, 0], every.astype(np.float64).mean(axis=1).astype(np.float32))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.m4a"])
def test_window_is_exact_to_the_sample(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, "aevalsrc='random(0)-0.5':s=44100:d=0.4")
    every, _ = load(path)
    part, info = load(path, start_seconds=0.1, duration_seconds=0.05)
    np.testing.assert_array_equal(part, every[4410:6615])
    if info.samples is not None:
        assert info.samples == 2205
    with pytest.raises(ReadError, match=r"past the end|zero samples"):
        load(path, start_seconds=3)


@pytest.mark.parametrize("rate", [1, 7, 11111, 192000, 2_000_000])
def test_one_sample_at_any_rate(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.5]), rate)
    sound, info = load(path)
    assert sound.tolist() == [[0.5]]
    assert (info.rate_hz, info.samples) == (rate, 1)


def test_a_misnamed_file_is_told_by_its_content(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(50, 1), 8000)
    for name in ("a.mp3", "a.raw", "a.jpg", "a"):
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
        assert load(tmp_path / name)[1].samples == 50


def test_chunks_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(300, 2), 8000)
    every, _ = load(path, chunk=10**9)
    for size in (1, 7, 300, 301):
        np.testing.assert_array_equal(load(path, chunk=size)[0], every)


def test_ten_thousand_channels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    channels, data = 10_000, bytes(20_000)
    fmt = struct.pack("<HHIIHH", 1, channels, 8000, 8000 * channels * 2, (channels * 2) & 0xFFFF, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(ReadError, match=r"a.wav: 10000 channels, expected 1 to 256 \(max_channels\)"):
        AudioReader(path)
    soundfile.write(tmp_path / "c.aiff", noise(10, 1), 8000)
    data = (tmp_path / "c.aiff").read_bytes()
    at = data.index(b"COMM") + 8
    (tmp_path / "c.aiff").write_bytes(data[:at] + struct.pack(">H", channels) + data[at + 2 :])
    with pytest.raises(ReadError, match="10000 channels"):
        AudioReader(tmp_path / "c.aiff")
    soundfile.write(tmp_path / "b.wav", noise(10, 9), 8000)
    with pytest.raises(ReadError, match=r"9 channels, expected 1 to 8 \(max_channels\)"):
        AudioReader(tmp_path / "b.wav", limits=Limits(max_channels=8))


def test_zero_samples_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), 8000)
    with pytest.raises(ReadError, match="zero samples"):
        AudioReader(tmp_path / "a.wav")


def test_a_wrong_count_in_an_mp3_neither_cuts_nor_condemns_it(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp3", "sine=f=440:r=44100:d=3", "-c:a", "libmp3lame", "-b:a", "64k")
    whole = load(path)[0]
    assert len(whole) == 3 * 44100
    data = path.read_bytes()
    mark = max(data.find(b"Xing"), data.find(b"Info"))
    for factor in (0.25, 4):  # of the frames and of the bytes that the header counts
        counts = [int(factor * int.from_bytes(data[mark + at : mark + at + 4], "big")) for at in (8, 12)]
        wrong = b"".join(count.to_bytes(4, "big") for count in counts)
        path.write_bytes(data[: mark + 8] + wrong + data[mark + 16 :])
        assert abs(len(load(path)[0]) - len(whole)) <= 1152 + 1105, factor


@pytest.mark.parametrize("junk", [bytes(333), b"some text of a server " * 50, b"\xff" * 100])
def test_what_follows_the_last_frame_of_an_mp3_is_told(tmp_path: Path, junk: bytes) -> None:
    path = make(tmp_path / "a.mp3", "sine=f=440:r=44100:d=1", "-c:a", "libmp3lame", "-b:a", "64k")
    whole, data = load(path)[0], path.read_bytes()
    path.write_bytes(data + junk)
    with AudioReader(path) as reader:
        read = np.concatenate([chunk.data for chunk in reader.chunks(1000)])
        assert f"{len(junk)} bytes at the end are no MP3, they were passed over" in reader.notes()
    np.testing.assert_array_equal(read[: len(whole)], whole)
    path.write_bytes(data[:4000] + junk + data[4000:])
    with pytest.raises(ReadError, match="damaged"):
        load(path)


@pytest.mark.parametrize("name", ["a.wav", "a.w64", "a.caf", "a.au", "a.aiff"])
def test_a_length_that_a_pipe_left_open(tmp_path: Path, name: str) -> None:
    codec = "pcm_s16le" if name[2] == "w" else "pcm_s16be"
    words = ["-f", "lavfi", "-i", "sine=r=8000:d=1", "-c:a", codec, "-f", name[2:], "-"]
    (tmp_path / name).write_bytes(ffmpeg(*words))
    whole = make(tmp_path / "whole.wav", "sine=r=8000:d=1")
    np.testing.assert_array_equal(load(tmp_path / name)[0], load(whole)[0])


def test_mp3_in_wav(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", "sine=f=440:r=44100:d=1", "-c:a", "libmp3lame")
    assert abs(len(load(path)[0]) - 44100) <= 2304


@pytest.mark.parametrize("layout", ["3.0", "quad", "5.0", "5.1", "6.1", "7.1"])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.ogg", "libvorbis"), ("a.opus", "libopus"), ("a.mka", "libvorbis")]
)
def test_the_order_of_channels_is_that_of_wav(tmp_path: Path, name: str, codec: str, layout: str) -> None:
    count = {"3.0": 3, "quad": 4, "5.0": 5, "5.1": 6, "6.1": 7, "7.1": 8}[layout]
    tones = "|".join(f"0.1*sin(2*PI*{100 * (k + 1)}*t)" for k in range(count))
    source = f"aevalsrc={tones}:c={layout}:s=48000:d=0.5"
    options = ["-mapping_family", 1] if codec == "libopus" else []
    path = make(tmp_path / name, source, "-c:a", codec, *options, "-b:a", "600k")
    sound, info = load(path)
    expected = decode_sound(path, count)
    for channel in range(count):
        ours, theirs = (np.abs(np.fft.rfft(data[4096:12288, channel])).argmax() for data in (sound, expected))
        assert ours == theirs
    assert len(info.layout) == count


@pytest.mark.parametrize("layout", ["2.1", "4.0", "6.1", "7.1"])
@pytest.mark.parametrize(
    "name", ["a.mov", "a.caf", "a.aiff", "a.w64", "a.wav", "wide.wav", "a.flac", "a.mka"]
)
def test_the_speakers_of_any_layout(tmp_path: Path, name: str, layout: str) -> None:
    """Each channel has a level of its own, which says where it went."""
    speakers = {
        "2.1": "FL FR LFE",
        "4.0": "FL FR FC BC",
        "6.1": "FL FR FC LFE BC SL SR",
        "7.1": "FL FR FC LFE BL BR SL SR",
    }[layout].split()
    levels = [0.1 * (k + 1) for k in range(len(speakers))]
    codecs = {"a.flac": "flac", "a.mka": "flac", "a.aiff": "pcm_s16be", "a.caf": "pcm_s16be"}
    words = ["-c:a", "pcm_s64le" if name == "wide.wav" else codecs.get(name, "pcm_s16le")]
    path = make(tmp_path / name, f"aevalsrc={'|'.join(map(str, levels))}:c={layout}:s=8000:d=0.2", *words)
    sound, info = load(path)
    np.testing.assert_allclose(sound[100], levels, atol=2**-14)  # rounded to 16 bits
    assert list(info.layout) == speakers


def test_an_order_of_channels_that_is_not_wavs(tmp_path: Path) -> None:
    """What Apple's tag of 7.1 says, where FFmpeg's old mark does not tell that it meant another order."""
    levels = [0.1 * (k + 1) for k in range(8)]
    source = f"aevalsrc={'|'.join(map(str, levels))}:c=7.1:s=8000:d=0.2"
    path = make(tmp_path / "a.caf", source, "-c:a", "pcm_s16be", "-fflags", "+bitexact")
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"Appl"))
    sound, info = load(path)
    np.testing.assert_allclose(sound[100], [levels[k] for k in (0, 1, 2, 3, 6, 7, 4, 5)], atol=2**-14)
    assert info.layout == ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")


def test_chained_streams_of_other_kinds_are_refused(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{rate}.ogg", f"sine=r={rate}:d=0.5", "-c:a", "libvorbis").read_bytes()
        for rate in (44100, 48000)
    ]
    (tmp_path / "both.ogg").write_bytes(b"".join(parts))
    with pytest.raises(ReadError, match="the sound changes from 44100 Hz"):
        load(tmp_path / "both.ogg")


def test_overlapping_times_are_left_out_and_a_clock_that_begins_again_goes_on() -> None:
    clock = AudioClock(1000)
    assert [clock.hole(Fraction(at, 100), 100) for at in (0, 10, 14, 24, 400, 0)] == [0, 0, -60, 0, 3660, 0]
    assert len(clock.notes()) == 2


def test_a_start_in_a_codec_that_cannot_seek(tmp_path: Path) -> None:
    """GSM in WAV: libsndfile refuses to seek in it."""
    path = make(tmp_path / "a.wav", "sine=r=8000:d=1", "-c:a", "libgsm_ms")
    whole = load(path)[0]
    part, _ = load(path, start_seconds=0.25, duration_seconds=0.5)
    np.testing.assert_array_equal(part, whole[2000:6000])


def test_floats_in_extensible_w64(tmp_path: Path) -> None:
    path = make(tmp_path / "a.w64", "sine=r=8000:d=0.1", "-c:a", "pcm_f32le", "-ac", 2)
    np.testing.assert_array_equal(load(path)[0], decode_sound(path, 2))
