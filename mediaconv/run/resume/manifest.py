"""`OUTPUT/manifest.jsonl`: what became of every input, a row each; of several rows the last counts.

One process writes it, under the output folder's lock. A line that a killed run left torn is cut off before
the next one is added.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.errors import UsageError, WriteError

NAME = "manifest.jsonl"
DONE, FAILED = "done", "failed"
BLOCK = 500
"""Lines that are read at once: rows of a block share the texts of their keys."""


@dataclass(frozen=True, slots=True)
class Row:
    """One input's end.

    input: its path below the input's root. outputs: path below the output folder, bytes, sha256 and time of
        each (in ns; none on other storage).
    status: done or failed; a failure has a stage (read, compute, write, run) and a reason.
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
    place: str = ""


class Manifest:
    """The rows of one output folder, and the way to add one. A context manager.

    Raises UsageError where the folder's manifest cannot be understood.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.rows = read_manifest(folder)
        whole = _whole_bytes(self.path)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._handle, whole)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exc: object) -> None:
        os.fsync(self._handle)
        os.close(self._handle)

    def add(self, row: Row) -> None:
        """Append a row, whole or not at all. Raises WriteError where the disk is full."""
        line = memoryview(_encoded(row))
        end = os.fstat(self._handle).st_size
        try:
            while line:
                line = line[os.write(self._handle, line) :]
        except OSError as error:
            os.ftruncate(self._handle, end)
            raise WriteError(f"cannot write {self.path}: {error.strerror}") from error
        self.rows[row.input] = row


def read_manifest(folder: Path) -> dict[str, Row]:
    """The last row of every input, by name; a torn last line is left out. Raises UsageError for others."""
    rows: dict[str, Row] = {}
    lines = _lines(folder / NAME)
    while block := list(itertools.islice(lines, BLOCK)):
        rows.update((row.input, row) for row in _decoded(block, folder / NAME))
    return rows


def _decoded(block: list[tuple[int, bytes]], path: Path) -> list[Row]:
    try:
        found = json.loads(b"[" + b",".join(line for _, line in block) + b"]")
        if len(found) == len(block):
            for row, following in itertools.pairwise(found):
                if (same := row.get("versions")) == following.get("versions"):
                    following["versions"] = same or {}
            return [Row(**row) for row in found]
    except (ValueError, TypeError, AttributeError):
        pass  # which line it is shows when they are read one by one
    rows = []
    for number, line in block:
        try:
            rows.append(Row(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{path}:{number}: not a row of a manifest ({error}); "
                "delete that line, and its input is run again"
            ) from error
    return rows


def _encoded(row: Row) -> bytes:
    """One line; names in their own script, those that no script can spell (undecodable bytes) escaped."""
    content = asdict(row)
    try:
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(content).encode() + b"\n"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n") and line.strip():
                yield number, line


def _whole_bytes(path: Path) -> int:
    """Length of a file up to its last line end, found from its end."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            cut = file.read(end - start).rfind(b"\n")
            if cut >= 0:
                return start + cut + 1
            end = start
    return 0
