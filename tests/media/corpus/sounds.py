"""Recipes of sound: PCM of every kind in every container, lossless and lossy codecs.

The sound is noise and tones, other in each channel, so that a changed order or a lost sample shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.media.corpus.recipe import NotMadeError, Recipe, ffmpeg, run

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 6: "5.1", 8: "7.1"}
PCM = [
    "u8",
    "s8",
    "s16le",
    "s16be",
    "s24le",
    "s24be",
    "s32le",
    "s32be",
    "s64le",
    "f32le",
    "f32be",
    "f64le",
    "f64be",
]
CONTAINERS = ["wav", "w64", "rf64.wav", "aiff", "au", "caf", "mka", "mov", "nut", "avi"]
FLOAT_DECODERS = "float decoders of two versions"
LOSSY = 2e-4


def source(channels: int, rate: int, seconds: float = 0.4) -> list[object]:
    """Arguments of a sound: a tone and noise a channel."""
    parts = "|".join(f"0.3*sin(2*PI*{200 + 150 * c}*t)+0.2*(random({c})-0.5)" for c in range(channels))
    text = f"aevalsrc='{parts}':s={rate}:d={seconds}:c={LAYOUTS[channels]}"
    return ["-f", "lavfi", "-i", text]


def recipes() -> Iterator[Recipe]:
    """All of them."""
    yield from _pcm()
    yield from _compressed_pcm()
    yield from _lossless()
    yield from _mp3()
    yield from _vorbis_and_opus()
    yield from _lossy()
    yield from _sox()


def make(path: Path, *, channels: int, rate: int, words: tuple[object, ...], seconds: float = 0.4) -> None:
    ffmpeg(*source(channels, rate, seconds), *words, path)


def by_ffmpeg(path: Path) -> np.ndarray:
    """Float64 (n, C), channels in WAV's order."""
    return _by_ffmpeg(path)


def _by_ffmpeg(path: Path, *words: object) -> np.ndarray:
    data = ffmpeg(*words, "-i", path, "-map", "0:a:0", "-f", "wav", "-c:a", "pcm_f64le", "-")
    channels = int.from_bytes(data[22:24], "little")
    start = data.index(b"data") + 8
    end = len(data) - (len(data) - start) % (8 * channels)
    return np.frombuffer(data[start:end], "<f8").reshape(-1, channels)


def by_sox(path: Path) -> np.ndarray:
    """As SoX reads it, in 32 bits."""
    channels = int(run("soxi", "-c", path))
    data = run("sox", path, "-t", "raw", "-e", "signed-integer", "-b", 32, "-")
    return np.frombuffer(data, "<i4").reshape(-1, channels) / 2.0**31


def by_mpg123(path: Path) -> np.ndarray:
    """All samples that mpg123 decodes, its gapless trimming on."""
    data = run("mpg123", "-q", "-w", "-", "-e", "f32", path)
    channels = int.from_bytes(data[22:24], "little")
    return np.frombuffer(data[data.index(b"data") + 8 :], "<f4").reshape(-1, channels).astype(float)


def by_opusdec(path: Path) -> np.ndarray:
    """Float, at 48 kHz."""
    data = run("opusdec", "--quiet", "--float", "--no-dither", "--force-wav", "--rate", 48000, path, "-")
    channels = int.from_bytes(data[22:24], "little")
    return np.frombuffer(data[data.index(b"data") + 8 :], "<f4").reshape(-1, channels).astype(float)


def by_oggdec(path: Path) -> np.ndarray:
    """16 bits."""
    data = run("oggdec", "-Q", "-o", "-", path)
    channels = int.from_bytes(data[22:24], "little")
    return np.frombuffer(data[data.index(b"data") + 8 :], "<i2").reshape(-1, channels) / 2.0**15


def _pcm() -> Iterator[Recipe]:
    for container, codec, channels in itertools.product(CONTAINERS, PCM, (1, 2, 6)):
        if channels != 2 and codec not in ("u8", "s16le", "s16be", "s24le", "f64be"):
            continue
        words: tuple[object, ...] = ("-c:a", f"pcm_{codec}")
        if container == "rf64.wav":
            words += ("-rf64", "always")
        yield Recipe(
            "audio",
            f"PCM in {container.rpartition('.')[2].upper() if container != 'rf64.wav' else 'RF64'}",
            f"{codec}_{channels}.{container}",
            partial(make, channels=channels, rate=16000, words=words),
            by_ffmpeg,
        )


def _compressed_pcm() -> Iterator[Recipe]:
    for codec, container in itertools.product(
        [
            "pcm_alaw",
            "pcm_mulaw",
            "adpcm_ima_wav",
            "adpcm_ms",
            "adpcm_ima_qt",
            "adpcm_yamaha",
            "adpcm_swf",
            "g726",
        ],
        ["wav", "au", "aiff", "caf", "mka", "mov", "flv"],
    ):
        rate = 11025 if container == "flv" and codec == "adpcm_swf" else 8000
        channels = 1 if codec == "g726" else 2
        yield Recipe(
            "audio",
            "A-law, mu-law, ADPCM",
            f"{codec}.{container}",
            partial(make, channels=channels, rate=rate, words=("-c:a", codec, "-ar", rate)),
            by_ffmpeg,
            tolerance=0.005 if "ima" in codec else 0.0,
            slack=2048,
            reason="decoders of two versions round otherwise" if "ima" in codec else "",
        )


def _lossless() -> Iterator[Recipe]:
    for (codec, kind), container, channels in itertools.product(
        [
            *(("flac", kind) for kind in ("s16", "s32")),
            *(("alac", kind) for kind in ("s16p", "s32p")),
            *(("tta", kind) for kind in ("u8", "s16", "s32")),
            *(("wavpack", kind) for kind in ("u8p", "s16p", "s32p", "fltp")),
            *((codec, kind) for codec in ("truehd", "mlp") for kind in ("s16", "s32")),
        ],
        ["flac", "ogg", "mka", "m4a", "mov", "caf", "tta", "wv", "thd", "mlp"],
        (1, 2, 6),
    ):
        if codec == "truehd" and channels > 2:
            continue  # the encoder of FFmpeg 5 makes a stream that its decoder alone reads
        yield Recipe(
            "audio",
            {"flac": "FLAC", "alac": "ALAC", "tta": "TTA", "wavpack": "WavPack"}.get(codec, "TrueHD, MLP"),
            f"{codec}_{kind}_{channels}.{container}",
            partial(
                make,
                channels=channels,
                rate=48000,
                words=("-c:a", codec, "-sample_fmt", kind, "-strict", -2),
            ),
            by_ffmpeg,
        )


def _mp3() -> Iterator[Recipe]:
    qualities = [("-b:a", f"{kbps}k") for kbps in (32, 64, 128, 320)] + [("-q:a", q) for q in (0, 4, 9)]
    flags: list[tuple[object, ...]] = [(), ("-write_xing", 0), ("-id3v2_version", 0, "-write_id3v1", 1)]
    for quality, flag, channels in itertools.product(qualities, flags, (1, 2)):
        rate = 16000 if quality == ("-b:a", "32k") else 44100
        name = "_".join(map(str, (*quality, *flag, channels))).replace("-", "").replace(":", "")
        yield Recipe(
            "audio",
            "MP3",
            f"{name}.mp3",
            partial(make, channels=channels, rate=rate, words=("-c:a", "libmp3lame", *quality, *flag)),
            by_mpg123,
            tolerance=LOSSY,
            reason=FLOAT_DECODERS,
            programs=("ffmpeg", "mpg123"),
            slack=1152 if "-write_xing" in flag else 0,
        )
    for container, rate in itertools.product(
        ("wav", "mka", "mp4", "avi", "flv", "ts", "mov"), (22050, 44100)
    ):
        yield Recipe(
            "audio",
            "MP3 in other containers",
            f"mp3_{rate}.{container}",
            partial(make, channels=2, rate=rate, words=("-c:a", "libmp3lame")),
            by_ffmpeg,
            tolerance=LOSSY,
            reason=FLOAT_DECODERS,
            slack=1152 + 1105,
        )


def _vorbis_and_opus() -> Iterator[Recipe]:
    for channels, quality in itertools.product((1, 2, 3, 4, 6, 8), (0, 5)):
        yield Recipe(
            "audio",
            "Vorbis",
            f"q{quality}_{channels}.ogg",
            partial(make, channels=channels, rate=44100, words=("-c:a", "libvorbis", "-q:a", quality)),
            by_oggdec if channels <= 2 else by_ffmpeg,
            tolerance=2.0**-15 if channels <= 2 else LOSSY,
            reason="oggdec rounds to 16 bits" if channels <= 2 else FLOAT_DECODERS,
            programs=("ffmpeg", "oggdec"),
            slack=0 if channels <= 2 else 1024,
        )
    for container, channels in itertools.product(("mka", "webm", "nut"), (2, 6)):
        yield Recipe(
            "audio",
            "Vorbis",
            f"vorbis_{channels}.{container}",
            partial(make, channels=channels, rate=44100, words=("-c:a", "libvorbis")),
            by_ffmpeg,
            tolerance=LOSSY,
            reason=FLOAT_DECODERS,
        )
    for channels, frame, mode in itertools.product((1, 2, 6), (2.5, 20, 60), ("audio", "voip")):
        words = ("-c:a", "libopus", "-frame_duration", frame, "-application", mode, "-b:a", "96k")
        yield Recipe(
            "audio",
            "Opus",
            f"{mode}_{frame}_{channels}.opus",
            partial(make, channels=channels, rate=48000, words=words),
            by_opusdec,
            tolerance=1e-3,
            reason=FLOAT_DECODERS,
            programs=("ffmpeg", "opusdec"),
        )
    for container, channels in itertools.product(("mka", "webm", "mp4", "ts", "caf"), (2, 6)):
        yield Recipe(
            "audio",
            "Opus",
            f"opus_{channels}.{container}",
            partial(make, channels=channels, rate=48000, words=("-c:a", "libopus", "-strict", -2)),
            by_ffmpeg,
            tolerance=1e-3,
            reason=FLOAT_DECODERS,
            slack=960,
        )


def _lossy() -> Iterator[Recipe]:
    table = {
        "aac": (["m4a", "aac", "mka", "ts", "mov", "flv", "mp4", "3gp", "nut"], (1, 2, 6)),
        "ac3": (["ac3", "mka", "ts", "mp4", "avi", "wav"], (1, 2, 6)),
        "eac3": (["eac3", "mka", "ts", "mp4"], (1, 2, 6)),
        "dca": (["dts", "mka", "ts"], (1, 2, 6)),
        "mp2": (["mp2", "mka", "ts", "mpg", "avi"], (1, 2)),
        "wmav2": (["wma", "asf", "mka", "avi"], (1, 2)),
        "wmav1": (["wma"], (1, 2)),
        "libspeex": (["spx", "ogg"], (1, 2)),
        "nellymoser": (["flv"], (1,)),
        "libgsm_ms": (["wav"], (1,)),
        "sonicls": (["nut"], (2,)),
        "s302m": (["ts"], (2,)),
    }
    for codec, (containers, counts) in table.items():
        for container, channels in itertools.product(containers, counts):
            rate = {"nellymoser": 22050, "libgsm_ms": 8000, "libspeex": 16000}.get(codec, 48000)
            yield Recipe(
                "audio",
                {
                    "aac": "AAC", "ac3": "AC-3, E-AC-3", "eac3": "AC-3, E-AC-3", "dca": "DTS", "mp2": "MP2",
                    "wmav1": "WMA", "wmav2": "WMA", "libspeex": "Speex",
                }.get(codec, "other codecs of sound"),
                f"{codec}_{channels}.{container}",
                partial(make, channels=channels, rate=rate, words=("-c:a", codec, "-strict", -2)),
                by_ffmpeg,
                tolerance=1e-3,
                reason=FLOAT_DECODERS,
                slack=4096,
            )  # fmt: skip


def _sox() -> Iterator[Recipe]:
    """Files that SoX writes and reads."""
    kinds = [
        ("wav", ("-b", 8)), ("wav", ("-b", 16)), ("wav", ("-b", 24)), ("wav", ("-b", 32)),
        ("wav", ("-e", "a-law")), ("wav", ("-e", "mu-law")), ("aiff", ("-b", 16)), ("aiff", ("-b", 24)),
        ("aifc", ("-b", 16)), ("au", ("-b", 16)), ("au", ("-b", 24)), ("au", ("-e", "mu-law")),
        ("voc", ("-b", 8)), ("voc", ("-b", 16)), ("sph", ("-b", 16)), ("w64", ("-b", 16)),
        ("w64", ("-b", 32)), ("caf", ("-b", 24)), ("flac", ("-b", 16)), ("flac", ("-b", 24)),
        ("ogg", ()), ("sf", ("-b", 16)), ("8svx", ("-b", 8)),
    ]  # fmt: skip
    for (suffix, words), channels in itertools.product(kinds, (1, 2)):
        name = "_".join(map(str, words)).replace("-", "")
        yield Recipe(
            "audio",
            "files of SoX",
            f"{name}_{channels}.{suffix}",
            partial(_make_by_sox, words=words, channels=channels),
            by_sox,
            tolerance=2.0**-15 if suffix == "ogg" else 0.0,
            reason=FLOAT_DECODERS if suffix == "ogg" else "",
            programs=("sox", "soxi"),
            slack=4 if suffix == "voc" else 0,
        )


def _make_by_sox(path: Path, *, words: tuple[object, ...], channels: int) -> None:
    synth = ["synth", 0.3, *["sine", 440, "pinknoise"][: 2 * channels - (channels > 1)]]
    run("sox", "-R", "-n", "-r", 16000, "-c", channels, *words, path, *synth, "vol", 0.5)
    if not path.exists():
        raise NotMadeError("sox wrote nothing")
