"""Decoding the streams of an Ogg file that follow one another, those that libsndfile does not know."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mediaconv.media.audio.decoder import Decoder, check_same
from mediaconv.media.audio.libav_decoder import LibavDecoder, without_first
from mediaconv.media.integrity.ogg import links


class ChainedDecoder(Decoder):
    """All of them as one sound. holes, keep_late_start: as of `LibavDecoder`."""

    def __init__(self, path: Path, starts: list[int], *, holes: str, keep_late_start: bool) -> None:
        self._decoders: list[LibavDecoder] = []
        ends = [*starts[1:], None]
        try:
            for index, part in enumerate(zip(starts, ends, strict=True)):
                keep = keep_late_start and not index
                self._decoders.append(LibavDecoder(path, holes=holes, keep_late_start=keep, part=part))
            first = self._decoders[0]
            for other in self._decoders[1:]:
                check_same(path, first.rate_hz, first.channels, other.rate_hz, other.channels)
        except BaseException:
            self.close()
            raise
        self.rate_hz, self.channels, self.layout = first.rate_hz, first.channels, first.layout
        self.bit_depth, self.floating = first.bit_depth, first.floating

    @classmethod
    def open(cls, path: Path, *, holes: str, keep_late_start: bool) -> ChainedDecoder | None:
        """None where there is but one."""
        with open(path, "rb") as file:
            starts = links(file)
        if len(starts) == 1:
            return None
        return cls(path, starts, holes=holes, keep_late_start=keep_late_start)

    def blocks(self, first: int) -> Iterator[np.ndarray]:
        late = [bool(first), *[False] * (len(self._decoders) - 1)]
        every = (d.all_blocks(late=wanted) for d, wanted in zip(self._decoders, late, strict=True))
        yield from without_first(itertools.chain.from_iterable(every), first)

    def notes(self) -> list[str]:
        return list(dict.fromkeys(note for decoder in self._decoders for note in decoder.notes()))

    def close(self) -> None:
        for decoder in self._decoders:
            decoder.close()
