"""Which files are inputs and where their outputs go, before anything is read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from mediaconv.errors import UsageError
from mediaconv.pipeline import find
from mediaconv.run.jobs.plan import Job, make_plan
from tests.run.running import parsed, run
from tests.run.trees import images, outputs

STILLS = {"pipeline": "video", "read": {"sequence": True}}


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def plan(source: Path | str, output: Path | str, **keys: Any) -> list[Job]:
    config = parsed(source, output, **keys)
    return make_plan(config, find(config.pipeline))


def names(*given: Any, **keys: Any) -> list[str]:
    return [job.name for job in plan(*given, **keys)]


def test_a_folder_in_depth_sorted_without_hidden_files(tmp_path: Path) -> None:
    wanted = ["a/b/2.png", "a/b/с пробелом.png", "a/日本.PNG", "z.png"]
    touch(*(tmp_path / "in" / name for name in wanted))
    touch(*(tmp_path / "in" / name for name in (".h.png", ".d/x.png", "a/.e/x.png", "note.txt", "film.mp4")))
    jobs = plan(tmp_path / "in", tmp_path / "out")
    assert [job.name for job in jobs] == wanted
    assert [job.target for job in jobs] == [tmp_path / "out" / name for name in wanted]


def test_a_file_is_its_own_root_and_a_globs_fixed_part_is(tmp_path: Path) -> None:
    touch(
        tmp_path / "in/a/1.png", tmp_path / "in/b/2.png", tmp_path / "in/b/c/3.png", tmp_path / "in/b/.4.png"
    )
    assert names(tmp_path / "in/a/1.png", tmp_path / "out") == ["1.png"]
    assert names(f"{tmp_path}/in/*/*.png", tmp_path / "out") == ["a/1.png", "b/2.png"]
    assert names(f"{tmp_path}/in/**/*.png", tmp_path / "out") == ["a/1.png", "b/2.png", "b/c/3.png"]
    assert names(f"{tmp_path}/in/b*", tmp_path / "out") == ["b/2.png", "b/c/3.png"]


def test_include_and_exclude_match_names_and_paths(tmp_path: Path) -> None:
    touch(tmp_path / "in/a/1.png", tmp_path / "in/a/2.png", tmp_path / "in/b/1.png")
    assert names(tmp_path / "in", tmp_path / "out", include=["1.*"]) == ["a/1.png", "b/1.png"]
    assert names(tmp_path / "in", tmp_path / "out", include=["a/*"]) == ["a/1.png", "a/2.png"]
    assert names(tmp_path / "in", tmp_path / "out", include=["a/*"], exclude=["2*"]) == ["a/1.png"]
    with pytest.raises(
        UsageError, match=r"nothing for the pipeline image that .* \(3 files left out\); it takes"
    ):
        plan(tmp_path / "in", tmp_path / "out", exclude=["*"])


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "in/a/1.png", tmp_path / "else/2.png")
    os.symlink(tmp_path / "in", tmp_path / "in/a/loop")
    os.symlink(tmp_path / "else", tmp_path / "in/b")
    os.symlink(tmp_path / "else", tmp_path / "in/c")
    os.symlink(tmp_path / "in/a/1.png", tmp_path / "in/again.png")
    assert names(tmp_path / "in", tmp_path / "out") == ["a/1.png", "again.png", "b/2.png"]


def test_a_folder_keeps_its_own_name_beside_links_to_it(tmp_path: Path) -> None:
    touch(tmp_path / "in/m/n/1.png")
    os.symlink("m", tmp_path / "in/a")
    os.symlink("m/n", tmp_path / "in/b")
    assert names(tmp_path / "in", tmp_path / "out") == ["m/n/1.png"]


def test_what_has_no_end_is_no_input(tmp_path: Path) -> None:
    """A pipe, a device, a socket; a link to nothing is an input that fails."""
    touch(tmp_path / "in/a.png")
    os.mkfifo(tmp_path / "in/pipe.png")
    os.symlink("/dev/zero", tmp_path / "in/zero.png")
    os.symlink("nothing.png", tmp_path / "in/broken.png")
    for source in (tmp_path / "in", f"{tmp_path}/in/*.png"):
        assert names(source, tmp_path / "out") == ["a.png", "broken.png"]


def test_outputs_inside_the_input_are_no_inputs(tmp_path: Path) -> None:
    images(tmp_path / "in", 2)
    first = run(tmp_path / "in", tmp_path / "in/out")
    again = run(tmp_path / "in", tmp_path / "in/out")
    assert (first.files, again.files, again.skipped) == (2, 0, 2)


def test_outputs_of_other_runs_are_no_inputs_unless_they_are_named(tmp_path: Path) -> None:
    old = tmp_path / "in/old"
    touch(tmp_path / "in/a.png", old / "a.png/channel_0.png", old / "manifest.jsonl", old / "run.yaml")
    touch(tmp_path / "in/set/b.png", tmp_path / "in/set/manifest.jsonl")
    assert names(tmp_path / "in", tmp_path / "in/new") == ["a.png", "set/b.png"]
    assert names(old, tmp_path / "new") == ["a.png/channel_0.png"]
    assert names(f"{tmp_path}/in/*/*/channel_*.png", tmp_path / "new") == ["old/a.png/channel_0.png"]


def test_an_output_folder_that_holds_inputs_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "in/1.png", tmp_path / "in/a/b/2.png", tmp_path / "in/c/notes.txt")
    with pytest.raises(
        UsageError, match=r"output: .*in/a lies inside the input and holds inputs.*a/b/2\.png"
    ):
        plan(tmp_path / "in", tmp_path / "in/a")
    assert names(tmp_path / "in", tmp_path / "in/c") == ["1.png", "a/b/2.png"]
    assert names(tmp_path / "in/1.png", tmp_path / "in/a") == ["1.png"]


def test_outputs_never_lie_on_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "in/1.png")
    with pytest.raises(UsageError, match="which is a file"):
        plan(tmp_path / "in", tmp_path / "in")
    os.symlink(tmp_path / "in", tmp_path / "link")
    with pytest.raises(UsageError, match="which is a file"):
        plan(tmp_path / "in", tmp_path / "link")
    touch(tmp_path / "stills/a/1.png")
    with pytest.raises(UsageError, match="which is an input"):
        plan(tmp_path / "stills", tmp_path / "stills", **STILLS)


def test_missing_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        plan(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"it takes .*\.png"):
        plan(tmp_path / "empty", tmp_path / "out")


def test_folders_of_stills_never_share_an_output(tmp_path: Path) -> None:
    touch(tmp_path / "in/1.png", tmp_path / "in/a/1.png", tmp_path / "in/a/b/1.png")
    assert names(tmp_path / "in", tmp_path / "out", **STILLS) == ["a", "a/b", "in"]
    touch(tmp_path / "in/in/1.png")
    with pytest.raises(UsageError, match="same folder"):
        plan(tmp_path / "in", tmp_path / "out", **STILLS)


def test_a_sequence_in_a_folder_of_sequences_keeps_both_outputs(tmp_path: Path) -> None:
    for name in ("a", "a/b", "a/c"):
        images(tmp_path / "in" / name, 1)
    files = sorted((tmp_path / "in").rglob("*.png"))
    assert len(files) == 3
    run(tmp_path / "in", tmp_path / "out", **STILLS)
    expected = outputs(tmp_path / "out")
    assert len(expected) == 6
    from mediaconv.run.runner import Selection

    run(tmp_path / "in", tmp_path / "out", selection=Selection(overwrite=True), **STILLS)
    assert outputs(tmp_path / "out") == expected


@pytest.mark.parametrize(
    "name", ["画" * 83 + ".png", "a" * 251 + ".png", "новый\nстрока.png", "-x.png", "%s {0}.png"]
)
def test_names_of_every_kind(name: str, tmp_path: Path) -> None:
    (path,) = images(tmp_path / "in", 1)
    path.rename(tmp_path / "in" / name)
    assert run(tmp_path / "in", tmp_path / "out").files == 1
    assert set(outputs(tmp_path / "out")) == {f"{name}/channel_{c}.png" for c in (0, 1)}
    assert run(tmp_path / "in", tmp_path / "out").skipped == 1


def test_a_name_that_no_script_can_spell(tmp_path: Path) -> None:
    (path,) = images(tmp_path / "in", 1)
    strange = os.fsencode(tmp_path / "in") + b"/caf\xe9.png"
    os.rename(path, strange)
    assert run(tmp_path / "in", tmp_path / "out").files == 1
    assert run(tmp_path / "in", tmp_path / "out").skipped == 1


@pytest.mark.parametrize("name", ["manifest.jsonl", "run.yaml"])
def test_outputs_never_lie_where_a_run_keeps_its_own_files(name: str, tmp_path: Path) -> None:
    touch(tmp_path / "in/a.png", tmp_path / "in" / name / "b.png")
    with pytest.raises(UsageError, match=rf"outputs of .*b\.png would lie in .*, but {name} in the output"):
        plan(tmp_path / "in", tmp_path / "out")
    assert names(tmp_path / "in", tmp_path / "out", exclude=[f"{name}/*"]) == ["a.png"]
    touch(tmp_path / "in/deep" / name / "c.png")
    assert f"deep/{name}/c.png" in names(tmp_path / "in/", tmp_path / "out", include=["deep/*"])


def test_outputs_never_have_the_names_of_leftovers(tmp_path: Path) -> None:
    touch(tmp_path / "in/.a.part-1.png")
    with pytest.raises(UsageError, match="that of an unfinished output"):
        plan(tmp_path / "in/.a.part-1.png", tmp_path / "out")


def test_a_hidden_file_that_is_named_is_an_input_like_others(tmp_path: Path) -> None:
    (path,) = images(tmp_path / "in", 1)
    hidden = path.rename(path.with_name(".hidden.png"))
    assert run(hidden, tmp_path / "out").files == 1
    assert run(hidden, tmp_path / "out").skipped == 1


def test_a_job_travels_as_it_is() -> None:
    job = Job("a/b\udcff.png", Path("in/a/b\udcff.png"), Path("/out"), "s3://x", "s3://y", ("c",), "{stem}")
    assert job.target == Path("/out/a/b\udcff.png")  # which is kept, and does not travel
    there = pickle.loads(pickle.dumps(job))
    assert there == job
    assert (type(there.input), there.target) == (type(job.input), job.target)
    assert b"PosixPath" not in pickle.dumps(job)
