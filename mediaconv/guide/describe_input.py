"""What would be read of a file: its streams, and what the pipeline that takes it makes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from mediaconv.compare.measure.step_times import Timeline, in_words
from mediaconv.counted import counted
from mediaconv.errors import ReadError
from mediaconv.guide.input_kind import InputKind, input_kind, open_plainly
from mediaconv.pipeline import Source, SourceInfo

READ_SECONDS = 3.0
"""How long a file is read to the end for its length and notes, which only the end tells."""


@dataclass
class Description:
    """A file. streams: each in words, as the container states them. facts: what the pipeline reads."""

    path: str
    pipeline: str
    facts: dict[str, Any] = field(default_factory=dict)
    streams: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{self.path}: pipeline {self.pipeline}"]
        lines += [f"  stream {i}: {text}" for i, text in enumerate(self.streams)]
        width = max(map(len, self.facts), default=0) + 1
        lines += [f"  {name + ':':{width}} {value}" for name, value in self.facts.items()]
        return lines + [f"  note: {note}" for note in self.notes]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return dict(vars(self))


def describe_input(path: Path) -> Description:
    """The description of a file, or of a folder by its first file. Raises UsageError, ReadError."""
    kind = input_kind(path)
    made = Description(str(path), kind.pipeline.name)
    if kind.counts:
        made.facts["files"] = ", ".join(f"{n} {name}" for name, n in kind.counts.items())
        made.facts["first"] = str(kind.first)
    made.streams = _streams(kind)
    with open_plainly(kind.pipeline, kind.first) as source:
        _read(source, kind, made)
    made.notes += kind.broken.values()
    return made


def video_rate(source: Source, unit: str) -> str:
    """The rate of a film in words: frames a second, or how far apart they are where that varies.

    Reads the source, for READ_SECONDS at most.
    """
    timeline = _counted(source, source.info)[2]
    return _rate(source.info.rate, timeline, unit) if source.info.rate else ""


def _read(source: Source, kind: InputKind, made: Description) -> None:
    info, units = source.info, kind.pipeline.step_units
    layout = getattr(info, "layout", ())
    made.facts["channels"] = str(info.channels) + (f" ({' '.join(layout)})" if layout else "")
    steps, whole, timeline = _counted(source, info)
    if info.rate:
        made.facts["rate"] = _rate(info.rate, timeline, units[0])
    if len(info.shape) > 1:
        made.facts["size"] = " x ".join(str(n) for n in reversed(info.shape[-2:])) + " pixels"
    made.facts["bits"] = f"{info.bit_depth}{' (float)' if info.floating else ''}"
    if rotation := getattr(info, "rotation", 0):
        made.facts["rotation"] = f"{rotation} degrees clockwise, applied"
    if (aspect := getattr(info, "sample_aspect_ratio", Fraction(1))) != 1:
        made.facts["pixel aspect"] = str(aspect)
    if len(info.shape) != 2:
        if kind.pipeline.name != "audio":
            made.facts["sound"] = "yes" if getattr(info, "audio", None) is not None else "no"
        made.facts["length"] = _length(info, steps if whole else info.shape[0], units[0])
    made.notes += source.notes() if whole else []
    if not whole:
        made.notes.append(f"read for {READ_SECONDS:g} s only: what the end of the file tells is not known")


def _counted(source: Source, info: SourceInfo) -> tuple[int, bool, Timeline]:
    """Steps that were read, whether to the end, and when they are."""
    began, steps = time.monotonic(), 0
    times: list[Fraction] = []
    for chunk in source.chunks({1: 65_536, 2: 4096, 3: 8}.get(len(info.shape), 64)):
        steps += len(chunk.data)
        times += chunk.times or ()
        if time.monotonic() - began > READ_SECONDS:
            return steps, False, Timeline(info.rate, times)
    return steps, True, Timeline(info.rate, times)


def _length(info: SourceInfo, steps: int | None, unit: str) -> str:
    seconds = getattr(info, "duration_seconds", None)
    if steps is None:
        return "not stated" if seconds is None else f"{float(seconds):.3f} s"
    if info.rate and not isinstance(seconds, Fraction):
        seconds = steps / info.rate
    return counted(steps, unit) + ("" if seconds is None else f", {float(seconds):.3f} s")


def _rate(rate: Fraction, timeline: Timeline, unit: str) -> str:
    """Steps a second, or how far apart they are where that varies."""
    apart = timeline.span_ms(1)
    if timeline.even or apart is None:
        return f"{_number(rate)} {unit} a second"
    return f"varies: {unit} are {in_words(apart)} apart"


def _number(rate: Fraction) -> str:
    return str(rate.numerator) if rate.denominator == 1 else f"{float(rate):.5g}"


def _streams(kind: InputKind) -> list[str]:
    """What a sound's or film's container states; nothing where FFmpeg does not know it, or of an image."""
    from mediaconv.media.libav import open_container

    if kind.pipeline.name not in ("audio", "video"):
        return []
    try:
        container = open_container(kind.first)
    except ReadError:
        return []
    with container:
        return [_stream(stream) for stream in container.streams]


def _stream(stream: Any) -> str:
    codec = getattr(getattr(stream, "codec_context", None), "name", None) or "unknown codec"
    parts = [stream.type, codec]
    if stream.type == "audio":
        parts += [f"{stream.rate} Hz", f"{counted(stream.channels, 'channel')} ({stream.layout.name})"]
    elif stream.type == "video":
        parts += [f"{stream.width}x{stream.height}", str(stream.codec_context.pix_fmt)]
        if stream.average_rate:
            parts.append(f"{float(stream.average_rate):.5g} frames a second")
    language = stream.metadata.get("language")
    if language and language != "und":
        parts.append(language)
    return ", ".join(parts)
