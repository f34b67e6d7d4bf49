"""Inputs and outputs by URL: fsspec's memory and local file systems, compared with plain paths."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile

from mediaconv.errors import UsageError
from mediaconv.filesystem import temporary_name
from mediaconv.pipeline import find
from mediaconv.run.jobs.discover import discover
from mediaconv.run.jobs.dry_run import forecast
from mediaconv.run.jobs.perform import Performer
from mediaconv.run.jobs.rehearsal import rehearse
from mediaconv.run.resume.status import read_status
from mediaconv.run.runner import run_folder
from tests.run.fakes import Slow
from tests.run.running import parsed, rows, run
from tests.run.trees import images, outputs, unfinished

COUNT = 5


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's store in this process, empty."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


@pytest.fixture
def plain(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder of images and what a run over plain paths makes of them."""
    images(tmp_path / "in", COUNT)
    run(tmp_path / "in", tmp_path / "plain")
    return tmp_path / "in", outputs(tmp_path / "plain")


def test_memory_to_memory(memory: Any, plain: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    source, expected = plain
    memory.put(f"{source}/", "/bucket/in/", recursive=True)
    where = ("memory://bucket/in", "memory://bucket/out")
    assert run(*where).files == COUNT
    memory.get("/bucket/out/", f"{tmp_path}/back/", recursive=True)
    assert outputs(tmp_path / "back") == expected
    assert len(rows(tmp_path / "back")) == COUNT
    assert (tmp_path / "back" / "run.yaml").read_text().count("memory://bucket/") == 2
    assert unfinished(tmp_path / "back") == []
    assert (run(*where).skipped, run(*where, executor="auto").files) == (COUNT, 0)
    assert len(read_status(where[1]).done) == COUNT
    assert forecast(parsed(*where, seed=1)).survey.todo[0][1] == "configuration changed"


def test_memory_resumes_what_is_missing_and_changed(memory: Any, plain: tuple[Path, dict[str, str]]) -> None:
    source, _ = plain
    memory.put(f"{source}/", "/in/", recursive=True)
    where = ("memory://in", "memory://out")
    run(*where)
    names = sorted(rows_in(memory))
    memory.rm(f"/out/{names[0]}/channel_1.png")
    memory.pipe(f"/in/{names[1]}", memory.cat(f"/in/{names[2]}"))
    memory.pipe(f"/in/{names[3]}", b"no image")
    memory.pipe(f"/out/a/{temporary_name(Path('x.png'))}/channel_0.png", b"half")
    summary = run(*where)
    assert (summary.files, summary.skipped) == (2, COUNT - 3)
    (failure,) = summary.failures
    assert (failure["input"], failure["stage"]) == (names[3], "read")
    assert failure["reason"].startswith(f"memory:///in/{names[3]}: ")
    assert not [path for path in memory.find("/out") if ".part" in path]
    assert memory.cat(f"/out/{names[1]}/channel_0.png") == memory.cat(f"/out/{names[2]}/channel_0.png")


def rows_in(memory: Any) -> list[str]:
    import json

    return [json.loads(line)["input"] for line in memory.cat("/out/manifest.jsonl").splitlines()]


@pytest.mark.parametrize("which", ["input", "output", "both"])
def test_local_files_by_url_in_processes(
    which: str, plain: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    source, expected = plain
    output = tmp_path / "out"
    given = (
        f"file://{source}" if which != "output" else source,
        f"file://{output}" if which != "input" else output,
    )
    assert run(*given, executor="process", workers=1).files == COUNT
    assert outputs(output) == expected
    assert unfinished(output) == []
    assert run(*given).skipped == COUNT


def test_globs_single_files_and_nothing(memory: Any, plain: tuple[Path, dict[str, str]]) -> None:
    source, _ = plain
    memory.put(f"{source}/", "/in/", recursive=True)
    memory.pipe("/in/a/.hidden.png", b"hidden")
    below = [path for path in memory.find("/in/a") if "hidden" not in path]
    assert run("memory://in/a/*.png", "memory://out1").files == sum(p.count("/") == 3 for p in below)
    assert run("memory://in/a", "memory://out2").files == len(below)
    assert run(f"memory:/{below[0]}", "memory://out3").files == 1
    with pytest.raises(UsageError, match="memory://nowhere does not exist"):
        run("memory://nowhere", "memory://out4")
    with pytest.raises(UsageError, match="executor: serial"):
        run("memory://in", "memory://out5", executor="process")
    with pytest.raises(UsageError, match=r"timeout_seconds: .*; leave it out"):
        run("memory://in", "memory://out5", timeout_seconds=5)
    with pytest.raises(UsageError, match="cannot be opened by fsspec"):
        run("nosuch://in", "memory://out6")


def test_outputs_inside_the_input_are_no_inputs(memory: Any, plain: tuple[Path, dict[str, str]]) -> None:
    source, _ = plain
    memory.put(f"{source}/", "/in/", recursive=True)
    assert run("memory://in", "memory://in/out").files == COUNT
    assert run("memory://in", "memory://in/out").skipped == COUNT


@pytest.mark.long
def test_a_killed_job_leaves_nothing_on_the_storage(
    plain: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """A job that is ended while it waits with its input at hand."""
    source, _ = plain
    config = parsed(
        f"file://{source}", f"file://{tmp_path}/out", executor="process", workers=1, timeout_seconds=0.3
    )
    summary = run_folder(config, make=Slow(functools.partial(Performer, config), 1.0))
    assert len(summary.failures) == COUNT
    assert outputs(tmp_path / "out") == {}
    assert sorted(os.listdir(tmp_path / "out")) == ["manifest.jsonl", "run.yaml"]


@pytest.mark.parametrize("cache", ["", "simplecache::"])
def test_chains_of_an_archive_and_a_cache_are_read_as_the_files_are(
    cache: str, plain: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    source, expected = plain
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", source)
    inside = sorted(name for name in rows(tmp_path / "plain"))
    assert run(f"{cache}zip://::file://{archive}", tmp_path / "out").failures == []
    assert outputs(tmp_path / "out") == expected
    assert run(f"{cache}zip://::file://{archive}", tmp_path / "out").skipped == COUNT
    assert run(f"{cache}zip://{inside[0]}::file://{archive}", tmp_path / "one").files == 1
    assert list(rows(tmp_path / "one")) == [inside[0].rpartition("/")[2]]


def test_a_cache_before_a_store(memory: Any, plain: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    source, expected = plain
    memory.put(f"{source}/", "/in/", recursive=True)
    assert run("simplecache::memory://in", tmp_path / "out").files == COUNT
    assert outputs(tmp_path / "out") == expected


def test_an_archive_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    for name in ("x.zip", "nowhere.zip"):
        with pytest.raises(UsageError, match=rf"zip://::{tmp_path}/{name} cannot be listed: "):
            run(f"zip://::{tmp_path}/{name}", tmp_path / "out")


def test_keys_that_are_no_paths_are_left_out_and_told(
    memory: Any, plain: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    source, _ = plain
    data = next(source.rglob("*.png")).read_bytes()
    bad = ["/in//a.png", "/in/b//c.png", "/in/../../d.png", "/in/./e.png"]
    for key in [*bad, "/in/b/c.png"]:
        memory.store[key] = MemoryFile(memory, key, data)
    config = parsed("memory://in", tmp_path / "out")
    left = {entry.path for entry in discover(config, find("image")).left_out if entry.lost}
    assert left == {f"memory://{key}" for key in bad}
    assert run("memory://in", tmp_path / "out").files == 1
    assert set(outputs(tmp_path / "out")) == {"b/c.png/channel_0.png", "b/c.png/channel_1.png"}


def test_validation_knows_urls(memory: Any, plain: tuple[Path, dict[str, str]]) -> None:
    source, _ = plain
    memory.put(f"{source}/", "/in/", recursive=True)
    (line,) = rehearse(parsed("memory://in", "memory://out")).unchecked
    assert re.search(r"memory:///in/\S+\.png is not fetched", line)
    (line,) = rehearse(parsed("memory://nowhere", "memory://out")).unchecked
    assert "memory://nowhere does not exist" in line
    for where in (("nosuch://in", "memory://out"), ("memory://in", "nosuch://out")):
        with pytest.raises(UsageError, match=r"nosuch://\w+: cannot be opened by fsspec"):
            rehearse(parsed(*where))
