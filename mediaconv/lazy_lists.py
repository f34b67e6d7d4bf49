"""Long lists whose items are made when they are asked for: a folder of work may hold a million files.

A path takes a kilobyte as an object and a tenth of that as a text. Nothing on disk is looked at here.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class LazyList(Sequence[T_co]):
    """Items by their places, made by a function at each use; equal to other sequences of equal items.

    count: how many there are. make: called with a place from 0 to count - 1.
    """

    def __init__(self, count: int, make: Callable[[int], T_co]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        if isinstance(index, slice):
            return [self._make(place) for place in range(*index.indices(self._count))]
        return self._make(range(self._count)[index])

    def __iter__(self) -> Iterator[T_co]:
        return map(self._make, range(self._count))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of lists

    def __repr__(self) -> str:
        return repr(list(self))


class PathList(LazyList[Path]):
    """Paths that are kept as texts: what all begin with, and what comes after it.

    >>> paths = PathList("in/", ["a.png", "b.wav"])
    >>> paths[0].as_posix(), len(paths.with_suffixes({".wav"}))
    ('in/a.png', 1)
    """

    def __init__(self, prefix: str, names: list[str]) -> None:
        super().__init__(len(names), lambda place: Path(prefix + names[place]))
        self.prefix, self.names = prefix, names

    @classmethod
    def of(cls, texts: Iterable[str], prefix: str) -> PathList:
        """Of normal paths; where one does not begin with the prefix, they are kept whole."""
        texts, skip = list(texts), len(prefix)
        if not all(text.startswith(prefix) for text in texts):
            return cls("", texts)
        return cls(prefix, [text[skip:] for text in texts])

    def texts(self) -> Iterator[str]:
        """The paths as texts."""
        prefix = self.prefix
        return (prefix + name for name in self.names)

    def with_suffixes(self, suffixes: Iterable[str]) -> PathList:
        """Those with one of these suffixes, in small letters with their dots; itself where all have one."""
        ends = tuple(suffixes)
        names = [name for name in self.names if name.lower().endswith(ends) and suffix_of(name) in ends]
        return self if len(names) == len(self.names) else PathList(self.prefix, names)


class Picked(LazyList[T_co]):
    """Some items of another sequence, by their places: four bytes each."""

    def __init__(self, items: Sequence[T_co]) -> None:
        self._items, self._places = items, array("I")
        super().__init__(0, lambda place: self._items[self._places[place]])

    def add(self, place: int) -> None:
        """One more, by its place in the other sequence."""
        self._places.append(place)
        self._count += 1


def suffix_of(name: str) -> str:
    """As `Path.suffix` has it, in small letters.

    >>> suffix_of("a/b.PNG"), suffix_of("a.b/.png"), suffix_of("..png")
    ('.png', '', '.png')
    """
    base = name.rpartition("/")[2]
    dot = base.rfind(".")
    return base[dot:].lower() if 0 < dot < len(base) - 1 else ""
