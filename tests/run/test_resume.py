"""What is skipped, what is run again and why; and what the manifest then says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

import mediaconv
from mediaconv.config import load_config
from mediaconv.errors import UsageError, WriteError
from mediaconv.filesystem import temporary_name
from mediaconv.run.jobs.result import Outcome
from mediaconv.run.resume.fingerprint import mark, run_mark
from mediaconv.run.resume.manifest import Manifest, read_manifest
from mediaconv.run.resume.rows import Row, Rows
from mediaconv.run.resume.status import read_status
from mediaconv.run.runner import Selection, _Run, run_folder, survey_run
from tests.run.running import parsed, rows, run
from tests.run.trees import images, outputs, unfinished

COUNT = 5


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, Path, list[Path]]:
    """A finished run: input folder, output folder, inputs."""
    source, output = tmp_path / "in", tmp_path / "out"
    inputs = images(source, COUNT)
    summary = run(source, output)
    assert (summary.files, summary.channels, summary.skipped, summary.exit_code) == (COUNT, 2 * COUNT, 0, 0)
    return source, output, inputs


def reasons(source: Path, output: Path, **keys: object) -> dict[str, str]:
    return {job.name: reason for job, reason in survey_run(parsed(source, output, **keys)).todo}


def test_every_input_has_a_folder_and_a_row(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, inputs = done
    names = {path.relative_to(source).as_posix() for path in inputs}
    assert set(outputs(output)) == {f"{name}/channel_{c}.png" for name in names for c in (0, 1)}
    found = rows(output)
    assert set(found) == names
    for row in found.values():
        assert row["status"] == "done"
        assert row["stage"] is None
        assert (row["input_shape"], row["output_shape"]) == ([3, 16, 16], [2, 16, 16])
        assert row["versions"]["mediaconv"] == mediaconv.__version__
        for file in row["outputs"]:
            data = (output / file["path"]).read_bytes()
            assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_second_run_skips_all_and_leaves_every_byte(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, _ = done
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in output.rglob("*.png")}
    text = (output / "manifest.jsonl").read_bytes()
    summary = run(source, output)
    assert (summary.files, summary.skipped, summary.exit_code) == (0, COUNT, 0)
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in output.rglob("*.png")}
    assert (output / "manifest.jsonl").read_bytes() == text


def test_run_yaml_runs_again_as_it_stands(done: tuple[Path, Path, list[Path]], tmp_path: Path) -> None:
    _, output, _ = done
    resolved = load_config(output / "run.yaml")
    assert run_folder(resolved).skipped == COUNT
    other = tmp_path / "other"
    assert run_folder(load_config(output / "run.yaml", output=str(other))).files == COUNT
    assert outputs(other) == outputs(output)


def test_how_it_runs_changes_nothing(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, _ = done
    assert reasons(source, output, executor="process", workers=2, timeout_seconds=9, max_failures=3) == {}


def test_touched_inputs_are_compared_by_content_once(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, inputs = done
    os.utime(inputs[0], ns=(1, 1))
    assert run(source, output).skipped == COUNT
    name = inputs[0].relative_to(source).as_posix()
    assert rows(output)[name]["identity"]["time"] == 1
    assert rows(output)[name]["status"] == "done"


def test_changed_inputs_are_run_again(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, inputs = done
    shutil.copyfile(inputs[1], inputs[0])  # another content, of another size or the same
    name = inputs[0].relative_to(source).as_posix()
    assert reasons(source, output) == {name: "input changed"}
    summary = run(source, output)
    assert (summary.files, summary.skipped) == (1, COUNT - 1)
    other = inputs[1].relative_to(source)
    for c in (0, 1):
        file = f"channel_{c}.png"
        assert (output / name / file).read_bytes() == (output / other / file).read_bytes()


def test_new_inputs_and_missing_or_cut_outputs_are_run(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, inputs = done
    before = outputs(output)
    names = [path.relative_to(source).as_posix() for path in inputs]
    shutil.rmtree(output / names[0])
    (output / names[1] / "channel_1.png").unlink()
    os.truncate(output / names[2] / "channel_0.png", 20)
    assert reasons(source, output) == {
        names[0]: "outputs missing",
        names[1]: "outputs missing",
        names[2]: "outputs changed",
    }
    assert run(source, output).files == 3
    assert outputs(output) == before
    images(source / "more", 1)
    assert list(reasons(source, output).values()) == ["new"]


def test_outputs_damaged_at_the_same_size_are_found_and_copied_ones_are_not_run(
    done: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    source, output, inputs = done
    before = outputs(output)
    name = inputs[1].relative_to(source).as_posix()
    path = output / name / "channel_1.png"
    good = path.read_bytes()
    path.write_bytes(good[:-20] + bytes(20))
    assert read_status(output).missing == {name: "outputs changed"}
    assert run(source, output).files == 1
    assert outputs(output) == before
    copied = tmp_path / "copied"
    shutil.copytree(output, copied, copy_function=shutil.copyfile)  # all have another time
    assert run(source, copied).skipped == COUNT
    for row in rows(copied).values():
        assert all(file["time"] == (copied / file["path"]).stat().st_mtime_ns for file in row["outputs"])


def test_outputs_of_another_configuration_without_their_row_are_run_again(tmp_path: Path) -> None:
    """Killed between the outputs and their row: what lies there is whole, but the old row is not about it."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    soundfile.write(source / "a.wav", np.linspace(-0.5, 0.5, 500), 8000)
    sound = {"pipeline": "audio", "stack": [{"conv": {"out_channels": 1, "kernel_size": 3}}]}
    run(source, output, **sound, seed=1)
    before, row = outputs(output), (output / "manifest.jsonl").read_bytes()
    run(source, output, **sound, seed=2)
    (output / "manifest.jsonl").write_bytes(row)
    size = (output / "a.wav/channel_0.wav").stat().st_size
    assert (before != outputs(output), size) == (True, rows(output)["a.wav"]["outputs"][0]["bytes"])
    assert run(source, output, **sound, seed=1).files == 1
    assert outputs(output) == before


def test_changed_configuration_weights_and_version_are_run(
    done: tuple[Path, Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output, _ = done
    assert set(reasons(source, output, seed=1).values()) == {"configuration changed"}
    weights = tmp_path / "w.safetensors"
    tensors = {"0.weight": torch.zeros(2, 3, 3, 3), "0.bias": torch.zeros(2)}
    save_file(tensors, weights)
    assert set(reasons(source, output, weights=str(weights)).values()) == {"weights changed"}
    assert run(source, output, weights=str(weights)).files == COUNT
    moved = weights.rename(tmp_path / "v.safetensors")
    assert reasons(source, output, weights=str(moved)) == {}
    save_file({**tensors, "0.bias": torch.ones(2)}, moved)
    assert set(reasons(source, output, weights=str(moved)).values()) == {"weights changed"}
    monkeypatch.setattr(mediaconv, "__version__", "99")
    assert set(reasons(source, output).values()) == {"weights changed"}
    save_file(tensors, moved)
    assert set(reasons(source, output, weights=str(moved)).values()) == {"program's version changed"}


def test_overwrite_runs_all_with_the_same_bytes(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, _ = done
    before = outputs(output)
    assert run(source, output, selection=Selection(overwrite=True)).files == COUNT
    assert outputs(output) == before


def test_failures_are_rows_and_are_retried(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, inputs = done
    name = inputs[2].relative_to(source).as_posix()
    good = inputs[2].read_bytes()
    inputs[2].write_bytes(good[:40])
    images(source / "new", 1)
    summary = run(source, output)
    assert (summary.files, summary.skipped, summary.exit_code) == (1, COUNT - 1, 1)
    assert [failure["input"] for failure in summary.failures] == [name]
    row = rows(output)[name]
    assert (row["status"], row["stage"], row["outputs"]) == ("failed", "read", [])
    assert str(inputs[2]) in row["reason"]
    assert reasons(source, output) == {name: "failed before"}
    images(source / "newer", 1)
    inputs[2].write_bytes(good)
    summary = run(source, output, selection=Selection(retry_failed=True))
    assert (summary.files, summary.exit_code) == (1, 0)
    assert rows(output)[name]["status"] == "done"
    assert list(reasons(source, output).values()) == ["new"]


def test_status_tells_done_failed_missing_and_stale(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, inputs = done
    names = [path.relative_to(source).as_posix() for path in inputs]
    inputs[0].write_bytes(b"no image")
    run(source, output)
    shutil.rmtree(output / names[1])
    shutil.copyfile(inputs[4], inputs[2])
    inputs[3].unlink()
    status = read_status(output)
    assert status.done == [names[4]]
    assert list(status.failed) == [names[0]]
    assert status.missing == {names[1]: "outputs missing"}
    assert status.stale == {names[2]: "input changed", names[3]: "its input is no longer there"}
    with pytest.raises(UsageError, match="holds no run"):
        read_status(source)


def test_status_knows_inputs_that_the_last_run_left_out(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, inputs = done
    names = [path.relative_to(source).as_posix() for path in inputs]
    inputs[3].write_bytes(b"no image")
    run(source, output)
    images(source / "new", 1)
    inputs[4].unlink()
    run(source, output, include=[names[0]])
    status = read_status(output)
    assert status.done == names[:3]
    assert list(status.failed) == [names[3]]
    assert (status.missing, status.stale) == ({}, {names[4]: "its input is no longer there"})


def test_a_torn_last_line_is_cut_off_and_its_input_run_again(done: tuple[Path, Path, list[Path]]) -> None:
    source, output, _ = done
    before = outputs(output)
    manifest = output / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-1]) + lines[-1][:25])
    assert run(source, output).files == 1
    assert manifest.read_bytes().count(b"\n") == COUNT
    assert len(rows(output)) == COUNT
    assert outputs(output) == before


def test_of_several_rows_the_last_counts_and_nonsense_is_refused(
    done: tuple[Path, Path, list[Path]],
) -> None:
    source, output, _ = done
    manifest = output / "manifest.jsonl"
    first = manifest.read_text().splitlines()[0]
    with manifest.open("a") as file:
        file.write(first.replace('"done"', '"failed"') + "\n")
    assert list(reasons(source, output).values()) == ["failed before"]
    with manifest.open("a") as file:
        file.write("[]\n" + first + "\n")
    with pytest.raises(UsageError, match=r"manifest.jsonl:7: not a row.*delete that line"):
        survey_run(parsed(source, output))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"input": "a", "status": "done", "zzz": 1}', "unknown key 'zzz'"),
        ('{"input": "a"}', "no status"),
        ('{"status": "done"}', "no input"),
        ("[1]", "expected a mapping"),
        ("3", "expected a mapping"),
        ("{bad", "not JSON from column 2 on"),
        ('{"input": "a", "x": \xff}', "not JSON that can be read"),
        ('{"input": "a", "status": ' + "9" * 5000 + "}", "not JSON that can be read"),
        ('{"input": "a", "status": "done", "media_seconds": "x"}', "media_seconds and clipped: expected num"),
        ('{"input": "a", "status": "done", "notes": 3}', "notes: expected a list of texts"),
        ('{"input": "a", "status": "done", "reason": []}', "stage and reason: expected texts"),
        ('{"input": "a", "status": "done", "output_shape": 7}', "input_shape and output_shape: expected"),
        ('{"input": "a", "status": "done", "outputs": [3]}', "outputs: expected path, bytes"),
        ('{"input": "a", "status": "done", "outputs": [{"path": 3}]}', "outputs: expected path, bytes"),
        ('{"input": "a", "status": "done", "outputs": [{"path": "a/b"}]}', "outputs: expected path, bytes"),
    ],
)
def test_a_damaged_row_is_told_by_its_line_and_in_words_of_the_manifest(
    line: str, told: str, tmp_path: Path
) -> None:
    good = '{"input": "b", "status": "failed"}\n'
    (tmp_path / "manifest.jsonl").write_bytes(good.encode() + line.encode("latin-1") + b"\n" + good.encode())
    with pytest.raises(UsageError) as error:
        read_manifest(tmp_path)
    assert f"manifest.jsonl:2: not a row of a manifest ({told}" in str(error.value)


def test_a_folder_that_is_deleted_under_a_run_ends_it_and_is_told(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.add(Row("a", "failed"))
        (tmp_path / "manifest.jsonl").unlink()
        with pytest.raises(WriteError, match="was deleted or moved while this run wrote"):
            manifest.add(Row("b", "failed"))


def test_a_folder_that_another_takes_the_place_of_ends_the_run_and_is_told(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with Manifest(output) as manifest:
        manifest.add(Row("a", "failed"))
        output.rename(tmp_path / "kept")
        output.mkdir()
        with pytest.raises(WriteError, match="was deleted or moved while this run wrote"):
            manifest.add(Row("b", "failed"))
    assert set(read_manifest(tmp_path / "kept")) == {"a"}


@pytest.mark.parametrize("layout", ["folders", "flat"])
def test_an_interrupt_between_rows_leaves_what_the_next_run_goes_on_with(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = images(tmp_path / "in", 12)
    write = {"pattern": "{stem}_{name}{suffix}"} if layout == "flat" else {}
    keep, kept = _Run._keep, list[str]()

    def interrupted(self: _Run, outcome: Outcome) -> None:
        kept.append(outcome.job.name)
        if len(kept) == 3:
            raise KeyboardInterrupt
        keep(self, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(_Run, "_keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "in", tmp_path / "out", write=write)
    assert kept[2] not in rows(tmp_path / "out")
    assert len(rows(tmp_path / "out")) == len(kept) - 1 > 2  # those behind it have theirs
    summary = run(tmp_path / "in", tmp_path / "out", write=write)
    assert (summary.files, summary.skipped) == (len(inputs) - len(kept) + 1, len(kept) - 1)
    assert len(outputs(tmp_path / "out")) == 2 * len(inputs)
    assert not (tmp_path / "out" / ".mediaconv.lock").exists()


def test_a_row_that_an_interrupt_cuts_off_is_not_there_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def interrupted(*given: Any) -> int:
        pwrite(*given)
        raise KeyboardInterrupt  # as Python does after a call to the system that a signal came in

    with Manifest(tmp_path) as manifest:
        manifest.add(Row("a", "failed"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", interrupted)
            with pytest.raises(KeyboardInterrupt):
                manifest.add(Row("long", "failed", reason="long " * 20))
        manifest.add(Row("b", "failed"))  # of a job whose outputs came into place before it
    assert set(read_manifest(tmp_path)) == {"a", "b"}


def test_leftovers_of_a_killed_run_are_removed_and_strangers_files_stay(
    done: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    source, output, _ = done
    earlier = (
        f".x.png.part-{hashlib.sha256(b'x.png').hexdigest()[:8]}-89abcdef"  # as version 0.1.0 named them
    )
    for name in (temporary_name(Path("x.png")), earlier):
        left = output / "a" / name
        left.mkdir()
        (left / ".channel_0.part.png").write_bytes(b"half")
    (output / "notes.txt").write_text("mine")
    run(source, output)
    assert unfinished(output) == []
    assert (output / "notes.txt").read_text() == "mine"
    strange = tmp_path / "home"
    (strange / ".download.part").mkdir(parents=True)
    run(source, strange)
    assert (strange / ".download.part").exists()


def test_max_failures_ends_the_run(tmp_path: Path) -> None:
    inputs = images(tmp_path / "in", 8)
    for path in inputs[:6]:
        path.write_bytes(b"broken")
    summary = run(tmp_path / "in", tmp_path / "out", max_failures=2)
    assert len(summary.failures) == 3
    assert "max_failures: 2" in summary.stopped
    assert (summary.left, summary.exit_code) == (5, 1)
    assert run(tmp_path / "in", tmp_path / "out").files == 2


def test_an_input_that_grows_while_it_is_read_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaconv.run.jobs import convert_job

    (path,) = images(tmp_path / "in", 1)
    verified = convert_job._verified

    def grow(file: Path) -> object:
        with path.open("ab") as target:
            target.write(b"more")
        return verified(file)

    monkeypatch.setattr(convert_job, "_verified", grow)
    summary = run(tmp_path / "in", tmp_path / "out")
    assert "changed while it was read" in summary.failures[0]["reason"]
    assert outputs(tmp_path / "out") == {}


def test_a_hundred_thousand_finished_files_are_found_in_seconds(tmp_path: Path) -> None:
    """A fiftieth of it here; benchmarks/finished.py measures the whole."""
    from benchmarks.finished import finished_tree

    config = finished_tree(tmp_path, 2_000)
    began = time.monotonic()
    found = survey_run(config)
    assert (len(found.todo), len(found.skipped)) == (0, 2_000)
    assert time.monotonic() - began < 2


def test_a_program_that_ended_under_a_file_leaves_a_note_that_its_row_covers(
    done: tuple[Path, Path, list[Path]],
) -> None:
    source, output, inputs = done
    before = outputs(output)
    name = inputs[0].relative_to(source).as_posix()
    with Manifest(output) as manifest:
        manifest.begin(Row(name, "begun"))
        manifest._begun = None  # as if the process had ended here
    assert read_status(output).missing == {name: "the program ended under it"}
    assert reasons(source, output) == {name: "the program ended under it"}
    assert run(source, output).files == 1
    assert outputs(output) == before
    assert {row["status"] for row in rows(output).values()} == {"done"}
    lines = (output / "manifest.jsonl").read_bytes().count(b"\n")
    with Manifest(output) as manifest:
        manifest.begin(Row(name, "begun"))  # interrupted in order
    assert (output / "manifest.jsonl").read_bytes().count(b"\n") == lines


def test_what_is_known_of_a_finished_file_lies_in_the_manifest_not_in_memory(tmp_path: Path) -> None:
    """Bytes held for each of many rows, counted where Python allocates."""
    count = 20_000
    with (tmp_path / "manifest.jsonl").open("w") as file:
        for i in range(count):
            name = f"{i // 1000:03}/{i:06}.png"
            outputs = [{"path": f"{name}/channel_{c}.png", "bytes": 6, "sha256": "0" * 64} for c in range(4)]
            file.write(json.dumps({"input": name, "status": "done", "outputs": outputs}) + "\n")
    tracemalloc.start()
    rows = read_manifest(tmp_path)
    held = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    assert held < 300
    assert rows["003/003210.png"].outputs[2]["path"] == "003/003210.png/channel_2.png"
    with Manifest(tmp_path, rows) as manifest:
        manifest.add(Row("a", "done", seconds=1.5))
        manifest.begin(Row("c", "begun"))
        manifest.add(Row("b", "done", seconds=2.5))
        assert [manifest.rows[name].seconds for name in ("a", "b")] == [1.5, 2.5]
        assert {row.input for row in manifest.rows.unfinished()} == set()


@pytest.mark.parametrize("change", ["identity", "bytes", "time", "name", "config", "status"])
def test_a_fingerprint_is_of_all_that_a_survey_compares(change: str) -> None:
    files = [{"path": f"a.png/channel_{c}.png", "bytes": 6 + c, "sha256": "0", "time": 9} for c in range(2)]
    row: dict[str, Any] = {"input": "a.png", "status": "done", "outputs": files}
    row["identity"] = {"config": "c", "weights": "", "code": "1", "size": 5, "time": 7}
    rows = Rows()
    rows.take_content(row, 2**40, 2**20)
    kept = rows.fingerprint("a.png")
    assert kept is not None
    assert kept[0] == ("channel_0.png", "channel_1.png")
    assert kept[1] == mark(run_mark("c", "", "1"), 5, 7, [6, 7], [9, 9])
    if change == "status":
        rows.take(Row("c.png", "failed"))
        assert rows.fingerprint("c.png") is None
    elif change == "name":
        files[1]["path"] = "channel_1.png"  # beside the outputs of other inputs
        rows.take_content(row, 1, 1)
        assert rows.fingerprint("a.png") is None
    else:
        if change in ("identity", "config"):
            row["identity"]["size" if change == "identity" else change] = "other"
        else:
            files[1][change] += 1
        rows.take_content(row, 1, 1)
        other = rows.fingerprint("a.png")
        assert other is not None
        assert other[1] != kept[1]


def test_a_manifest_that_is_rewritten_under_a_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(
        '{"input": "a", "status": "done"}\n{"input": "b", "status": "done"}\n'
    )
    rows = read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"input": "c", "status": "done"}\n')
    for name in ("a", "b"):
        with pytest.raises(UsageError, match="was changed by another program meanwhile"):
            rows[name]
