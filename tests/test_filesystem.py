"""Files by name: regular ones, no links followed, whole or none, and names that bear the program's mark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconv.errors import UsageError
from mediaconv.filesystem import (
    NotAFileError,
    bears_mark,
    exchange,
    open_regular,
    temporary_name,
    write_made,
    write_whole,
)

NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=80
)


@given(NAMES, st.integers(0, 30), st.characters(whitelist_categories=["Ll", "Nd"]))
def test_only_names_that_were_made_bear_the_mark(name: str, place: int, letter: str) -> None:
    made = temporary_name(Path(name))
    assert bears_mark(made)
    assert bears_mark(made + "-input")
    assert len(os.fsencode(made)) < 200
    assert not bears_mark(name)
    changed = made[: -place - 1] + letter + made[len(made) - place :]
    assert changed == made or not bears_mark(changed)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("link", "a link"), ("pipe", "a pipe"), (".", "a folder")):
        with pytest.raises(NotAFileError, match=f"is {what}, not a regular file"):
            open_regular(tmp_path / name)
    for path in ("/dev/null", tmp_path / "pipe"):
        with pytest.raises(NotAFileError):
            open_regular(path, os.O_WRONLY, follow=True)
    os.close(open_regular(tmp_path / "link", follow=True))
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")


def test_a_file_is_written_whole_and_through_no_link(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    (tmp_path / "mine").write_bytes(b"mine")
    path.unlink()
    path.symlink_to("mine")
    with pytest.raises(NotAFileError):
        write_whole(path, b"three")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["mine", "x"]


def test_folders_change_places_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "a/1").mkdir(parents=True)
    (tmp_path / "b/2").mkdir(parents=True)
    if exchange(tmp_path / "a", tmp_path / "b"):
        assert (tmp_path / "a/2").is_dir()
        assert (tmp_path / "b/1").is_dir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "c")


def test_only_what_bears_the_mark_is_replaced(tmp_path: Path) -> None:
    mark, path = b"made by us", tmp_path / "new/page.html"
    write_made(path, b"one" + b"x" * 9000 + mark, mark)
    write_made(path, mark + b"two" + b"x" * 9000, mark)
    write_made(path, b"three" + mark, mark)
    assert path.read_bytes() == b"three" + mark
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is in the way") as error:
        write_made(path, mark, mark)
    assert error.value.exit_code == 2
    assert path.read_bytes() == b"mine"
    path.unlink()
    for make in (lambda: path.symlink_to("x"), lambda: os.mkfifo(path), path.mkdir):
        make()
        with pytest.raises(UsageError, match="is in the way"):
            write_made(path, mark, mark)
        path.rmdir() if path.is_dir() else path.unlink()
