"""`OUTPUT/manifest.jsonl`: what became of every input, a row each; of several rows the last counts.

One process writes it, under the output folder's lock. A line that a killed run left torn is cut off before
the next one is added. A file of that name whose first line is no row is another's, and is left alone.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

from mediaconv.errors import UsageError, WriteError
from mediaconv.filesystem import NotAFileError, in_the_way, open_regular, open_to_read, refuse_holes
from mediaconv.run.output.lock import read_claims

NAME = "manifest.jsonl"
DONE, FAILED, BEGUN = "done", "failed", "begun"
ROW_START = b'{"input": "'
MOST_ROW_BYTES = 1 << 26
"""A line that is longer is no row: a file without line ends is not read whole."""
BLOCK = 500
"""Lines that are read at once: rows of a block share the texts of their keys."""


@dataclass(frozen=True, slots=True)
class Row:
    """One input's end.

    input: its path below the input's root. outputs: path below the output folder, bytes, sha256 and time of
        each (in ns; none on other storage).
    status: done or failed; a failure has a stage (read, compute, write, run) and a reason. begun: the program
        itself was running the job, and ended with it; written by the serial executor only.
    identity: what the outputs follow from; a job whose identity still matches need not run again.
    input_shape, output_shape: channels first, then the length along each axis.
    attempts, place: how often the job was begun, and the process or node that ended it.
    """

    input: str
    status: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    stage: str | None = None
    reason: str | None = None
    seconds: float = 0.0
    media_seconds: float | None = None
    input_shape: list[int] | None = None
    output_shape: list[int] | None = None
    clipped: int = 0
    notes: list[str] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    attempts: int = 1
    place: str = ""  # the worker, in the word of manifests that stand


UNSAFE_PARTS = frozenset({"", ".", ".."})
ROW_KEYS = tuple(key.name for key in fields(Row))


class Rows(dict[str, Row]):
    """The last row of every input, by name.

    torn: the last line is cut off, so outputs may be there that have no row.
    """

    torn = False

    def __init__(self) -> None:
        super().__init__()
        self._earlier: dict[str, frozenset[str]] = {}

    def take(self, row: Row) -> None:
        """A further row. Outputs of an earlier one stay the run's own until others take their place."""
        if row.status != DONE:
            self._earlier[row.input] = self.owned(row.input)
        else:
            self._earlier.pop(row.input, None)
        self[row.input] = row

    def owned(self, name: str) -> frozenset[str]:
        """Names of the files in an input's target that its rows name."""
        if name in self._earlier:
            return self._earlier[name]
        row = self.get(name)
        return frozenset(file["path"].rpartition("/")[2] for file in row.outputs) if row else frozenset()


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
        if begun is None:
            self._write(line, self._end)
        elif begun[0] == row.input:
            self._write(line, begun[1])
        else:
            self._write(line + begun[2], begun[1])
            self._begun = begun[0], begun[1] + len(line), begun[2]
        self.rows.take(row)

    def _write(self, line: bytes, offset: int) -> None:
        """Lines from an offset on, which replace what stands there."""
        if self._is_deleted():
            raise WriteError(
                f"{self.path} was deleted while this run wrote there; outputs that lie in {self.path.parent} "
                "have no row any more: remove them or choose another output, then run again"
            )
        line = line[:-1].ljust(self._end - offset - 1) + b"\n"  # covers the whole note that it replaces
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.pwrite(self._handle, rest, offset + len(line) - len(rest)) :]
        except OSError as error:
            os.ftruncate(self._handle, offset)
            self._end = offset
            raise WriteError(f"cannot write {self.path}: {error.strerror}") from error
        self._end = offset + len(line)

    def _is_deleted(self) -> bool:
        """Whether the open file has no name any more; some file systems count no links."""
        status = os.fstat(self._handle)
        if status.st_nlink:
            return False
        try:
            return not os.path.samestat(status, os.lstat(self.path))
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
        lines = _lines(file, rows)
        while block := list(itertools.islice(lines, BLOCK)):
            for row in _decoded(block, path):
                rows.take(row)
    if rows.torn and not rows and not _is_first_row(path):
        raise in_the_way(path, "its first line is not a row of a manifest")
    return rows


def _decoded(block: list[tuple[int, bytes]], path: Path) -> list[Row]:
    try:
        rows = json.loads(b"[" + b",".join(line for _, line in block) + b"]")
        if len(rows) == len(block):
            for row, following in itertools.pairwise(rows):
                if (same := row.get("versions")) == following.get("versions"):
                    following["versions"] = same or {}
            return [_checked(row) for row in rows]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        pass  # which line it is shows when they are read one by one
    rows = []
    for number, line in block:
        try:
            rows.append(_checked(_parsed(line)))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"{path}:{number}: not a row of a manifest ({_one_line(error)}); "
                "delete that line and the outputs that it told of, and its input is run again"
            ) from error
    return rows


def _checked(content: dict[str, Any]) -> Row:
    """A row of plain values, whose outputs lie in its input's folder. Raises ValueError, TypeError."""
    try:
        row = Row(**content)
    except TypeError:
        raise ValueError(_misfit(content)) from None
    if not (isinstance(row.input, str) and is_safe_name(row.input)):
        raise ValueError("input: a path that leaves the folder")
    if row.status not in (DONE, FAILED, BEGUN):
        raise ValueError(f"status: got {str(row.status)[:40]!r}")
    if not isinstance(row.identity, dict) or not isinstance(row.versions, dict):
        raise TypeError("identity and versions: expected mappings")
    if type(row.attempts) is not int or not isinstance(row.seconds, int | float):
        raise TypeError("attempts and seconds: expected numbers")
    if not isinstance(row.media_seconds, int | float | None) or not isinstance(row.clipped, int):
        raise TypeError("media_seconds and clipped: expected numbers")
    if not (isinstance(row.stage, str | None) and isinstance(row.reason, str | None)):
        raise TypeError("stage and reason: expected texts")
    if not isinstance(row.notes, list) or not all(isinstance(note, str) for note in row.notes):
        raise TypeError("notes: expected a list of texts")
    if not (_is_shape(row.input_shape) and _is_shape(row.output_shape)):
        raise TypeError("input_shape and output_shape: expected lists of numbers")
    if type(row.identity.get("size", 0)) is not int:
        raise TypeError("identity.size: expected a number")
    if not isinstance(row.outputs, list):
        raise TypeError("outputs: expected a list")
    above = row.input.rpartition("/")[0]
    for file in row.outputs:
        if not isinstance(file, dict) or not isinstance(file.get("path"), str):
            raise TypeError("outputs: expected path, bytes and sha256 of each")
        folder, _, name = file["path"].rpartition("/")
        flat = folder == above
        if not (folder == row.input or flat) or not is_safe_name(name):
            raise ValueError("outputs: a path that leaves its input's folder")
        if type(file.get("bytes")) is not int or not isinstance(file.get("sha256"), str):
            raise TypeError("outputs: expected path, bytes and sha256 of each")
    return row


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON from column {error.colno} on") from None
    except (ValueError, RecursionError):
        raise ValueError("not JSON that can be read") from None


def _misfit(content: Any) -> str:
    """Why a value is not a row's mapping."""
    if not isinstance(content, dict):
        return "expected a mapping"
    if unknown := content.keys() - set(ROW_KEYS):
        return f"unknown key {min(unknown)[:40]!r}"
    return f"no {'input' if 'input' not in content else 'status'}"


def _is_shape(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(type(n) is int for n in value))


def _is_first_row(path: Path) -> bool:
    """Whether what has no whole line is the first row of a run that was cut off, which left its claims."""
    with open_to_read(path) as file:
        return ROW_START.startswith(file.read(len(ROW_START))) and bool(read_claims(path.parent))


def is_safe_name(name: str) -> bool:
    """Whether a path stays below the folder that it is taken from.

    >>> is_safe_name("a/b.png"), is_safe_name("/a"), is_safe_name("a/../../b"), is_safe_name("")
    (True, False, False, False)
    """
    return "\0" not in name and UNSAFE_PARTS.isdisjoint(name.split("/"))


def _one_line(error: Exception) -> str:
    text = str(error)
    return text.splitlines()[0][:200] if text else type(error).__name__


def _encoded(row: Row) -> bytes:
    """One line; names in their own script, those that no script can spell (undecodable bytes) escaped."""
    content = {name: getattr(row, name) for name in ROW_KEYS}
    try:
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(content).encode() + b"\n"


def _lines(file: BinaryIO, rows: Rows) -> Iterator[tuple[int, bytes]]:
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
            yield number, line


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
