"""`OUTPUT/manifest.jsonl`: what became of every input, a row each; of several rows the last counts.

One process writes it, under the output folder's lock. A line that a killed run left torn is cut off before
the next one is added. A file of that name whose first line is no row is another's, and is left alone.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mediaconv.errors import UsageError, WriteError
from mediaconv.filesystem import NotAFileError, in_the_way, open_regular, open_to_read, refuse_holes
from mediaconv.run.output.lock import read_claims
from mediaconv.run.resume.rows import ROW_KEYS, Line, Row, Rows, take_block

NAME = "manifest.jsonl"
ROW_START = b'{"input": "'
MOST_ROW_BYTES = 1 << 26
"""A line that is longer is no row: a file without line ends is not read whole."""
BLOCK = 32
"""Lines that are read at once: what is made of them stays in the processor's cache."""


class Manifest:
    """The rows of one output folder, and the way to add one. A context manager.

    rows: what `read_manifest` said of the same folder; read where left out.
    Raises UsageError where the folder's manifest cannot be understood, or is another's.
    """

    def __init__(self, folder: Path, rows: Rows | None = None) -> None:
        self.path = folder / NAME
        self.rows = read_manifest(folder) if rows is None else rows
        try:
            self._handle = open_regular(self.path, os.O_RDWR | os.O_CREAT)
        except NotAFileError:
            raise in_the_way(self.path) from None
        self.rows.read_from(self._handle, self.path)
        self._end = _whole_bytes(self._handle)
        os.ftruncate(self._handle, self._end)
        self._begun: tuple[str, int, bytes] | None = None

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if self._begun is not None:  # interrupted, not crashed
                os.ftruncate(self._handle, self._begun[1])
            os.fsync(self._handle)
        except OSError as error:
            raise WriteError(f"cannot write {self.path}: {error.strerror}") from error
        finally:
            os.close(self._handle)

    def begin(self, row: Row) -> None:
        """Note that this process begins a job; the next row of the same input takes the note's place, and so
        does the next note: a job that was noted before is no longer under way."""
        if self._begun is not None and self._begun[0] == row.input:
            return
        start = self._end if self._begun is None else self._begun[1]
        note = _encoded(row)
        self._begun = None
        self._write(note, start)
        self._begun = row.input, start, note

    def add(self, row: Row) -> None:
        """Add a row, whole or not at all. Raises WriteError where the disk is full.

        The note of a job that is under way stays behind it.
        """
        begun, self._begun = self._begun, None
        line = _encoded(row)
        offset = self._end if begun is None else begun[1]
        if begun is None or begun[0] == row.input:
            self._write(line, offset)
        else:
            self._write(line + begun[2], offset)
            self._begun = begun[0], offset + len(line), begun[2]
        self.rows.take(row, offset, len(line) - 1)

    def _write(self, line: bytes, offset: int) -> None:
        """Lines from an offset on, which replace what stands there."""
        if self._is_gone():
            raise WriteError(
                f"{self.path} was deleted or moved while this run wrote there; outputs that lie in "
                f"{self.path.parent} have no row any more: remove them or choose another output"
            )
        line = line[:-1].ljust(self._end - offset - 1) + b"\n"  # covers the whole note that it replaces
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.pwrite(self._handle, rest, offset + len(line) - len(rest)) :]
            self._end = offset + len(line)
        except BaseException as error:  # an interrupt too: the next row must not stand on a longer one
            os.ftruncate(self._handle, offset)
            self._end = offset
            if isinstance(error, OSError):
                raise WriteError(f"cannot write {self.path}: {error.strerror}") from error
            raise

    def _is_gone(self) -> bool:
        """Whether the open file no longer lies under its name, where its rows are looked for."""
        try:
            return not os.path.samestat(os.fstat(self._handle), os.lstat(self.path))
        except OSError:
            return True


def read_manifest(folder: Path) -> Rows:
    """The last row of every input, by name; a torn last line is left out. Raises UsageError for others."""
    rows = Rows()
    path = folder / NAME
    try:
        file = open_to_read(path)
    except FileNotFoundError:
        return rows
    except NotAFileError:
        raise in_the_way(path) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            refuse_holes(file.fileno())
        except OSError as error:
            raise in_the_way(path, f"a file that {error.strerror}") from None
        rows.read_from(file.fileno(), path)
        lines = _lines(file, rows)
        while block := list(itertools.islice(lines, BLOCK)):
            take_block(rows, block, path)
    if rows.torn and not rows and not _is_first_row(path):
        raise in_the_way(path, "its first line is not a row of a manifest")
    return rows


def _is_first_row(path: Path) -> bool:
    """Whether what has no whole line is the first row of a run that was cut off, which left its claims."""
    with open_to_read(path) as file:
        return ROW_START.startswith(file.read(len(ROW_START))) and bool(read_claims(path.parent))


def _encoded(row: Row) -> bytes:
    """One line; names in their own script, those that no script can spell (undecodable bytes) escaped."""
    content = {name: getattr(row, name) for name in ROW_KEYS}
    try:
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(content).encode() + b"\n"


def _lines(file: BinaryIO, rows: Rows) -> Iterator[Line]:
    offset = 0
    for number in itertools.count(1):
        line = file.readline(MOST_ROW_BYTES)
        if not line:
            return
        if len(line) == MOST_ROW_BYTES:
            raise UsageError(
                f"{file.name}:{number}: not a row of a manifest (longer than any row); delete that line and "
                "the outputs that it told of, and its input is run again"
            )
        if not line.endswith(b"\n"):
            rows.torn = True
        elif line.strip():
            yield number, offset, line
        offset += len(line)


def _whole_bytes(handle: int) -> int:
    """Length of a file up to its last line end, found from its end."""
    end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - 65536)
        cut = os.pread(handle, end - start, start).rfind(b"\n")
        if cut >= 0:
            return start + cut + 1
        end = start
    return 0
