"""Folders of many inputs: what a run holds of each, and lists that are made on demand."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from benchmarks.finished import Links, finished_tree
from mediaconv.lazy_lists import PathList, Picked, suffix_of
from mediaconv.run.runner import survey_run

NAMES = ["a.png", "b/c.PNG", "b/.png", "..png", "d.", "e.f/g", "h.tar.gz", ".hidden.wav", "i..", "ö.Wav"]


def test_a_finished_file_takes_less_than_300_bytes(tmp_path: Path) -> None:
    """Paths and jobs as objects took 800 bytes."""
    few, many = (_held(tmp_path / f"{count}", count) for count in (100, 2_100))
    assert (many - few) / 2_000 < 300


def _held(folder: Path, count: int) -> int:
    (folder / "files").mkdir(parents=True)
    config = finished_tree(folder, count, Links(folder / "files"))
    survey_run(config)  # what the first call loads for good
    tracemalloc.start()
    surveyed = survey_run(config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(surveyed.skipped) == count
    assert not surveyed.todo
    return peak


@pytest.mark.parametrize("prefix", ["", "in/", "/deep/er/"])
def test_a_path_list_is_the_list_of_its_paths(prefix: str) -> None:
    """As `pathlib` makes them."""
    expected = [Path(prefix + name) for name in NAMES]
    paths = PathList.of([str(path) for path in expected], prefix)
    assert paths == expected
    assert expected == paths
    assert paths.names == [str(path)[len(prefix) :] for path in expected]
    assert [*paths.texts()] == [*map(str, expected)]
    assert [paths[0], paths[-1], *paths[2:5]] == [expected[0], expected[-1], *expected[2:5]]
    with pytest.raises(IndexError):
        paths[len(expected)]


def test_a_path_beside_the_prefix_is_kept_whole() -> None:
    """Where a listing's root does not tell where a file lies."""
    texts = ["in/a.png", "other/b.png"]
    assert [*PathList.of(texts, "in/")] == [*map(Path, texts)]


def test_suffixes_are_those_of_pathlib() -> None:
    """Also of hidden names, and of names that end with a dot."""
    for name in NAMES:
        assert suffix_of(name) == Path(name).suffix.lower(), name
    paths = PathList("in/", NAMES)
    assert paths.with_suffixes({".png", ".wav"}) == [
        path
        for path in map(Path, (f"in/{name}" for name in NAMES))
        if path.suffix.lower() in (".png", ".wav")
    ]
    assert paths.with_suffixes({suffix_of(name) for name in NAMES}) is paths


def test_picked_items_are_those_of_their_places() -> None:
    """In the order in which they are added."""
    picked = Picked("abcdef")
    for place in (1, 3, 5):
        picked.add(place)
    assert picked == ["b", "d", "f"]
    assert (len(picked), picked[-1], picked[:2]) == (3, "f", ["b", "d"])


def test_leftovers_are_found_beside_an_input_that_is_gone(tmp_path: Path) -> None:
    """Of a row whose input is not looked for any more nothing is known, so its folder is searched."""
    (tmp_path / "files").mkdir()
    config = finished_tree(tmp_path, 3, Links(tmp_path / "files"))
    assert all(f"000/00000{i}.png" in survey_run(config).closed for i in range(3))
    os.unlink(tmp_path / "many/000/000001.png")
    closed = survey_run(config).closed
    assert ["000/000000.png" in closed, "000/000001.png" in closed, "new.png" in closed] == [
        True,
        False,
        False,
    ]
