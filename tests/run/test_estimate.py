"""How long and how large: told from a part of one input, or from what the same configuration made before."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mediaconv.errors import UsageError
from mediaconv.pipeline import find
from mediaconv.run.jobs import estimate
from mediaconv.run.jobs.dry_run import forecast
from tests.run.running import parsed, run

SOUND = {"pipeline": "audio", "stack": [{"conv": {"out_channels": 2, "kernel_size": 5}}], "chunk": 1000}


def sounds(folder: Path, seconds: dict[str, float]) -> Path:
    folder.mkdir()
    for name, length in seconds.items():
        soundfile.write(folder / f"{name}.wav", np.zeros(round(8000 * length)), 8000)
    return folder


@pytest.mark.parametrize("normalize", ["sigmoid", "minmax"])
def test_the_beginning_of_one_input_tells_the_size_of_all(
    normalize: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One chunk of a thousand samples of one file in three, in one pass or two."""
    monkeypatch.setattr(estimate, "TRIAL_SECONDS", 0.0)
    source = sounds(tmp_path / "in", {"a": 4, "b": 5, "c": 6})
    found = forecast(parsed(source, tmp_path / "out", **SOUND, normalize=normalize))
    assert found.basis == "a trial of b.wav"
    assert not (tmp_path / "out").exists()
    written = run(source, tmp_path / "out", **SOUND, normalize=normalize).bytes
    assert found.bytes == pytest.approx(written, rel=0.05)  # a header weighs more beside a thousand samples
    assert found.seconds is not None
    assert found.seconds > 0


def test_work_that_is_not_worth_a_second_worker_is_told_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sounds(tmp_path / "in", {"a": 1, "b": 1})
    config = parsed(source, tmp_path / "out", **SOUND)
    monkeypatch.setattr("mediaconv.run.executors.resources.cores", lambda: 2)
    for work, workers in ((19.0, 1), (21.0, 2)):
        rate = estimate.Rate(work / sum(p.stat().st_size for p in source.iterdir()), 1.0, 10.0, "a trial")
        monkeypatch.setattr("mediaconv.run.jobs.dry_run.rate_of_trial", lambda *given, rate=rate: rate)
        found = forecast(config)
        assert (found.workers, found.seconds) == (workers, pytest.approx(10 + work / workers, abs=0.1))


def test_an_input_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    source = sounds(tmp_path / "in", {"a": 1, "b": 1})
    (source / "a.wav").write_bytes(b"no sound".ljust(16044))
    assert forecast(parsed(source, tmp_path / "out", **SOUND)).basis == "a trial of b.wav"
    (source / "b.wav").write_bytes(b"no sound")
    found = forecast(parsed(source, tmp_path / "out", **SOUND))
    assert (found.seconds, found.bytes) == (None, None)
    assert str(source) in found.basis


def test_a_stack_that_no_input_fits_ends_a_dry_run_as_it_ends_the_run(tmp_path: Path) -> None:
    source = sounds(tmp_path / "in", {"a": 1, "b": 1})
    channels = {**SOUND, "stack": [{"conv": {"out_channels": 4, "kernel_size": 3, "groups": 2}}]}
    with pytest.raises(UsageError, match=r"stack\[0\]\.conv: .*groups"):
        forecast(parsed(source, tmp_path / "out", **channels))
    assert run(source, tmp_path / "out", **channels).exit_code == 2


def test_an_input_that_the_stack_does_not_take_is_told_beside_those_it_takes(tmp_path: Path) -> None:
    source = sounds(tmp_path / "in", {"a": 1, "c": 1})
    soundfile.write(source / "b.wav", np.zeros((9000, 2)), 8000)  # of middle size: it would be tried
    keys = {**SOUND, "stack": [{"conv": {"in_channels": 1, "out_channels": 2, "kernel_size": 5}}]}
    found = forecast(parsed(source, tmp_path / "out", **keys))
    assert found.basis.startswith("a trial of")
    ((path, reason),) = found.faults
    assert path.endswith("b.wav")
    assert "in_channels: got 1, but what comes before gives 2 channels" in reason
    assert any("b.wav: would fail: " in line for line in found.lines())
    assert found.as_json()["faults"] == [{"input": path, "reason": reason}]
    summary = run(source, tmp_path / "out", **keys)
    assert [row["input"] for row in summary.failures if "in_channels: got 1" in row["reason"]] == ["b.wav"]


def test_a_file_that_is_too_short_for_the_stack_is_told(tmp_path: Path) -> None:
    source = sounds(tmp_path / "in", {"a": 1, "c": 1})
    soundfile.write(source / "b.wav", np.zeros(3), 8000)
    keys = {**SOUND, "stack": [{"conv": {"out_channels": 2, "kernel_size": 5, "padding": 0}}]}
    ((path, reason),) = forecast(parsed(source, tmp_path / "out", **keys)).faults
    assert path.endswith("b.wav")
    assert (
        "an input of 3 leaves no output, the stack takes 5 or more: give a longer one, or padding" in reason
    )
    (failure,) = run(source, tmp_path / "out", **keys).failures
    assert reason in failure["reason"]


def test_what_takes_long_for_one_chunk_is_not_tried(tmp_path: Path) -> None:
    source = sounds(tmp_path / "in", {"a": 200})
    long = {**SOUND, "stack": [{"conv": {"out_channels": 2, "kernel_size": 1_000_000}}], "chunk": "auto"}
    began = time.process_time()
    found = forecast(parsed(source, tmp_path / "out", **long))
    assert found.basis.startswith("a chunk of a.wav takes 524,288,000,000 multiply-adds, too many to try")
    assert time.process_time() - began < 10  # many minutes, where it is tried


def test_files_of_another_configuration_tell_nothing(tmp_path: Path) -> None:
    source = sounds(tmp_path / "in", {"a": 1})
    run(source, tmp_path / "out", **SOUND)
    sounds(tmp_path / "more", {"b": 2})
    (tmp_path / "more/b.wav").rename(source / "b.wav")
    assert forecast(parsed(source, tmp_path / "out", **SOUND)).basis == "1 file done before"
    wider = {**SOUND, "stack": [{"conv": {"out_channels": 8, "kernel_size": 5}}]}
    found = forecast(parsed(source, tmp_path / "out", **wider))
    assert found.basis.startswith("a trial of ")
    assert found.bytes == pytest.approx(3 * 8 * 16000, rel=0.01)


def test_a_length_that_only_the_end_tells_gives_no_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "TRIAL_SECONDS", 0.0)
    source = sounds(tmp_path / "in", {"a": 1})
    opened = type(find("audio")).open

    def unknown(*given: Any) -> Any:
        source = opened(*given)
        source.info = replace(source.info, shape=(None,))
        return source

    monkeypatch.setattr(type(find("audio")), "open", unknown)
    found = forecast(parsed(source, tmp_path / "out", **SOUND))
    assert found.seconds is None
    assert "length" in found.basis
