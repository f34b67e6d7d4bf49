"""What a search for inputs leaves out, and that a dry run says why of each."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mediaconv.errors import UsageError
from mediaconv.pipeline import find
from mediaconv.run.jobs import folder_search as discovering
from mediaconv.run.jobs.discover import discover, first_file
from mediaconv.run.jobs.dry_run import forecast
from mediaconv.run.jobs.folder_search import FolderSearch
from mediaconv.run.runner import Selection
from tests.run.running import parsed, run
from tests.run.trees import images


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def left_out(source: Path | str, output: Path | str, **keys: Any) -> dict[str, str]:
    config = parsed(source, output, **keys)
    found = discover(config, find(config.pipeline)).left_out
    assert len({entry.path for entry in found}) == len(found)
    assert [entry.path for entry in found] == sorted(entry.path for entry in found)
    return {entry.path: entry.reason for entry in found}


def test_a_folder_stands_for_its_first_file(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "a.txt", source / "b/2.png", source / "c.png", tmp_path / "none/a.txt")
    config = parsed(source, tmp_path / "out")
    pipeline = find(config.pipeline)
    assert first_file(config, pipeline, source) == source / "b/2.png"
    assert first_file(config, pipeline, source / "c.png") == source / "c.png"
    for empty in ("none", "missing"):
        with pytest.raises(UsageError, match=empty):
            first_file(config, pipeline, tmp_path / empty)


def test_everything_that_is_left_out_has_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "a/1.png", source / "a/draft_2.png", source / "b/3.png", source / "a/notes.txt")
    touch(source / "a/.h.png", source / ".git/x.png", source / "out/1.png/channel_0.png")
    touch(source / "old/x.png/channel_0.png", source / "old/manifest.jsonl", source / "old/run.yaml")
    os.mkfifo(source / "pipe.png")
    os.symlink("a", source / "again")
    os.symlink("..", source / "a/loop")
    assert left_out(source, source / "out", include=["a/*", "*.txt"], exclude=["draft*"]) == {
        f"{source}/.git/": "hidden",
        f"{source}/a/.h.png": "hidden",
        f"{source}/a/draft_2.png": "matches exclude 'draft*'",
        f"{source}/a/loop/": "a link to a folder that is searched under another name",
        f"{source}/a/notes.txt": "no input of the pipeline image",
        f"{source}/again/": "a link to a folder that is searched under another name",
        f"{source}/b/3.png": "matches no include pattern",
        f"{source}/old/": "outputs of another run",
        f"{source}/out/": "outputs of this run",
        f"{source}/pipe.png": "a pipe, a socket or a device",
    }


def test_outputs_of_runs_and_comparisons_are_no_inputs_unless_they_are_named(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "1.png", source / "old/1.png/channel_0.png", source / "old/manifest.jsonl")
    touch(source / "old/run.yaml", source / "c/1.png/causal/channel_0.png", source / "c/.mediaconv.compare")
    expected = {f"{source}/old/": "outputs of another run", f"{source}/c/": "outputs of a comparison"}
    for pattern in ("", "/*", "/**/*.png"):
        config = parsed(f"{source}{pattern}", tmp_path / "out")
        listing = discover(config, find(config.pipeline))
        assert listing.inputs == [source / "1.png"]
        assert {entry.path: entry.reason for entry in listing.left_out} == expected
    for named in ("old", "c/1.png", "c/1.png/**/*.png"):
        config = parsed(source / named, tmp_path / "out")
        assert [file.name for file in discover(config, find(config.pipeline)).inputs] == ["channel_0.png"]


def test_of_a_glob_too(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "a/1.png", source / "a/.h.png", source / "b.txt", source / ".c.png")
    os.mkfifo(source / "pipe.png")
    expected = {
        f"{source}/a/.h.png": "hidden",
        f"{source}/b.txt": "no input of the pipeline image",
        f"{source}/pipe.png": "a pipe, a socket or a device",
    }
    assert left_out(f"{source}/*", tmp_path / "out") == expected
    assert left_out(f"{source}/**", tmp_path / "out") == {**expected, f"{source}/.c.png": "hidden"}


@pytest.mark.parametrize(
    "pattern",
    ["*", "**", "**/*.png", "*/*", "a/**", "**/b/*", "*/../*", "a/b/*.png", "[ab]/**/1.png", ".*", "**/.*",
     "*/.h/*", "./*", "**/**", "link/*", "**/x*", "nothing/*", "a/1.png/*", "?", "[[]c]/*", "**/c/"],
)  # fmt: skip
def test_a_glob_matches_what_pythons_own_does(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(
        tmp_path / "a/1.png",
        tmp_path / "a/b/2.png",
        tmp_path / "a/b/c/x.txt",
        tmp_path / "b/1.png",
        tmp_path / "3",
    )
    touch(tmp_path / "a/.h/4.png", tmp_path / ".5.png", tmp_path / "[c]/6.png", tmp_path / "a/b/-1")
    os.symlink("a/b", tmp_path / "link")
    os.symlink("nothing", tmp_path / "dangling")
    monkeypatch.chdir(tmp_path)
    for root in ("", f"{tmp_path}/"):
        expected = {os.path.normpath(path) for path in glob.glob(root + pattern, recursive=True)}
        matches = FolderSearch(Path("out"))._matches("", Path(root + pattern).parts)
        assert {os.path.normpath(path) for path in matches} == expected
    assert expected or pattern in ("nothing/*", "a/1.png/*")


def test_a_glob_goes_round_no_circles(tmp_path: Path) -> None:
    touch(tmp_path / "in/a/1.png")
    os.symlink("..", tmp_path / "in/a/loop")
    os.symlink("self", tmp_path / "in/self")
    config = parsed(f"{tmp_path}/in/**/*.png", tmp_path / "out")
    found = discover(config, find("image")).inputs
    assert tmp_path / "in/a/1.png" in found
    assert len(found) < 5


def test_of_other_storage_too() -> None:
    store = fsspec.filesystem("memory")
    outputs = ("out/5.png/channel_0.png", "old/6.png/channel_0.png", "old/manifest.jsonl", "old/run.yaml")
    for name in ("a/1.png", "a/2.txt", ".h/3.png", "b/4.png", *outputs):
        store.pipe(f"/left/{name}", b"x")
    assert left_out("memory://left", "memory://left/out", exclude=["b/*"]) == {
        "memory:///left/.h/3.png": "hidden",
        "memory:///left/a/2.txt": "no input of the pipeline image",
        "memory:///left/b/4.png": "matches exclude 'b/*'",
        "memory:///left/old/": "outputs of another run",
        "memory:///left/out/": "outputs of this run",
    }


def test_stills_are_parts_of_their_sequence(tmp_path: Path) -> None:
    touch(
        tmp_path / "in/s/1.png", tmp_path / "in/s/2.png", tmp_path / "in/s/notes.txt", tmp_path / "in/f.mp4"
    )
    assert left_out(tmp_path / "in", tmp_path / "out", pipeline="video", read={"sequence": True}) == {
        f"{tmp_path}/in/f.mp4": "no input of the pipeline video",
        f"{tmp_path}/in/s/notes.txt": "no input of the pipeline video",
    }


@pytest.mark.parametrize("source", ["in", "in/**/*.png", "*/**", "i[n]", "in/*"])
def test_a_folder_that_cannot_be_read_is_told_by_every_run(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root all can be read, so the listing refuses."""
    images(tmp_path / "in", 2)
    touch(tmp_path / "in/lost+found/x.png")
    listed = os.scandir

    def refusing(path: str) -> Any:
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(discovering.os, "scandir", refusing)
    summary = run(f"{tmp_path}/{source}", tmp_path / "out")
    assert summary.files == 2
    assert f"note: {tmp_path}/in/lost+found/: cannot be read: Permission denied" in summary.lines()


def test_a_dry_run_lists_them_and_counts_many(tmp_path: Path) -> None:
    images(tmp_path / "in", 2)
    touch(*(tmp_path / f"in/{i:03}.txt" for i in range(50)), tmp_path / "in/.h.png")
    found = forecast(parsed(tmp_path / "in", tmp_path / "out"))
    lines = found.lines()
    assert f"{tmp_path}/in/.h.png: left out (hidden)" in lines
    foreign = [line for line in lines if "no input of the pipeline image" in line]
    assert foreign[0] == f"{tmp_path}/in/000.txt: left out (no input of the pipeline image)"
    assert foreign[20:] == ["  ... and 30 more left out (no input of the pipeline image), all with --json"]
    assert any(line.startswith("2 files to run, 0 skipped, 51 left out; about ") for line in lines)
    told = found.as_json()["left_out"]
    assert len(told) == 51
    assert {"input": f"{tmp_path}/in/049.txt", "reason": "no input of the pipeline image"} in told


def test_a_dry_run_of_retry_failed_says_what_it_leaves(tmp_path: Path) -> None:
    inputs = images(tmp_path / "in", 3)
    inputs[1].write_bytes(b"no image")
    run(tmp_path / "in", tmp_path / "out")
    found = forecast(parsed(tmp_path / "in", tmp_path / "out"), Selection(retry_failed=True)).as_json()
    assert [job["input"] for job in found["run"]] == [str(inputs[1])]
    assert {job["input"]: job["reason"] for job in found["skip"]} == {
        str(path): "did not fail: --retry-failed leaves it" for path in (inputs[0], inputs[2])
    }
