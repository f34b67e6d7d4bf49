"""Decoding sound with libsndfile: WAV, RF64, FLAC, OGG, MP3, AIFF and what else it knows by content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from mediaconv.errors import ReadError
from mediaconv.media.files import one_line

BLOCK_VALUES = 1 << 16
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
BITS |= {"ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24, "ALAC_32": 32, "DWVW_12": 12, "DWVW_24": 24}
LOSSY_BITS = 16


class SndfileDecoder:
    """A file that libsndfile decodes; see `mediaconv.media.audio.reader.Decoder`."""

    def __init__(self, path: Path, file: soundfile.SoundFile) -> None:
        self._path = path
        self._file = file
        self.rate_hz = int(file.samplerate)
        self.channels = int(file.channels)
        self.samples = int(file.frames) if 0 <= file.frames < 2**62 else None
        self.bit_depth = BITS.get(file.subtype, LOSSY_BITS)
        self.floating = file.subtype in ("FLOAT", "DOUBLE")

    @classmethod
    def open(cls, path: Path) -> SndfileDecoder | None:
        """None where libsndfile does not know the content.

        Opened by descriptor, because by name the library takes some suffixes for the content's word.
        """
        descriptor = os.open(path, os.O_RDONLY)
        try:
            file = soundfile.SoundFile(descriptor, closefd=True)
        except soundfile.LibsndfileError:
            return None
        return cls(path, file)

    def blocks(self, first: int) -> Iterator[np.ndarray]:
        """See `Decoder.blocks`. Integers are scaled by 2**(bits-1)."""
        size = max(256, BLOCK_VALUES // self.channels)
        try:
            if first:
                self._file.seek(first)
            while len(block := self._file.read(size, dtype="float32", always_2d=True)):
                yield block
        except soundfile.LibsndfileError as error:
            raise ReadError(f"{self._path}: damaged: decoding stopped ({one_line(error)})") from error

    def notes(self) -> list[str]:
        """See `Decoder.notes`. None: what is missing of the samples stated is an error."""
        return []

    def close(self) -> None:
        """Release the file. May be called twice."""
        self._file.close()
