"""A manifest's rows: decoded and checked, and the last one of every input found again in the file.

A folder may hold a million finished files: of a finished row only its place in the file is kept, and it is
read when it is asked for. Nothing is written here.
"""

from __future__ import annotations

import functools
import json
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from mediaconv.errors import UsageError
from mediaconv.run.resume.fingerprint import Fingerprints
from mediaconv.run.resume.safe_name import is_safe_name
from mediaconv.run.resume.written_row import read_written

DONE, FAILED, BEGUN = "done", "failed", "begun"
LENGTH_BITS, PLACE_BITS = 24, 72
"""Bits of a row's place: its length, below its offset in the file; the fingerprint stands above both."""
Line = tuple[int, int, bytes]
"""Number, offset in the file, and bytes with the line end."""


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


ROW_KEYS = tuple(key.name for key in fields(Row))
_KEYS, _STATUSES, _NOTHING = frozenset(ROW_KEYS), (DONE, FAILED, BEGUN), dict[str, Any]()


class Rows(Mapping[str, Row]):
    """The last row of every input, by name.

    torn: the last line is cut off, so outputs may be there that have no row.
    """

    torn = False

    def __init__(self) -> None:
        self._last: dict[str, int | Row] = {}
        self._earlier: dict[str, frozenset[str]] = {}
        self._handle: int | None = None
        self._path = Path()
        self._fingerprints = Fingerprints()

    def read_from(self, handle: int, path: Path) -> None:
        """Where finished rows are read again: in an open file, of which a descriptor of its own is kept."""
        if self._handle is None:
            self._handle, self._path = os.dup(handle), path
            weakref.finalize(self, os.close, self._handle)

    def take(self, row: Row, offset: int | None = None, length: int = 0) -> None:
        """A further row. Outputs of an earlier one stay the run's own until others take their place.

        offset, length: where it stands in the file.
        """
        if row.status != DONE:
            self._earlier[row.input] = self.owned(row.input)
        elif offset is not None and length < 1 << LENGTH_BITS:
            self.take_place(row.input, offset, length)
            return
        else:
            self._earlier.pop(row.input, None)
        self._last[row.input] = row

    def take_place(self, name: str, offset: int, length: int, fingerprint: int = 0) -> None:
        """A further row of a finished input, which is read again where it stands in the file."""
        if self._earlier:
            self._earlier.pop(name, None)
        self._last[name] = fingerprint << PLACE_BITS | offset << LENGTH_BITS | length

    def take_content(self, content: Mapping[str, Any], offset: int, length: int) -> None:
        """The same, of its mapping, of which a fingerprint is kept."""
        self.take_place(content["input"], offset, length, self._fingerprints.of_row(content))

    def take_written(self, offset: int, line: bytes) -> bool:
        """The same, of a line that is a finished row as this program writes them; else False."""
        length = len(line) - 1
        written = read_written(line) if length < 1 << LENGTH_BITS else None
        if written is None:
            return False
        name, names, known = written
        fingerprint = self._fingerprints.of(names, known)
        if fingerprint is None:
            return False
        self.take_place(name, offset, length, fingerprint)
        return True

    def fingerprint(self, name: str) -> tuple[tuple[str, ...], int] | None:
        """Names of a finished input's outputs in its folder, and the mark of its row, where they are kept."""
        kept = self._last.get(name)
        return self._fingerprints.read(kept >> PLACE_BITS) if isinstance(kept, int) else None

    def owned(self, name: str) -> frozenset[str]:
        """Names of the files in an input's target that its rows name."""
        if name in self._earlier:
            return self._earlier[name]
        if (kept := self.fingerprint(name)) is not None:
            return frozenset(kept[0])
        row = self.get(name)
        return frozenset(file["path"].rpartition("/")[2] for file in row.outputs) if row else frozenset()

    def unfinished(self) -> Iterator[Row]:
        """The rows of jobs that are not done."""
        return (row for row in self._last.values() if isinstance(row, Row) and row.status != DONE)

    def __getitem__(self, name: str) -> Row:
        """Raises UsageError where the file was changed meanwhile."""
        kept = self._last[name]
        if isinstance(kept, Row):
            return kept
        assert self._handle is not None
        place = kept & ((1 << PLACE_BITS) - 1)
        line = os.pread(self._handle, place & ((1 << LENGTH_BITS) - 1), place >> LENGTH_BITS)
        try:
            row = Row(**_values(line))
        except (ValueError, TypeError):
            row = None
        if row is None or row.input != name:
            raise UsageError(f"{self._path}: was changed by another program meanwhile; run again")
        return row

    def get(self, name: str, default: Any = None) -> Any:
        """The row, or the default: without an exception for each input that is new."""
        return self[name] if name in self._last else default

    def __contains__(self, name: object) -> bool:
        return name in self._last

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)


def take_block(rows: Rows, block: list[Line], path: Path) -> None:
    """The rows of some lines, in their order. Raises UsageError, naming it, for a line that is no row."""
    others: list[Line] = []
    for line in block:
        if others or not rows.take_written(*line[1:]):
            others.append(line)
    if others:
        _take_decoded(rows, others, path)


def _take_decoded(rows: Rows, block: list[Line], path: Path) -> None:
    versions: dict[str, str] = {}
    for content, (_, offset, line) in zip(decoded(block, path), block, strict=True):
        length = len(line) - 1
        if content["status"] == DONE and length < 1 << LENGTH_BITS:
            rows.take_content(content, offset, length)
            continue
        if content.get("versions") == versions:
            content["versions"] = versions  # rows that are kept share them
        row = Row(**content)
        versions = row.versions
        rows.take(row, offset, length)


def decoded(block: list[Line], path: Path) -> list[dict[str, Any]]:
    """The rows of some lines, as mappings. Raises UsageError, naming it, for one that is no row."""
    try:
        rows = _values(b"[" + b",".join(line for *_, line in block) + b"]")
        if len(rows) == len(block):
            return [_checked(row) for row in rows]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        pass  # which line it is shows when they are read one by one
    rows = []
    for number, _, line in block:
        try:
            rows.append(_checked(_parsed(line)))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"{path}:{number}: not a row of a manifest ({_one_line(error)}); "
                "delete that line and the outputs that it told of, and its input is run again"
            ) from error
    return rows


def _checked(content: Any) -> dict[str, Any]:
    """The mapping of a row, whose outputs lie in its input's folder. Raises ValueError, TypeError."""
    if not (
        isinstance(content, dict) and content.keys() <= _KEYS and "input" in content and "status" in content
    ):
        raise ValueError(_misfit(content))
    name, get = content["input"], content.get
    if not (isinstance(name, str) and is_safe_name(name)):
        raise ValueError("input: a path that leaves the folder")
    if content["status"] not in _STATUSES:
        raise ValueError(f"status: got {str(content['status'])[:40]!r}")
    identity = get("identity", _NOTHING)
    if not isinstance(identity, dict) or not isinstance(get("versions", _NOTHING), dict):
        raise TypeError("identity and versions: expected mappings")
    if type(get("attempts", 1)) is not int or not isinstance(get("seconds", 0), int | float):
        raise TypeError("attempts and seconds: expected numbers")
    if not isinstance(get("media_seconds"), int | float | None) or not isinstance(get("clipped", 0), int):
        raise TypeError("media_seconds and clipped: expected numbers")
    if not (isinstance(get("stage"), str | None) and isinstance(get("reason"), str | None)):
        raise TypeError("stage and reason: expected texts")
    notes = get("notes", [])
    if not isinstance(notes, list) or (notes and not all(isinstance(note, str) for note in notes)):
        raise TypeError("notes: expected a list of texts")
    if not (_is_shape(get("input_shape")) and _is_shape(get("output_shape"))):
        raise TypeError("input_shape and output_shape: expected lists of numbers")
    if type(identity.get("size", 0)) is not int:
        raise TypeError("identity.size: expected a number")
    _check_outputs(name, get("outputs", []))
    return content


def _check_outputs(input_name: str, outputs: Any) -> None:
    if not isinstance(outputs, list):
        raise TypeError("outputs: expected a list")
    own, above = f"{input_name}/", input_name[: input_name.rfind("/") + 1]
    skip = len(own)
    for file in outputs:
        if not isinstance(file, dict) or not isinstance(path := file.get("path"), str):
            raise TypeError("outputs: expected path, bytes and sha256 of each")
        name = path[skip:] if path.startswith(own) else path[len(above) :]
        if "/" in name or not path.startswith(above) or not _is_safe_file(name):
            raise ValueError("outputs: a path that leaves its input's folder")
        if type(file.get("bytes")) is not int or not isinstance(file.get("sha256"), str):
            raise TypeError("outputs: expected path, bytes and sha256 of each")


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
    if value is None:
        return True
    return isinstance(value, list) and (not value or set(map(type, value)) == {int})


def _values(text: bytes) -> Any:
    """JSON, by the quicker of two readers where that knows it (names that no script can spell it does not).

    Raises ValueError.
    """
    try:
        return from_json(text, cache_strings="keys")
    except ValueError:
        return json.loads(text)


_is_safe_file = functools.lru_cache(maxsize=1024)(is_safe_name)
"""Of an output's name: a folder has few of them."""


def _one_line(error: Exception) -> str:
    text = str(error)
    return text.splitlines()[0][:200] if text else type(error).__name__
