"""A finished row in sixteen bytes: whether its run, input and outputs are still the same, without reading it.

A hash of 64 bits within one process, of sizes, times and the run's identity; where it does not match, the row
is read and tells what has changed. Nothing is looked at here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mediaconv.run.resume.safe_name import is_safe_name

MARK_BITS, LAYOUT_BITS = 64, 16
_MARK, _LAYOUT = (1 << MARK_BITS) - 1, (1 << LAYOUT_BITS) - 1


def run_mark(config: Any, weights: Any, code: Any) -> int:
    """Of what all rows of a run have in common. Raises TypeError for values without a hash."""
    return hash((config, weights, code))


def mark(run: int, size: Any, time: Any, sizes: Iterable[Any], times: Iterable[Any]) -> int:
    """Of a row: its run's mark, size and time of the input, bytes and time of each output.

    Raises TypeError for values without a hash.
    """
    return hash((run, size, time, *sizes, *times)) & _MARK


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
        sizes, times = [file["bytes"] for file in outputs], [file.get("time") for file in outputs]
        get = content.get("identity", {}).get
        try:
            run = run_mark(get("config"), get("weights"), get("code"))
            known = mark(run, get("size"), get("time"), sizes, times)
        except TypeError:
            return 0
        return self.of(names, known) or 0

    def of(self, names: tuple[str, ...], known: int) -> int | None:
        """Of the outputs' names in their input's folder, and the row's mark; 0 where layouts are too many.

        None where a name leaves the folder.
        """
        number = self._numbers.get(names)
        if number is None:
            number = len(self._layouts)
            if not all(map(is_safe_name, names)):
                return None
            if number > _LAYOUT:
                return 0
            self._layouts.append(names)
            self._numbers[names] = number
        return known << LAYOUT_BITS | number

    def read(self, fingerprint: int) -> tuple[tuple[str, ...], int] | None:
        """The outputs' names in their input's folder, and the mark; None where there is no fingerprint."""
        number = fingerprint & _LAYOUT
        return (self._layouts[number], fingerprint >> LAYOUT_BITS) if number else None
