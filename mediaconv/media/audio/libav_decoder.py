"""Decoding sound with PyAV: AAC, ALAC, Opus in MP4, WMA, the sound of films. Trims the encoder's delay as
the container states it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags2

from mediaconv.errors import ReadError
from mediaconv.media.audio.audio_clock import (
    LONGEST_FILLED,
    NO_CLOCK,
    ROUNDING,
    AudioClock,
    TooMuchSilenceError,
    are_meaningless,
    silence,
)
from mediaconv.media.audio.decoder import Decoder, check_same
from mediaconv.media.audio.mp3_start import has_counts, read_mp3_start, without_tags
from mediaconv.media.audio.speakers import WAV_ORDER, are_speakers
from mediaconv.media.audio.stream_layout import frame_speakers, prepare_layout
from mediaconv.media.input_file import one_line, read_head
from mediaconv.media.integrity.extent import Extent
from mediaconv.media.integrity.mpeg import is_mpeg_audio
from mediaconv.media.libav import STATING_STARTS, clock_origin, open_container, packets
from mediaconv.media.streams import choice_notes, choose_stream

SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
BITS = {"u8": 8, "s16": 16, "s32": 32, "s64": 64, "flt": 16, "dbl": 16}
FLOAT_PCM = {"pcm_f16": 32, "pcm_f24": 32, "pcm_f32": 32, "pcm_f64": 64}
LOSSLESS = frozenset({"wavpack", "als"})
"""Codecs that store floats as they are, beside integers."""
OGG_ROUNDING = Fraction(1, 20)
"""Seconds: times in Ogg are told of pages alone, and FFmpeg's of the packets in them jump to and fro."""
UNTIMED = frozenset({"mp3", "flac"})
"""Files that state no times: FFmpeg's count frames, and begin again where files were joined."""
JUDGED_FRAMES = 64
LATE = Fraction(1, 100)
"""Seconds: a shorter delay of the sound is a container's rounding, and is not told."""


class LibavDecoder(Decoder):
    """One sound stream of a file.

    stream: its number among the sound streams or its language; None: the best one. holes: "silence" or
    "close", what becomes of holes and overlaps in its times. keep_late_start: silence comes before sound that
    begins after the file does. part: of a file of several, where it begins and ends, in bytes.

    bit_depth: of what the decoder gives: 32 for 24-bit ALAC. Channels are in WAV's order. The number of
    samples is known only at the end: containers state it with the encoder's padding.
    """

    def __init__(
        self,
        path: Path,
        *,
        stream: int | str | None = None,
        holes: str = "silence",
        keep_late_start: bool = False,
        part: tuple[int, int | None] | None = None,
    ) -> None:
        self._path = path
        self._keep_late_start = keep_late_start
        self._first_packet: Fraction | None = None
        self._strange_bytes = 0
        self._container = self._opened(part)
        self._decoded_frames, self._whole = 0, False
        try:
            best = self._container.streams.best("audio")
            self._stream = choose_stream(path, self._container, "audio", stream, best)
            self._choice_notes = (
                [] if stream is not None else choice_notes(self._container, "audio", self._stream)
            )
            self._stream.thread_type = "AUTO"
            if self._mp3 is not None:
                self._stream.codec_context.flags2 |= Flags2.skip_manual  # cut in `_trimmed` instead
            stated = prepare_layout(self._container, self._stream, read_head(path))
            self._extent = Extent(self._container, self._stream)
            self._frames = self._decoded()
            frames = self._first_frames()
        except BaseException:
            self.close()
            raise
        first = frames[0]
        self.rate_hz = first.sample_rate
        names = frame_speakers(first, self._stream, stated)
        self.channels = len(names)
        self._order: list[int] = []
        if are_speakers(names):
            self._order = sorted(range(len(names)), key=lambda k: WAV_ORDER.index(names[k]))
        self.layout = tuple(names[k] for k in self._order)
        self._frames = itertools.chain(frames, self._frames)
        self._set_clock(frames, close=holes == "close")
        self._late_samples = self._late(first)
        if keep_late_start and self._late_samples > LONGEST_FILLED * self.rate_hz:
            late = self._late_samples / self.rate_hz
            self.close()
            raise ReadError(
                f"{path}: the sound begins {late:.3f} s after the file, late_start: keep fills "
                f"{LONGEST_FILLED} s at most; use late_start: drop"
            )
        name = self._stream.codec_context.name
        kind = first.format.name.removesuffix("p")
        stored = re.match(r"pcm_[su](\d+)", name)
        self.floating = name.startswith(tuple(FLOAT_PCM)) or (name in LOSSLESS and kind == "flt")
        integer_bits = int(stored[1]) if stored else BITS[kind]
        self.bit_depth = FLOAT_PCM.get(name[:7], 32) if self.floating else integer_bits

    def _opened(self, part: tuple[int, int | None] | None) -> Any:
        """The file, or that part of it, without rubbish before an MP3."""
        container = open_container(self._path, part=part)
        self._mp3 = read_mp3_start(self._path) if container.format.name == "mp3" else None
        if self._mp3 is None or not self._mp3.rubbish:
            return container
        container.close()
        return open_container(self._path, skip=self._mp3.offset)

    def _set_clock(self, frames: list[av.AudioFrame], *, close: bool) -> None:
        """By the first frames: whether their times are a clock, and by how much it rounds."""
        name = self._container.format.name
        rounding = OGG_ROUNDING if name == "ogg" else ROUNDING
        self._clock = AudioClock(self.rate_hz, close=close, rounding=rounding)
        spans = [(_seconds(frame), Fraction(frame.samples, self.rate_hz)) for frame in frames]
        self._untimed = name in UNTIMED
        exact = not STATING_STARTS.isdisjoint(name.split(","))
        self._timeless = self._untimed or (not exact and are_meaningless(spans, rounding))

    def blocks(self, first: int) -> Iterator[np.ndarray]:
        # From the start: seeking in lossy sound is not exact to the sample. `first` counts from the file's
        # start, as of its film: before the sound begins there is silence.
        yield from without_first(self.all_blocks(late=bool(first)), first)

    def all_blocks(self, *, late: bool) -> Iterator[np.ndarray]:
        """As `blocks` from the first sample on. late: with the silence before a late start, kept or not."""
        return self._trimmed(self._blocks(late=late or self._keep_late_start))

    def _blocks(self, *, late: bool) -> Iterator[np.ndarray]:
        """All samples with silence in holes, and before a late start if asked."""
        before = self._late_samples if late else 0
        for frame in self._frames:
            count = len(frame.layout.channels)
            check_same(self._path, self.rate_hz, self.channels, frame.sample_rate, count)
            block = _samples(frame)
            if self._order:
                block = block[:, self._order]
            hole = self._hole(frame) + before
            before = 0
            yield from silence(hole, self.channels)
            yield block[max(0, -hole) :]

    def _trimmed(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Of an MP3 without what its encoder says is no sound, at the end only where the count is right."""
        if self._mp3 is None:
            yield from blocks
            return
        delay, padding = self._mp3.delay, self._mp3.padding
        held = np.zeros((0, self.channels), np.float32)
        for block in blocks:
            cut = min(delay, len(block))
            delay -= cut
            held = np.concatenate([held, block[cut:]])
            if len(held) > padding:
                yield held[: len(held) - padding]
                held = held[len(held) - padding :]
        if self._mp3.frames != self._decoded_frames and len(held):
            yield held

    def _hole(self, frame: av.AudioFrame) -> int:
        if self._timeless:
            return 0
        try:
            return self._clock.hole(_seconds(frame), frame.samples)
        except TooMuchSilenceError as error:
            raise ReadError(f"{self._path}: {error}; leave them out by read.holes: close") from error

    def notes(self) -> list[str]:
        late = Fraction(self._late_samples, self.rate_hz)
        late_note = []
        if late > LATE:
            kept = "silence comes before it" if self._keep_late_start else "read.late_start: keep keeps that"
            late_note = [f"the sound begins {float(late):.3f} s after the file; {kept}"]
        strange = []
        if self._strange_bytes:
            strange = [f"{self._strange_bytes} bytes at the end are no MP3, they were passed over"]
        stated = self._mp3.frames if self._mp3 is not None else None
        if stated is not None and self._whole and stated != self._decoded_frames:
            strange.append(f"the file's header states {stated} frames, {self._decoded_frames} were found")
        if self._timeless and not self._untimed:
            strange.append(NO_CLOCK)
        return self._choice_notes + late_note + strange + self._extent.notes() + self._clock.notes()

    def close(self) -> None:
        self._container.close()

    def _late(self, frame: av.AudioFrame) -> int:
        """Samples from the file's start to the first one of sound.

        Where the sound is alone in its file the codec's delay, which is cut off, does not count.
        """
        alone = len(self._container.streams) == 1
        first = self._first_packet if alone else _seconds(frame) or self._first_packet
        if first is None or self._container.start_time is None:
            return 0
        return max(0, round((first - clock_origin(self._path, self._container)) * self.rate_hz))

    def _first_frames(self) -> list[av.AudioFrame]:
        """Those by which the stream is judged. Damage behind the first one is told where it is read."""
        frames: list[av.AudioFrame] = []
        try:
            frames.extend(itertools.islice(self._frames, JUDGED_FRAMES))
        except ReadError as error:
            if not frames:
                raise
            self._frames = _raising(error)
        if not frames:
            raise ReadError(f"{self._path}: zero samples of sound can be decoded")
        return frames

    def _decoded(self) -> Iterator[av.AudioFrame]:
        try:
            for packet in packets(self._path, self._container, self._stream):
                if self._is_no_frame(packet):
                    rest = without_tags(bytes(packet))
                    if rest and not is_mpeg_audio(rest[:4]):
                        self._strange_bytes += packet.size
                    if not is_mpeg_audio(rest[:4]) or has_counts(rest):
                        continue
                    packet = _with_bytes(packet, rest)
                if self._strange_bytes and packet.size:
                    raise ReadError(f"{self._path}: damaged: {self._strange_bytes} bytes in it are no MP3")
                if self._first_packet is None and packet.size:
                    self._first_packet = _seconds(packet)
                for frame in self._stream.codec_context.decode(packet):
                    if frame.samples:
                        self._decoded_frames += 1
                        self._extent.add(frame)
                        yield frame
        except av.error.FFmpegError as error:
            raise ReadError(f"{self._path}: damaged: decoding stopped ({one_line(error)})") from error
        self._extent.finish()
        self._whole = True

    def _is_no_frame(self, packet: Any) -> bool:
        """What follows the last frame of an MP3 and is no tag, such as zeros of a recorder."""
        if self._container.format.name != "mp3" or not packet.size or self._first_packet is None:
            return False
        return not is_mpeg_audio(bytes(packet)[:4])


def without_first(blocks: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Blocks without their first `count` samples."""
    for block in blocks:
        skipped = min(count, len(block))
        count -= skipped
        if skipped < len(block):
            yield block[skipped:]


def _raising(error: ReadError) -> Iterator[av.AudioFrame]:
    raise error
    yield


def _with_bytes(packet: Any, data: bytes) -> Any:
    other = av.Packet(data)
    other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
    return other


def _seconds(frame: Any) -> Fraction | None:
    return None if frame.pts is None else frame.pts * Fraction(frame.time_base)


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """Shape: (n, C): float32, or float64 where samples have more bits than that holds."""
    kind = frame.format.name.removesuffix("p")
    count = len(frame.layout.channels)
    planar = frame.format.is_planar
    planes: list[Any] = list(frame.planes)[: count if planar else 1]  # PyAV counts a ninth of eight
    length = frame.samples * (1 if planar else count)
    parts = [np.frombuffer(plane, DTYPES[kind])[:length] for plane in planes]
    data = np.stack(parts, axis=1) if planar else parts[0].reshape(-1, count)
    if kind in ("flt", "dbl"):
        return np.array(data)  # a copy: the frame's memory is used again
    values = data.astype(np.float64) - (SCALES["u8"] if kind == "u8" else 0.0)
    values /= SCALES[kind]
    return values if kind in ("s32", "s64") else values.astype(np.float32)
