"""A comparison replaces what an earlier one wrote, and nothing else: not by name, not through links."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from mediaconv.compare.causal_pair import causal_pair
from mediaconv.compare.compare_sides import compare_sides
from mediaconv.compare.comparison import Comparison
from mediaconv.config import parse_config
from mediaconv.errors import UsageError
from mediaconv.filesystem import temporary_name
from mediaconv.pipeline import find
from mediaconv.web.csv_text import csv_text
from tests.run.test_ownership import tree
from tests.run.trees import unfinished

MARK = ".mediaconv.compare"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / "in" / name, np.linspace(-0.5, 0.5, 400), 8000)
    return tmp_path / "in"


def compared(source: Path, output: Path, channels: int = 2) -> Comparison:
    given = {
        "pipeline": "audio",
        "input": str(source),
        "output": str(output),
        "stack": [{"conv": {"out_channels": channels, "kernel_size": 3}}],
    }
    return compare_sides(causal_pair(parse_config(yaml.safe_dump(given))), find("audio"))


def refuses(source: Path, output: Path, named: Path) -> None:
    before = tree(output.parent)
    with pytest.raises(UsageError) as error:
        compared(source, output)
    assert str(named) in str(error.value)
    assert tree(output.parent) == before


def test_an_earlier_comparison_is_replaced_whole(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert compared(source, output, 3).exit_code == 0
    left = output / "a.wav" / temporary_name(Path("x"))
    left.mkdir()
    (output / "mine.txt").write_text("mine")
    (output / "a.wav/mine").mkdir()
    assert compared(source, output).exit_code == 0
    assert not (output / "a.wav/causal/channel_2.wav").exists()
    assert unfinished(output) == []
    assert (output / "mine.txt").read_text() == "mine"
    fresh = tmp_path / "fresh"
    compared(source, fresh)
    names = {path.relative_to(fresh) for path in fresh.rglob("*")}
    assert {path.relative_to(output) for path in output.rglob("*")} == names | {
        Path("mine.txt"),
        Path("a.wav/mine"),
    }


PLACES = ["compare.json", "report.html", "channels.csv", "summary.csv", "a.wav", "a.wav/report.html"]


@pytest.mark.parametrize("place", [*PLACES, "a.wav/causal/channel_0.wav", "a.wav/causal", MARK])
@pytest.mark.parametrize("kind", ["file", "link", "pipe"])
def test_what_is_not_a_comparisons_own_is_refused(
    kind: str, place: str, source: Path, tmp_path: Path
) -> None:
    output, path = tmp_path / "out", tmp_path / "out" / place
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/causal").mkdir()
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("mine")
    elif kind == "link":
        path.symlink_to(tmp_path / "mine")
    else:
        os.mkfifo(path)
    refuses(source, output, path)


def test_notes_among_the_files_of_a_comparison_are_refused(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    compared(source, output)
    (output / "a.wav/causal/notes.txt").write_text("mine")
    refuses(source, output, output / "a.wav/causal/notes.txt")


def test_a_spreadsheet_computes_no_files_name() -> None:
    names = ["=1+1.png", "+x", "-x", "@x", "\tx", "a=b", "'x"]
    text = csv_text([{"file": name, "number": -1.5} for name in names], ["file", "number"])
    cells = [row[0] for row in csv.reader(io.StringIO(text))][1:]
    assert cells == ["'=1+1.png", "'+x", "'-x", "'@x", "'\tx", "a=b", "'x"]
    assert {row[1] for row in csv.reader(io.StringIO(text))} == {"number", "-1.5"}
