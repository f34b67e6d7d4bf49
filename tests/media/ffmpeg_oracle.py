"""The ffmpeg programs as an independent oracle: they make files, decode what was written, describe it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np


def ffmpeg(*arguments: object) -> bytes:
    """Run the ffmpeg program; what it writes to its standard output."""
    words = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(words, check=True, capture_output=True).stdout


def make(path: Path, source: str, *arguments: object) -> Path:
    """A file made by ffmpeg from a lavfi source."""
    ffmpeg("-f", "lavfi", "-i", source, *arguments, path)
    return path


def decode(path: Path, pix_fmt: str, shape: tuple[int, ...], *arguments: object) -> np.ndarray:
    """Every stored frame as ffmpeg decodes it. shape: of one frame. uint8, or uint16 for `..le` formats."""
    raw = ffmpeg(
        "-i", path, *arguments, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", pix_fmt, "-"
    )
    kind = np.uint16 if pix_fmt.endswith("le") else np.uint8
    return np.frombuffer(raw, kind).reshape(-1, *shape)


def decode_sound(path: Path, channels: int, *arguments: object) -> np.ndarray:
    """All sound of the stream that `arguments` map, float32 of shape (n, channels)."""
    raw = ffmpeg("-i", path, *arguments, "-f", "f32le", "-")
    return np.frombuffer(raw, np.float32).reshape(-1, channels)


def probe(path: Path, entries: str, *arguments: object) -> dict:
    """What ffprobe says, as its JSON."""
    words = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-show_entries",
        entries,
        *map(str, arguments),
        str(path),
    ]
    return json.loads(subprocess.run(words, check=True, capture_output=True).stdout)


def frame_times(path: Path) -> list[float]:
    """Presentation time of every picture in seconds."""
    frames = probe(path, "frame=pts_time", "-select_streams", "v:0")["frames"]
    return [float(frame["pts_time"]) for frame in frames]
