"""A finished row in sixteen bytes: whether its run, input and outputs are still the same, without reading it.

A hash of 64 bits within one process, of sizes, times and the run's identity; where it does not match, the row
is read and tells what has changed. Nothing is looked at here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MARK_BITS, LAYOUT_BITS = 64, 16
_MARK, _LAYOUT = (1 << MARK_BITS) - 1, (1 << LAYOUT_BITS) - 1


def mark(identity: Mapping[str, Any], files: Sequence[tuple[Any, Any]]) -> int:
    """Of a row's identity, and bytes and time of each output. Raises TypeError for values without a hash."""
    get = identity.get
    known = (get("config"), get("weights"), get("code"), get("size"), get("time"), *files)
    return hash(known) & _MARK


class Fingerprints:
    """Makes them of rows, as whole numbers, and reads them: the rows of a folder share a few layouts."""

    def __init__(self) -> None:
        self._layouts: list[tuple[str, ...]] = [()]
        self._numbers: dict[tuple[str, ...], int] = {}

    def of_row(self, content: Mapping[str, Any]) -> int:
        """Of a checked row's mapping; 0 for one that has none: its outputs lie beside others, or are many."""
        own = f"{content['input']}/"
        skip = len(own)
        outputs = content.get("outputs", ())
        names = tuple([file["path"][skip:] for file in outputs if file["path"].startswith(own)])
        if len(names) != len(outputs):
            return 0
        number = self._numbers.get(names)
        if number is None:
            number = len(self._layouts)
            if number > _LAYOUT:
                return 0
            self._layouts.append(names)
            self._numbers[names] = number
        try:
            files = [(file["bytes"], file.get("time")) for file in outputs]
            return mark(content.get("identity", {}), files) << LAYOUT_BITS | number
        except TypeError:
            return 0

    def read(self, fingerprint: int) -> tuple[tuple[str, ...], int] | None:
        """The outputs' names in their input's folder, and the mark; None where there is no fingerprint."""
        number = fingerprint & _LAYOUT
        return (self._layouts[number], fingerprint >> LAYOUT_BITS) if number else None
