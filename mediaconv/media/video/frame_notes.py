"""What the frames of a film say of themselves beside their values: HDR, interlacing, changing sizes.

Converts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

HDR = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""Transfer functions by their numbers in ISO/IEC 23091-2."""
WIDE_GAMUTS = {9: "BT.2020", 11: "DCI-P3 (SMPTE RP 431-2)", 12: "Display P3 (SMPTE EG 432-1)"}
"""Primaries by their numbers there."""
WIDE_MATRICES = {9, 10}  # of BT.2020
UNSPECIFIED, BT2020 = 2, 9
SHOWN = 3
CONSTANT_LUMINANCE = 10  # a matrix of BT.2020 that is no matrix


class FrameNotes:
    """Looks at every frame. deinterlaced: fields are separated. part: as `part_of` takes it, or None.
    stated: transfer, primaries and matrix as the container tells them, for frames that do not. fields: the
    container states an order of fields.
    """

    def __init__(
        self, *, deinterlaced: bool, part: int | None, stated: tuple[int, int, int], fields: bool = False
    ) -> None:
        self._stated, self._fields = stated, fields
        self._deinterlaced, self._part = deinterlaced, part
        self._interlaced = self._count = 0
        self._colour: tuple[int, ...] = (0, 0, 0)
        self._size: tuple[int, int] | None = None
        self._changes: list[tuple[float | None, tuple[int, int]]] = []

    def add(self, time: Fraction | None, frame: Any) -> None:
        """A decoded frame at its time in the file."""
        self._count += 1
        self._interlaced += bool(frame.interlaced_frame)
        if self._count == 1:
            own = (int(frame.color_trc), int(frame.color_primaries), int(frame.colorspace))
            pairs = zip(own, self._stated, strict=True)
            self._colour = tuple(other if value == UNSPECIFIED else value for value, other in pairs)
        size = (frame.width, frame.height)
        if self._size is not None and size != self._size:
            self._changes.append((None if time is None else float(time), size))
        self._size = size

    def notes(self) -> list[str]:
        """After reading."""
        transfer, primaries, space = self._colour
        notes = []
        if space in WIDE_MATRICES and primaries == UNSPECIFIED:
            primaries = BT2020
        if transfer in HDR or primaries in WIDE_GAMUTS:
            of = [HDR[transfer]] if transfer in HDR else []
            of += [f"primaries of {WIDE_GAMUTS[primaries]}"] if primaries in WIDE_GAMUTS else []
            kind = "HDR" if transfer in HDR else "of a wide gamut"
            notes.append(
                f"the film is {kind} ({', '.join(of)}): values are as stored, not converted to BT.709"
            )
        if space == CONSTANT_LUMINANCE:
            notes.append("the film is in BT.2020 of constant luminance, which was read as non-constant")
        if (self._interlaced or self._fields) and not self._deinterlaced:
            counted = f": {self._interlaced} of {self._count} frames" if self._interlaced else ""
            notes.append(
                f"interlaced{counted or ', as the file states: frames'} hold two fields of different times; "
                "read.deinterlace makes frames of one time"
            )
        if self._changes:
            done = "all were scaled to the first size; read.part reads those of one size"
            if self._part is not None:
                done = f"part {self._part} was read"
            notes.append(f"the size of the frames changes {self._listed_changes()}; {done}")
        return notes

    def _listed_changes(self) -> str:
        changes = [f"to {w}x{h}" + ("" if at is None else f" at {at:.3f} s") for at, (w, h) in self._changes]
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        return ", ".join(changes[:SHOWN]) + more


def part_of(
    frames: Iterator[tuple[Fraction, av.VideoFrame]], part: int
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Of a stream whose size changes the frames of one run of equal sizes, the first has the number 0."""
    size: tuple[int, int] | None = None
    run = -1
    for time, frame in frames:
        if (frame.width, frame.height) != size:
            size = (frame.width, frame.height)
            run += 1
        if run > part:
            return
        if run == part:
            yield time, frame
