"""What this installation can do: versions, devices, codecs, extras, plug-ins."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Literal

from mediaconv import __version__
from mediaconv.installed import installed

LIBRARIES = ("torch", "av", "soundfile", "opencv-python-headless", "librosa", "numba")
EXTRAS = {
    "onnx": (("onnx", "onnxruntime"), "models from .onnx files, and `mediaconv export` to them"),
    "ray": (("ray",), "executor: ray, runs on many machines"),
}
WRITES = {"h264": "libx264", "vp9": "libvpx-vp9", "ffv1": "ffv1"}
READS = ("h264", "hevc", "av1", "vp9", "prores", "mpeg2video", "aac", "mp3", "opus", "ac3")


def installation() -> dict[str, Any]:
    """All of it as plain values."""
    return {
        "mediaconv": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "devices": _devices(),
        "encoders": {name: _codec(codec, "w") for name, codec in WRITES.items()},
        "decoders": {name: _codec(name, "r") for name in READS},
        "extras": {name: all(map(find_spec, modules)) for name, (modules, _) in EXTRAS.items()},
        "pipelines": _entries("mediaconv.pipelines"),
        "layers": _entries("mediaconv.layers"),
        "models": _entries("mediaconv.models"),
    }


def installation_lines() -> list[str]:
    """For people."""
    installed = installation()
    libraries = ", ".join(f"{name} {text or 'missing'}" for name, text in installed["libraries"].items())
    lines = [
        f"mediaconv {installed['mediaconv']}, Python {installed['python']}, {installed['system']}",
        f"  libraries: {libraries}",
        f"  devices:   {', '.join(installed['devices'])}",
        f"  writes:    {_listed(installed['encoders'])}; WAV, FLAC, PNG, TIFF, JPEG, WebP, NPY, safetensors",
        f"  reads:     {_listed(installed['decoders'])} and all that FFmpeg, libsndfile and OpenCV know",
    ]
    for name, there in installed["extras"].items():
        purpose = EXTRAS[name][1]
        state = "installed" if there else f"missing (pip install mediaconv[{name}])"
        lines.append(f"  extra {name}: {state}; {purpose}")
    groups = ("pipelines", "layers", "models")
    return lines + [f"  {g}: {', '.join(installed[g]) or 'none beside the built-in ones'}" for g in groups]


def _listed(present: dict[str, bool]) -> str:
    return ", ".join(name if there else f"{name} (missing)" for name, there in present.items())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> list[str]:
    import torch

    devices = [f"cpu ({os.cpu_count()} cores)"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices


def _codec(name: str, mode: Literal["r", "w"]) -> bool:
    import av

    try:
        av.codec.Codec(name, mode)
    except ValueError:  # av.codec.codec.UnknownCodecError
        return False
    return True


def _entries(group: str) -> list[str]:
    return sorted({entry.name for entry in installed(group)})
