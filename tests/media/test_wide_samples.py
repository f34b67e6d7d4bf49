"""Samples that float32 would round, and integers that fill their bytes in part: exact to the last bit."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ffmpeg_oracle import ffmpeg, make
from numpy.testing import assert_array_equal

import mediaconv
from mediaconv.media.audio.reader import AudioReader

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def write_wav(
    path: Path,
    data: bytes,
    *,
    bits: int,
    width: int,
    valid: int = 0,
    tag: int = 1,
    mask: int = 0,
    channels: int = 1,
) -> None:
    """A WAV file by hand: `valid` makes it an extensible one."""
    rate = (8000, 8000 * width * channels, width * channels, bits)
    if valid:
        fmt = struct.pack("<HHIIHHHHIH", 0xFFFE, channels, *rate, 22, valid, mask, tag) + GUID_TAIL
    else:
        fmt = struct.pack("<HHIIHH", tag, channels, *rate)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def load(path: Path, **options: object) -> np.ndarray:
    with AudioReader(path, **options) as reader:
        return np.concatenate([part.data for part in reader.chunks(333)])


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("bits", "width"),
    [(10, 2), (12, 2), (14, 2), (18, 3), (20, 3), (20, 4), (24, 4), (32, 4), (48, 8), (64, 8)],
)
def test_integers_of_any_bits(tmp_path: Path, bits: int, width: int, extensible: bool) -> None:
    values = np.random.default_rng(bits).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 800, np.int64)
    stored = (values << (8 * width - bits)).astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    stated = 8 * width if extensible else bits
    write_wav(tmp_path / "a.wav", stored, bits=stated, width=width, valid=bits if extensible else 0)
    assert_array_equal(load(tmp_path / "a.wav")[:, 0], values / 2.0 ** (bits - 1))
    assert_array_equal(load(tmp_path / "a.wav", start_seconds=0.05)[:, 0], values[400:] / 2.0 ** (bits - 1))


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8"])
def test_floats_of_any_bits(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(1).standard_normal(800).astype(kind)
    write_wav(tmp_path / "a.wav", values.tobytes(), bits=8 * values.itemsize, width=values.itemsize, tag=3)
    assert_array_equal(load(tmp_path / "a.wav")[:, 0], values)


@pytest.mark.parametrize("name", ["a.wav", "a.mka", "a.aiff", "a.caf", "a.nut", "a.mov"])
@pytest.mark.parametrize("codec", ["pcm_s32", "pcm_f64", "pcm_s24"])
def test_pcm_in_any_container(tmp_path: Path, name: str, codec: str) -> None:
    endian = "be" if name == "a.aiff" else "le"
    source = "aevalsrc='(random(0)-0.5)|(random(1)-0.5)':s=8000:d=0.2:c=stereo"
    path = make(tmp_path / name, source, "-c:a", codec + endian)
    wanted = np.frombuffer(ffmpeg("-i", path, "-f", "f64le", "-c:a", "pcm_f64le", "-"), np.float64)
    assert_array_equal(load(path).reshape(-1), wanted)


@pytest.mark.parametrize("codec", ["truehd", "mlp", "flac", "alac", "tta", "wavpack"])
def test_lossless_codecs(tmp_path: Path, codec: str) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, np.random.default_rng(3).uniform(-0.9, 0.9, (4800, 2)), 48000, subtype="PCM_24")
    suffix = {"truehd": "thd", "mlp": "mlp", "alac": "m4a"}.get(codec, "mka")
    path = tmp_path / f"a.{suffix}"
    kind = ["-sample_fmt", "s32p" if codec in ("alac", "wavpack") else "s32"]
    ffmpeg("-i", source, "-c:a", codec, "-strict", "-2", *kind, path)
    wanted = soundfile.read(source, dtype="float64")[0]
    assert_array_equal(load(path)[: len(wanted)], wanted)


def test_dts(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dts", "sine=r=48000:d=0.5", "-c:a", "dca", "-strict", "-2", "-ac", "2")
    wanted = np.frombuffer(ffmpeg("-i", path, "-f", "f32le", "-"), np.float32).reshape(-1, 2)
    got = load(path)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 2e-4  # float decoders of two versions


FILTER = [[[0.1, -0.2, 0.7]]]


def convolved(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, 1)
    taps = FILTER[0][0]
    return taps[0] * padded[:-2] + taps[1] * padded[1:-1] + taps[2] * padded[2:]


@pytest.mark.parametrize("format", ["wav", "npy", "safetensors"])
@pytest.mark.parametrize("chunk", [1, 77, "auto"])
def test_float64_from_file_to_file(tmp_path: Path, format: str, chunk: object) -> None:
    x = np.random.default_rng(2).standard_normal(900)
    soundfile.write(tmp_path / "a.wav", x, 8000, subtype="DOUBLE")
    layer = {"conv": {"out_channels": 1, "kernel_size": 3, "weight": FILTER, "bias": False}}
    write = {"format": format, "layout": "channels" if format == "wav" else "tensor"}
    keys = {"normalize": "none", "write": write, "chunk": chunk}
    written = mediaconv.convert(
        [layer], tmp_path / "a.wav", tmp_path / "out", pipeline="audio", precision="float64", **keys
    )
    path = written.paths[0]
    if format == "wav":
        assert soundfile.info(path).subtype == "DOUBLE"
        got = soundfile.read(path, dtype="float64")[0]
    elif format == "npy":
        got = np.load(path)[0]
    else:
        from safetensors.numpy import load_file

        got = load_file(path)["output"][0]
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, convolved(x), rtol=0, atol=1e-12)


def test_float64_of_an_array_and_its_range() -> None:
    x = np.random.default_rng(2).standard_normal((1, 900))
    layer = {"conv": {"out_channels": 1, "kernel_size": 3, "weight": FILTER, "bias": False}}
    for normalize, wanted in {
        "none": convolved(x[0]),
        "tanh": np.tanh(convolved(x[0])),
        "minmax": np.interp(convolved(x[0]), [convolved(x[0]).min(), convolved(x[0]).max()], [-1, 1]),
    }.items():
        got = mediaconv.convert([layer], x, precision="float64", normalize=normalize, chunk=100)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got[0], wanted, rtol=0, atol=1e-12)
