"""Files by name: regular ones, no links followed, whole or none, and names that bear the program's mark."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconv.errors import UsageError, WriteError
from mediaconv.file_mark import is_marked
from mediaconv.filesystem import (
    NotAFileError,
    bears_mark,
    exchange,
    make_folders,
    open_regular,
    temporary_name,
    write_file,
    write_made,
    write_whole,
)

NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=80
).filter(lambda name: name not in (".", ".."))  # no names of files


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


def test_a_file_is_written_anew_as_python_writes_it(tmp_path: Path) -> None:
    for name, write in (("ours", write_file), ("python's", Path.write_bytes)):
        for data in (b"longer before", b"", b"short", bytes(range(256)) * 1000):
            write(tmp_path / name, data)
            assert (tmp_path / name).read_bytes() == data
    assert os.stat(tmp_path / "ours").st_mode == os.stat(tmp_path / "python's").st_mode
    write_file(tmp_path / "view", np.arange(300, dtype=np.uint8).data)
    assert (tmp_path / "view").read_bytes() == bytes(n % 256 for n in range(300))


def test_folders_change_places_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "a/1").mkdir(parents=True)
    (tmp_path / "b/2").mkdir(parents=True)
    if exchange(tmp_path / "a", tmp_path / "b"):
        assert (tmp_path / "a/2").is_dir()
        assert (tmp_path / "b/1").is_dir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "c")


MADE = {
    ".html": b"<!doctype html><title>x</title>",
    ".svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    ".json": b'{"a": {"b": 1}}\n',
    ".pdf": b"%PDF-1.4\n%%EOF\n",
    ".mp4": b"\0\0\0\x08free",
}


@pytest.mark.parametrize("suffix", MADE)
def test_only_what_bears_the_mark_is_replaced(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"new/page{suffix}"
    write_made(path, MADE[suffix])
    first = path.read_bytes()
    write_made(path, MADE[suffix])
    assert path.read_bytes() == first
    for other in (b"mine", b"", first + b"mine", first.replace(MADE[suffix][:8], b"12345678"), first[:-90]):
        path.write_bytes(other)
        with pytest.raises(UsageError, match=r"page\.\w+ is in the way: .*, or give --overwrite") as error:
            write_made(path, MADE[suffix])
        assert error.value.exit_code == 2
        assert path.read_bytes() == other
        write_made(path, MADE[suffix], overwrite=True)
        assert path.read_bytes() == first
    path.unlink()
    (tmp_path / "mine").write_bytes(first)
    for make in (lambda: path.symlink_to(tmp_path / "mine"), lambda: os.mkfifo(path), path.mkdir):
        make()
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="is in the way"):
                write_made(path, MADE[suffix], overwrite=overwrite)
        path.rmdir() if path.is_dir() else path.unlink()
    assert (tmp_path / "mine").read_bytes() == first
    assert os.listdir(path.parent) == []


def test_what_comes_under_a_name_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fsync = tmp_path / "a.html", os.fsync

    def meanwhile(handle: int) -> None:
        path.write_bytes(b"mine")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(WriteError, match="File exists"):
        write_made(path, b"page")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.html", b"mine")]


def test_formats_hold_the_mark_where_their_readers_skip_it(tmp_path: Path) -> None:
    import onnx
    import torch

    picture = PIL.Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    for suffix in (".png", ".gif"):
        picture.save(tmp_path / f"plain{suffix}")
    graph = onnx.helper.make_graph([], "g", [], [])
    model = onnx.helper.make_model(graph)
    (tmp_path / "plain.onnx").write_bytes(model.SerializeToString())
    program = torch.export.export(torch.nn.Tanh(), (torch.zeros(3),))
    torch.export.save(program, tmp_path / "plain.pt2")
    for suffix in (".png", ".gif", ".onnx", ".pt2"):
        data = (tmp_path / f"plain{suffix}").read_bytes()
        for _ in range(2):
            write_made(tmp_path / f"a{suffix}", data)
        with open(tmp_path / f"a{suffix}", "rb") as file:
            assert is_marked(file)
    for suffix in (".png", ".gif"):
        with (
            PIL.Image.open(tmp_path / f"plain{suffix}") as plain,
            PIL.Image.open(tmp_path / f"a{suffix}") as a,
        ):
            assert np.array_equal(np.asarray(a.convert("RGB")), np.asarray(plain.convert("RGB")))
    read = onnx.load(tmp_path / "a.onnx")
    assert [p.key for p in read.metadata_props] == ["written_by"]
    assert read.graph == model.graph
    module = torch.export.load(tmp_path / "a.pt2").module()
    assert torch.equal(module(torch.ones(3)), torch.ones(3).tanh())


def test_what_a_killed_program_left_goes_with_the_next_and_work_of_others_stays(tmp_path: Path) -> None:
    target, other = tmp_path / "a.svg", tmp_path / "b.svg"
    left, of_other, at_work = (tmp_path / temporary_name(path) for path in (target, other, target))
    alike = tmp_path / f"{temporary_name(target)[:-1]}x"
    for path in (left, of_other, at_work, alike):
        path.write_bytes(b"half")
    with open(at_work, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as a program that writes it
        write_whole(target, b"whole")
    assert set(tmp_path.iterdir()) == {target, of_other, at_work, alike}
    write_whole(target, b"again")
    assert set(tmp_path.iterdir()) == {target, of_other, alike}
    assert target.read_bytes() == b"again"


def test_folders_that_cannot_all_be_made_leave_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        make_folders(tmp_path / "a" / "b" / ("c" * 300))
    assert list(tmp_path.iterdir()) == []
