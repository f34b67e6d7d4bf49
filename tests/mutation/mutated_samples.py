"""A small whole file of each format that a reader takes, and the reader: what mutation starts from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import tifffile

from tests.media.ffmpeg_oracle import ffmpeg

FILMS = {
    "a.mp4": ("-c:v", "libx264"), "a.mov": ("-c:v", "mpeg4"), "a.mkv": ("-c:v", "libx264"),
    "a.webm": ("-c:v", "libvpx"), "a.avi": ("-c:v", "mjpeg"), "a.ts": ("-c:v", "mpeg2video", "-r", "25"),
    "a.flv": ("-c:v", "flv"), "f.gif": (), "a.y4m": ("-pix_fmt", "yuv420p"),
}  # fmt: skip
SOUNDS = ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.au", "a.caf", "a.m4a", "a.mka", "a.w64", "a.opus")
PICTURES = ("a.png", "p.png", "a.jpg", "a.webp", "a.bmp", "a.gif", "a.jp2", "a.avif", "a.ppm", "a.tif")
TIFFS: dict[str, dict[str, object]] = {
    "z.tif": {"compression": "zlib"}, "l.tif": {"compression": "lzw"}, "t.tif": {"tile": (16, 16)},
    "b.tif": {"bigtiff": True}, "s.tif": {"planarconfig": "separate"},
}  # fmt: skip


def make_samples(folder: Path) -> None:
    """Write them all."""
    for name, options in FILMS.items():
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:r=10:d=0.4", *options, folder / name)
    for name in SOUNDS:
        codec = ("-c:a", "libvorbis") if name == "a.ogg" else ()
        ffmpeg("-f", "lavfi", "-i", "sine=r=48000:d=0.15", *codec, folder / name)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    picture = PIL.Image.fromarray(pixels)
    for name in PICTURES:
        (picture.quantize(9) if name == "p.png" else picture).save(folder / name)
    cv2.imwrite(str(folder / "16.png"), pixels.astype(np.uint16) * 257)
    for name, options in TIFFS.items():
        deep = np.repeat(np.repeat(pixels, 2, 0), 2, 1).astype(np.uint16) * 257
        if name == "s.tif":
            deep = deep.transpose(2, 0, 1)
        tifffile.imwrite(folder / name, deep, photometric="rgb", **options)
    _make_weights(folder)
    (folder / "manifest.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))


def _make_weights(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = {"0.weight": torch.ones(2, 1, 3), "0.bias": torch.zeros(2)}
    torch.save(state, folder / "a.pt")
    save_file(state, folder / "a.safetensors")


ROWS = [
    {"input": "a.png", "status": "done", "seconds": 1.0, "attempts": 1, "notes": [], "versions": {"av": "18"},
     "outputs": [{"path": "a.png/channel_0.png", "bytes": 9, "sha256": "0" * 64, "time": 1}],
     "identity": {"size": 3, "time": 1, "config": "0", "sha256": "0" * 64}},
    {"input": "b.png", "status": "failed", "stage": "read", "reason": "damaged", "outputs": []},
    {"input": "c.png", "status": "begun"},
]  # fmt: skip


def _film(path: Path) -> None:
    from mediaconv.media.limits import Limits
    from mediaconv.media.video.reader import VideoReader

    with VideoReader(path, limits=Limits(max_pixels=2**20)) as reader:
        for number, _ in enumerate(reader.chunks(3)):
            if number > 40:
                break


def _sound(path: Path) -> None:
    from mediaconv.media.audio.reader import AudioReader

    with AudioReader(path) as reader:
        for number, _ in enumerate(reader.chunks(4096)):
            if number > 200:
                break


def _picture(path: Path) -> None:
    from mediaconv.media.image.reader import read_image
    from mediaconv.media.limits import Limits

    read_image(path, limits=Limits(max_pixels=2**20))


def _weights(path: Path) -> None:
    from mediaconv.model.weights import load_weights

    load_weights(path)


def _manifest(path: Path) -> None:
    from mediaconv.run.resume.manifest import read_manifest

    read_manifest(path.parent)


def reader_of(name: str) -> Callable[[Path], None]:
    """What reads the sample of this name."""
    if name in FILMS:
        return _film
    if name in SOUNDS:
        return _sound
    if name == "manifest.jsonl":
        return _manifest
    return _weights if name in ("a.pt", "a.safetensors") else _picture
