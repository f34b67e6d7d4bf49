"""Whatever a user has where a run would write stays as it was: the run refuses and names it, or works around.

And whatever lies under the run's own names (links, pipes, devices, huge files) neither leads elsewhere nor
holds anything up.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mediaconv.config import dump, load_config
from mediaconv.errors import UsageError
from mediaconv.run.jobs.dry_run import forecast
from mediaconv.run.jobs.rehearsal import rehearse
from mediaconv.run.output.lock import NAME as LOCK
from mediaconv.run.resume.status import read_status
from mediaconv.run.runner import Selection, run_folder
from tests.run.running import parsed, rows, run
from tests.run.trees import images, outputs, unfinished

AGAIN = Selection(overwrite=True)
OWN_FILES = ["manifest.jsonl", "run.yaml", LOCK]


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Nothing here may wait for a pipe that nobody opens."""

    def ring(*given: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    images(tmp_path / "in", 2)  # a/eins000.png and a/b/dos001.png
    return tmp_path / "in"


def tree(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: bytes of files, where links lead, what else there is."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_bytes() if path.stat().st_size < 1 << 20 else "huge"
        else:
            found[name] = oct(path.stat().st_mode)
    return found


def assert_refused(source: Path, output: Path, named: Path, selection: Selection | None = None) -> None:
    """The run and its rehearsal end with the file's name, and nothing at all is changed."""
    before = tree(output.parent)
    for act in (
        lambda: run(source, output, selection=selection),
        lambda: forecast(parsed(source, output), selection or Selection()),
    ):
        with pytest.raises(UsageError) as error:
            act()
        assert error.value.exit_code == 2
        assert str(named) in str(error.value)
        assert "\n" not in str(error.value)
        after = tree(output.parent)
        assert after == before


def test_a_first_run_refuses_a_users_folder_that_is_called_as_an_input(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stills = tmp_path / "elsewhere/Documents"
    images(stills, 1)[0].rename(stills / "0.png")
    (stills / "a").rmdir()
    (home / "Documents").mkdir(parents=True)
    (home / "Documents/diary.txt").write_text("mine")
    keys = {"pipeline": "video", "read": {"sequence": True}}
    before = tree(home)
    with pytest.raises(UsageError, match=r"home/Documents/diary\.txt is in the way"):
        run(str(stills / "*.png"), home, **keys)
    with pytest.raises(UsageError, match=r"home/Documents/diary\.txt is in the way"):
        run(stills.parent, home, **keys)
    assert tree(home) == before


@pytest.mark.parametrize("name", ["notes.txt", "channel_9.png", "channel_0.jpg"])
def test_what_was_laid_among_outputs_stays(name: str, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(source, output)
    mine = output / "a/eins000.png" / name
    mine.write_text("mine")
    assert run(source, output).skipped == 2  # it is in nobody's way
    assert_refused(source, output, mine, AGAIN)


def test_outputs_of_the_runs_rows_are_replaced_and_a_dry_run_says_which(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(source, output, stack=[{"conv": {"out_channels": 3, "kernel_size": 3}}])
    (output / "a/eins000.png/.DS_Store").write_text("hidden")
    (output / "a/eins000.png/notes").mkdir()
    (output / "a/eins000.png/notes/x.txt").write_text("mine")
    found = forecast(parsed(source, output))
    names = ["channel_0.png", "channel_1.png", "channel_2.png"]
    assert [job["replaces"] for job in found.as_json()["run"]] == [names, names]
    assert sum("replaces channel_0.png, channel_1.png, channel_2.png" in line for line in found.lines()) == 2
    assert run(source, output).files == 2
    folder = output / "a/eins000.png"
    assert sorted(os.listdir(folder)) == [".DS_Store", "channel_0.png", "channel_1.png", "notes"]
    assert (folder / "notes/x.txt").read_text() == "mine"
    assert len(list((output / "a/b/dos001.png").iterdir())) == 2


def test_outputs_stay_the_runs_own_after_a_failure(source: Path, tmp_path: Path) -> None:
    output, path = tmp_path / "out", source / "a/eins000.png"
    run(source, output)
    good = path.read_bytes()
    path.write_bytes(b"broken")
    assert len(run(source, output).failures) == 1
    path.write_bytes(good + b"\0")
    assert run(source, output).files == 1


@pytest.mark.parametrize(
    "text", ['{"input": "x", "label": 3}', "[]", "mine", '{"input": "a"}\n', "mine\n", "\0" * 99]
)
def test_anothers_manifest_stays(text: str, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "manifest.jsonl").write_text(text)
    assert_refused(source, output, output / "manifest.jsonl")


def test_anothers_run_yaml_stays_and_so_does_the_configuration_itself(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    given = {"pipeline": "image", "input": str(source), "output": str(output), "stack": ["relu"]}
    config = output / "run.yaml"
    config.write_text("# my own words\n" + yaml.safe_dump(given))
    with pytest.raises(UsageError, match=r"out/run\.yaml is in the way"):
        run_folder(load_config(config))
    assert_refused(source, output, config)
    with pytest.raises(UsageError, match=r"out/run\.yaml is in the way"):
        read_status(output)


def test_a_run_yaml_that_was_changed_by_hand_stays(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(source, output)
    with (output / "run.yaml").open("a") as file:
        file.write("# a thought\n")
    assert_refused(source, output, output / "run.yaml", AGAIN)


def test_a_folder_of_the_version_before_is_resumed(source: Path, tmp_path: Path) -> None:
    """Version 0.1.0 wrote run.yaml without a mark, and the same rows."""
    output = tmp_path / "out"
    run(source, output)
    path = output / "run.yaml"
    path.write_text(path.read_text().partition("\n")[2])
    assert path.read_text() == dump.dump_config(load_config(path))
    assert read_status(output).counts["done"] == 2
    assert run(source, output).skipped == 2
    assert run(source, output, selection=AGAIN).files == 2


NAMES = [
    ".particle-data", ".parts", ".x.part", ".run.yaml.part", ".x.png.part-01234567-89abcdef",
    ".x.png.part-0123456789abcdef", ".mediaconv.lock.part",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_hidden_folders_that_only_look_like_the_runs_own_stay(
    name: str, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(source, output)
    for folder in (output, output / "a", output / "a/eins000.png"):
        (folder / name).mkdir()
        (folder / name / "x").write_text("mine")
    run(source, output)
    run(source, output, selection=AGAIN)
    for folder in (output, output / "a", output / "a/eins000.png"):
        assert (folder / name / "x").read_text() == "mine"


def link_to_file(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere)


def link_to_nothing(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere.with_name("nothing"))


def pipe(path: Path, elsewhere: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, elsewhere: Path) -> None:
    path.mkdir()


def huge(path: Path, elsewhere: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 42)


SPECIAL = [link_to_file, link_to_nothing, pipe, folder, huge]


@pytest.mark.parametrize("make", SPECIAL)
@pytest.mark.parametrize("name", OWN_FILES)
@pytest.mark.parametrize("there", [False, True])
def test_special_files_under_the_runs_own_names(
    there: bool, name: str, make: Callable, source: Path, tmp_path: Path
) -> None:
    output, elsewhere = tmp_path / "out", tmp_path / "mine.txt"
    elsewhere.write_text("1 on nowhere\n")
    output.mkdir()
    if there:
        run(source, output)
        (output / name).unlink(missing_ok=True)
    make(output / name, elsewhere)
    assert_refused(source, output, output / name, AGAIN)
    if name != LOCK and there:
        with pytest.raises(UsageError, match="is in the way"):
            read_status(output)


def test_anothers_lock_file_stays(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).write_text("my own\n")
    assert_refused(source, tmp_path / "out", tmp_path / "out" / LOCK)


@pytest.mark.parametrize("make", SPECIAL[:3])
@pytest.mark.parametrize("place", ["a", "a/eins000.png", "a/eins000.png/channel_0.png"])
def test_special_files_in_the_place_of_outputs(
    place: str, make: Callable, source: Path, tmp_path: Path
) -> None:
    """Also on the way to an output: a linked folder would lead the run elsewhere."""
    output, elsewhere = tmp_path / "out", tmp_path / "mine"
    elsewhere.mkdir()
    (elsewhere / "eins000.png").mkdir()
    run(source, output)
    moved = output / place
    moved.rename(tmp_path / "moved")
    make(moved, elsewhere)
    assert_refused(source, output, moved, AGAIN)
    assert sum(read_status(output).counts.values()) == 2
    assert tree(elsewhere) == {"eins000.png": "0o40755"}


def test_a_huge_file_in_the_place_of_an_output_or_of_weights_is_not_read(
    source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(source, output)
    path = output / "a/eins000.png/channel_0.png"
    os.truncate(path, 1 << 40)
    manifest = output / "manifest.jsonl"
    found = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in found:  # a stranger's row that asks for it
        for file in row["outputs"]:
            file["bytes"] = (output / file["path"]).stat().st_size
    manifest.write_text("".join(json.dumps(row) + "\n" for row in found))
    assert read_status(output).missing == {"a/eins000.png": "outputs changed"}
    assert run(source, output).files == 1
    assert path.stat().st_size < 1 << 20
    weights = tmp_path / "w.safetensors"
    weights.touch()
    os.truncate(weights, 1 << 40)
    for act in (run, lambda *given, **keys: rehearse(parsed(*given, **keys))):
        with pytest.raises(UsageError, match=r"w\.safetensors"):
            act(source, output, weights=str(weights))
    weights.unlink()
    os.mkfifo(weights)
    for act in (run, lambda *given, **keys: rehearse(parsed(*given, **keys))):
        with pytest.raises(UsageError, match=r"w\.safetensors"):
            act(source, output, weights=str(weights))


def test_an_input_that_becomes_a_pipe_fails_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediaconv.run import runner

    claimed = runner.with_replacements

    def become(*given: object) -> object:
        found = claimed(*given)  # type: ignore[arg-type]
        (source / "a/eins000.png").unlink()
        os.mkfifo(source / "a/eins000.png")
        return found

    monkeypatch.setattr(runner, "with_replacements", become)
    summary = run(source, tmp_path / "out")
    assert summary.files == 1
    assert [(f["input"], f["stage"]) for f in summary.failures] == [("a/eins000.png", "read")]
    assert "is a pipe" in summary.failures[0]["reason"]
    monkeypatch.undo()
    assert read_status(tmp_path / "out").counts["done"] == 1


BAD_ROWS = [
    {"input": "/etc/passwd"},
    {"input": "../x"},
    {"input": "a/../../x"},
    {"input": 5},
    {"outputs": [{"path": "/etc/passwd", "bytes": 1, "sha256": "", "time": 1}]},
    {"outputs": [{"path": "../mine", "bytes": 1, "sha256": "", "time": 1}]},
    {"outputs": [{"path": "a/b/dos001.png/channel_0.png", "bytes": 1, "sha256": "", "time": 1}]},
    {"outputs": [{"path": "a/eins000.png/../mine", "bytes": 1, "sha256": "", "time": 1}]},
    {"outputs": [{"path": "a/eins000.png/x"}]},
    {"outputs": "many"},
    {"outputs": [7]},
    {"identity": []},
    {"identity": {"size": "9"}},
    {"status": "fine"},
    {"attempts": "x"},
    {"versions": 3},
]


@pytest.mark.parametrize("change", BAD_ROWS)
def test_a_damaged_row_is_one_line_with_its_number(change: dict, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(source, output)
    good = rows(output)["a/eins000.png"]
    with (output / "manifest.jsonl").open("a") as file:
        file.write(json.dumps({**good, **change}) + "\n")
    assert_refused(source, output, Path(f"{output}/manifest.jsonl:3: not a row of a manifest"))
    with pytest.raises(UsageError, match=r"manifest\.jsonl:3: not a row"):
        read_status(output)


def test_deep_nonsense_in_a_row_is_one_line_too(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(source, output)
    with (output / "manifest.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n")
    with pytest.raises(UsageError, match=r"manifest\.jsonl:3: not a row"):
        read_status(output)


def test_outputs_of_a_killed_run_without_a_row_are_its_own(source: Path, tmp_path: Path) -> None:
    """What the lock file that it left names, and nothing else."""
    output = tmp_path / "out"
    run(source, output)
    expected = outputs(output)
    lines = (output / "manifest.jsonl").read_text().splitlines(keepends=True)
    (output / "manifest.jsonl").write_text(lines[0])
    name = json.loads(lines[1])["input"]
    assert_refused(source, output, output / name)
    (output / LOCK).write_text(f"{os.getpid()} on {os.uname().nodename}\n{json.dumps(name)}\n")
    assert forecast(parsed(source, output)).as_json()["run"][0]["replaces"]
    (output / name / "notes.txt").write_text("mine")
    assert_refused(source, output, output / name / "notes.txt")
    (output / name / "notes.txt").unlink()
    assert run(source, output).files == 1
    assert outputs(output) == expected
    assert not (output / LOCK).exists()


def test_outputs_without_a_row_of_an_input_that_is_left_out_are_removed(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(source, output)
    lines = (output / "manifest.jsonl").read_text().splitlines(keepends=True)
    (output / "manifest.jsonl").write_text(lines[0])
    kept, lost = (json.loads(line)["input"] for line in lines)
    (output / LOCK).write_text(f'1 on nowhere\n{json.dumps(lost)}\n"../mine"\n"/etc"\n"torn')
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/channel_0.png").write_text("mine")
    assert run(source, output, include=[kept]).skipped == 1
    assert {name.rsplit("/", 1)[0] for name in outputs(output)} == {kept}
    assert (tmp_path / "mine/channel_0.png").read_text() == "mine"


def test_a_run_that_cannot_write_a_row_leaves_its_claim(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediaconv.errors import WriteError
    from mediaconv.run.resume.manifest import Manifest

    def full(self: Manifest, row: object) -> None:
        raise WriteError("no room")

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "add", full)
        assert run(source, output).stopped == "no room"
    assert len(outputs(output)) == 4  # of both: they are put in place together
    assert run(source, output).files == 2
    assert not (output / LOCK).exists()
    assert unfinished(output) == []
