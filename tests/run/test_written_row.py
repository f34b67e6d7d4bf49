"""Rows that are read without JSON are those that JSON gives, to the letter; anything else is left to JSON."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from mediaconv.errors import UsageError
from mediaconv.run.resume.fingerprint import mark, run_mark
from mediaconv.run.resume.manifest import _encoded, read_manifest
from mediaconv.run.resume.rows import Row, decoded
from mediaconv.run.resume.written_row import MOST_OUTPUTS, read_written
from tests.run.running import run
from tests.run.trees import images

HASH = "0123456789abcdef" * 4
IDENTITY: dict[str, Any] = {
    "config": HASH,
    "weights": "",
    "code": "0.1.0",
    "size": 5,
    "time": 1795936022896484376,
    "sha256": HASH,
}


def row(name: str, outputs: int = 2, **keys: Any) -> bytes:
    files = [
        {"path": f"{name}/channel_{c}.png", "bytes": 6 + c, "sha256": HASH, "time": 1795936030653679169 + c}
        for c in range(outputs)
    ]
    known: dict[str, Any] = {"identity": IDENTITY, "versions": {"mediaconv": "0.1.0"}, "place": "process 7"}
    return _encoded(Row(name, "done", files, **{**known, **keys}))


def by_json(line: bytes) -> tuple[str, tuple[str, ...], int]:
    """What is kept of a row, of the values that Python's JSON reads."""
    content = json.loads(line)
    identity, files = content["identity"], content["outputs"]
    common = run_mark(identity["config"], identity["weights"], identity["code"])
    known = mark(
        common,
        identity["size"],
        identity["time"],
        [file["bytes"] for file in files],
        [file["time"] for file in files],
    )
    skip = len(content["input"]) + 1
    return content["input"], tuple(file["path"][skip:] for file in files), known


ROWS = (
    row("000/000001.png"),
    row("Käse/日本.png", 1, seconds=12.25, media_seconds=0.5, input_shape=[3, 64, 64], notes=["a", "b"]),
    row("a b", 0, output_shape=[], clipped=12, attempts=3, versions={}),
    row("c", MOST_OUTPUTS, identity={**IDENTITY, "weights": HASH * 2, "code": "0.1.0 volumes-1.2"}),
)


@pytest.mark.parametrize("line", ROWS)
def test_a_row_that_the_program_writes_is_read_without_json(line: bytes) -> None:
    assert read_written(line) == by_json(line)


def test_so_are_the_rows_of_a_run(tmp_path: Path) -> None:
    images(tmp_path / "in", 3)
    run(tmp_path / "in", tmp_path / "out")
    lines = (tmp_path / "out" / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    assert [read_written(line) for line in lines] == [by_json(line) for line in lines]
    found = read_manifest(tmp_path / "out")
    assert [found.fingerprint(name) for name in found] == [by_json(line)[1:] for line in lines]


@pytest.mark.parametrize(
    "line",
    [
        row('quoted".png'),
        row("a\\b"),
        row("line\n"),
        row("../a"),
        row("/a"),
        row("a", MOST_OUTPUTS + 1),
        row("a", identity={**IDENTITY, "time": HASH}),
        row("a", identity={}),
        row("a").replace(b"done", b"failed"),
        row("a").replace(b"a/channel_1", b"b/channel_1"),
        row("a").replace(b"a/channel_1", b"a/b/channel_1"),
        row("a").replace(b": 6,", b": 06,"),
        row("a").replace(b"process 7", b"process \xff"),
        row("a")[:-1],
        b"{}\n",
    ],
)
def test_any_other_row_is_left_to_json(line: bytes) -> None:
    assert read_written(line) is None


def test_an_output_beside_its_folder_is_refused(tmp_path: Path) -> None:
    line = row("a").replace(b"a/channel_1.png", b"a/..")
    (tmp_path / "manifest.jsonl").write_bytes(line)
    with pytest.raises(UsageError, match="a path that leaves its input's folder"):
        read_manifest(tmp_path)


def test_what_is_read_without_json_is_a_row_for_json_too() -> None:
    """Bytes of rows put in others' places, cut, doubled and changed; most are no rows any more."""
    rng = random.Random(0)
    signs, taken = b'0129.-eE"\\,:{}[]/ \n\x00\x7f\xc3\xa9nulafch', 0
    for _ in range(40_000):
        line = bytearray(rng.choice(ROWS[:3]))
        for _ in range(rng.choice((1, 1, 2, 3))):
            at, length = rng.randrange(len(line)), rng.randrange(4)
            new = bytes(rng.choices(signs, k=rng.randrange(3))) if rng.random() < 0.7 else line[at:][:20]
            line[at : at + length] = new
        read = read_written(bytes(line))
        if read is not None:
            taken += 1
            assert decoded([(1, 0, bytes(line))], Path())[0]["input"] == read[0]
            assert read == by_json(bytes(line))
    assert taken > 500
