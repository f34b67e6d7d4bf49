"""Some bytes of a file as a file of their own, for libraries that read whole files."""

from __future__ import annotations

import os
from pathlib import Path


class PartOfFile:
    """The bytes from `start` to `end` (None: to the end) of a file, as libraries read them."""

    def __init__(self, path: Path, start: int, end: int | None) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - lives as long as this
        self._start = start
        self._end = os.fstat(self._file.fileno()).st_size if end is None else end
        self._file.seek(start)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        self._file.seek(max(self._start, min(base + offset, self._end)))
        return self.tell()

    def tell(self) -> int:
        return self._file.tell() - self._start

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._file.tell()
        return self._file.read(left if size < 0 else min(size, left))

    def write(self, data: bytes) -> int:
        raise OSError("opened to be read")
