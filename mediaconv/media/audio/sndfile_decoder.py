"""Decoding sound with libsndfile: WAV, RF64, FLAC, OGG, MP3, AIFF and what else it knows by content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from mediaconv.errors import ReadError
from mediaconv.media.audio.channel_mask import stated_speakers
from mediaconv.media.audio.decoder import Decoder, check_same
from mediaconv.media.audio.flac_end import goes_on
from mediaconv.media.audio.speakers import OGG_LAYOUT, OGG_ORDER
from mediaconv.media.file_part import PartOfFile
from mediaconv.media.input_file import one_line
from mediaconv.media.integrity.completeness import has_several_blocks
from mediaconv.media.integrity.ogg import links

BLOCK_VALUES = 1 << 16
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
BITS |= {"ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24, "ALAC_32": 32, "DWVW_12": 12, "DWVW_24": 24}
LOSSY_BITS = 16
TRIED_SAMPLES = 4096
FLOAT_SUBFORMAT = bytes.fromhex("0300000000001000800000aa00389b71")
SPEAKER_CHUNKS = {"CAF": b"chan", "AIFF": b"CHAN"}
"""Chunks that state each channel's speaker, in any order."""
OGG = b"OggS"
WIDE = frozenset({"PCM_32", "DOUBLE", "ALAC_32"})
"""Samples that float32 would round."""


class SndfileDecoder(Decoder):
    """A file that libsndfile decodes. It notes nothing: what is missing of the samples stated is an error."""

    def __init__(self, path: Path, head: bytes, starts: list[int], files: list[soundfile.SoundFile]) -> None:
        self._path, self._head = path, head
        self._starts = starts
        self._files = files
        file = files[0]
        self.rate_hz = int(file.samplerate)
        self.channels = int(file.channels)
        for other in files[1:]:
            check_same(path, self.rate_hz, self.channels, other.samplerate, other.channels)
        self.samples = sum(int(f.frames) for f in files)
        self.bit_depth = BITS.get(file.subtype, LOSSY_BITS)
        self.floating = file.subtype in ("FLOAT", "DOUBLE")
        self._dtype = "float64" if file.subtype in WIDE else "float32"
        third = file.subtype in ("VORBIS", "OPUS")
        self._order = list(OGG_ORDER.get(self.channels, ())) if third else []
        self.layout = self._layout(third or (file.format == "FLAC" and self.channels > 2))

    @classmethod
    def open(cls, path: Path, head: bytes) -> SndfileDecoder | None:
        """None where libsndfile does not know the content. head: as `read_head` gives it.

        Opened by descriptor, because by name the library takes some suffixes for the content's word.
        """
        files: list[soundfile.SoundFile] = []
        try:
            starts = [0]
            if head.startswith(OGG):
                with open(path, "rb") as content:
                    starts = links(content)
            files.extend(_opened(path, starts, index) for index in range(len(starts)))
            if any(_is_left_to_libav(file, path, head) for file in files):
                raise soundfile.LibsndfileError(0)
        except soundfile.LibsndfileError:
            for file in files:
                file.close()
            return None
        return cls(path, head, starts, files)

    def _layout(self, by_count: bool) -> tuple[str, ...]:
        """As the header states, else by the number of channels in Vorbis, Opus and FLAC."""
        stated = stated_speakers(self._head, self.channels)
        return stated or (tuple(OGG_LAYOUT.get(self.channels, "").split()) if by_count else ())

    def blocks(self, first: int) -> Iterator[np.ndarray]:
        # integers are scaled by 2**(bits-1)
        size = max(256, BLOCK_VALUES // self.channels)
        try:
            for index, file in enumerate(self._files):
                if first >= file.frames:
                    first -= file.frames
                    continue
                if first and self._may_seek(index) and _seek(file, first):
                    first = 0
                while len(block := file.read(size, dtype=self._dtype, always_2d=True)):
                    skipped = min(first, len(block))
                    first -= skipped
                    block = block[skipped:]
                    yield block[:, self._order] if self._order else block
        except soundfile.LibsndfileError as error:
            raise ReadError(f"{self._path}: damaged: decoding stopped ({one_line(error)})") from error

    def _may_seek(self, index: int) -> bool:
        """Whether a sample that is entered midway is that of a full read, by what comes at the beginning.

        Not in Opus, where it depends on all before, nor in Vorbis that was cut from a stream, whose clock
        begins late.
        """
        if self._files[index].subtype not in ("OPUS", "VORBIS"):
            return True
        if self._files[index].subtype == "OPUS":
            return False
        try:
            with _opened(self._path, self._starts, index) as file:
                first = file.read(2 * TRIED_SAMPLES, always_2d=True)
                middle = len(first) // 2
                file.seek(middle)
                return bool(np.array_equal(first[middle:], file.read(len(first) - middle, always_2d=True)))
        except soundfile.LibsndfileError:
            return False

    def close(self) -> None:
        for file in self._files:
            file.close()


def _opened(path: Path, starts: list[int], index: int) -> soundfile.SoundFile:
    """One of the streams that follow one another in a file and begin at those bytes."""
    if len(starts) == 1:
        return soundfile.SoundFile(os.open(path, os.O_RDONLY), closefd=True)
    return soundfile.SoundFile(PartOfFile(path, starts[index], [*starts, None][index + 1]))


def _seek(file: soundfile.SoundFile, sample: int) -> bool:
    """Whether the file stands at a sample now; some codecs (GSM) are decoded from the beginning only."""
    try:
        return bool(file.seek(sample) == sample)
    except soundfile.LibsndfileError:
        return False


def _is_left_to_libav(file: soundfile.SoundFile, path: Path, head: bytes) -> bool:
    """What libsndfile ends by an estimate of the length, or gives in an order of channels of its own."""
    estimated = file.format == "FLAC" and goes_on(path, file.frames)
    chunk = SPEAKER_CHUNKS.get(file.format)
    stated = chunk is not None and chunk in head
    own_order = file.channels > 2 and (file.subtype[:4] == "ALAC" or stated)
    planar = file.format == "SVX" and file.channels > 1  # which libsndfile takes for interleaved
    # and of floats in extensible W64 it takes the bits for integers
    floats = file.format == "W64" and file.subtype == "PCM_32" and FLOAT_SUBFORMAT in head[:512]
    blocks = file.format == "VOC" and has_several_blocks(path)
    if planar or floats or blocks:
        return True
    return file.subtype.startswith("MPEG") or estimated or own_order
