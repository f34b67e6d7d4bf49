"""Recipes of sound whose headers do not tell its length: chains, files from pipes, MP3 behind rubbish."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.media.corpus.recipe import Recipe, ffmpeg
from tests.media.corpus.sounds import FLOAT_DECODERS, LOSSY, by_ffmpeg, by_mpg123, make, source


def recipes() -> Iterator[Recipe]:
    """All of them."""
    yield from _chained()
    yield from _piped()
    yield from _mp3_behind_rubbish()


LINKS = (0.5, 0.2, 0.7)
"""Seconds of the streams that follow one another."""


def _chained() -> Iterator[Recipe]:
    kinds = {"flac": "flac", "oga": "flac", "spx": "libspeex", "opus": "libopus"}
    for (suffix, codec), channels in itertools.product(kinds.items(), (1, 2)):
        words = ("-c:a", codec, *(("-f", "ogg") if suffix == "oga" else ()))
        yield Recipe(
            "audio",
            "streams that follow one another",
            f"{codec}_{channels}.{suffix}",
            partial(_make_chain, channels=channels, words=words),
            partial(_links_by_ffmpeg, channels=channels, words=words),
            tolerance=0.0 if codec == "flac" else 1e-3,
            reason=FLOAT_DECODERS,
        )


def _make_link(path: Path, seconds: float, channels: int, words: tuple[object, ...]) -> Path:
    link = path.with_name(f"link_{seconds}{path.suffix}")
    make(link, channels=channels, rate=48000 if "libopus" in words else 16000, words=words, seconds=seconds)
    return link


def _make_chain(path: Path, *, channels: int, words: tuple[object, ...]) -> None:
    path.write_bytes(b"".join(_make_link(path, s, channels, words).read_bytes() for s in LINKS))


def _links_by_ffmpeg(path: Path, *, channels: int, words: tuple[object, ...]) -> np.ndarray:
    return np.concatenate([by_ffmpeg(_make_link(path, s, channels, words)) for s in LINKS])


def _piped() -> Iterator[Recipe]:
    """Lengths in their headers are left open."""
    kinds = [
        ("wav", "pcm_s16le", ()),
        ("wav", "pcm_f64le", ()),
        ("w64", "pcm_s24le", ()),
        ("au", "pcm_s16be", ()),
    ]
    kinds += [
        ("aiff", "pcm_s24be", ()),
        ("caf", "pcm_s16be", ()),
        ("voc", "pcm_s16le", ()),
        ("flac", "flac", ("-sample_fmt", "s16")),
    ]
    kinds += [("wav", codec, ("-rf64", "always")) for codec in ("pcm_u8", "pcm_s24le", "pcm_f32le")]
    for (suffix, codec, flags), channels in itertools.product(kinds, (1, 2)):
        yield Recipe(
            "audio",
            "files written to a pipe",
            f"{codec}_{channels}{'_rf64' if '-rf64' in flags else ''}.{suffix}",
            partial(_make_by_pipe, channels=channels, words=("-c:a", codec, *flags, "-f", suffix, "-")),
            partial(_as_wav, channels=channels, codec=codec),
        )


def _make_by_pipe(path: Path, *, channels: int, words: tuple[object, ...]) -> None:
    path.write_bytes(ffmpeg(*source(channels, 16000), *words))


def _as_wav(path: Path, *, channels: int, codec: str) -> np.ndarray:
    """What ffmpeg makes of the same samples in a WAV file of known length."""
    plain = path.with_name("plain.wav")
    stored = {"pcm_s16be": "pcm_s16le", "pcm_s24be": "pcm_s24le", "flac": "pcm_s16le"}.get(codec, codec)
    make(plain, channels=channels, rate=16000, words=("-c:a", stored))
    return by_ffmpeg(plain)


def _mp3_behind_rubbish() -> Iterator[Recipe]:
    tag = b"ID3\x04\0\0\0\0\x02\x2c" + bytes(300)
    before = {"zeros": bytes(5000), "text": b"some words of a server " * 40, "tags": tag + tag}
    for (name, rubbish), quality in itertools.product(before.items(), (0, 9)):
        yield Recipe(
            "audio",
            "MP3 behind rubbish",
            f"{name}_{quality}.mp3",
            partial(_make_behind, rubbish=rubbish, quality=quality),
            by_mpg123,
            tolerance=LOSSY,
            reason=FLOAT_DECODERS,
            programs=("ffmpeg", "mpg123"),
        )


def _make_behind(path: Path, *, rubbish: bytes, quality: int) -> None:
    words = ("-c:a", "libmp3lame", "-q:a", quality, "-id3v2_version", 0)
    make(path, channels=2, rate=44100, words=words)
    path.write_bytes(rubbish + path.read_bytes())
