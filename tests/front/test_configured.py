"""run, compare, prove and trace from Python, with a configuration's keys as keywords."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from torch import nn

import mediaconv
from mediaconv.errors import ConfigError, UsageError

TEXT = """pipeline: audio
input: nowhere
output: out
stack:
  - conv: {out_channels: 2, kernel_size: 5}
"""


@pytest.fixture
def config(tmp_path):
    """A configuration's file, beside two sounds."""
    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    (tmp_path / "in").mkdir()
    for name in ("x", "y"):
        soundfile.write(tmp_path / f"in/{name}.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 900), 8000)
    return path


def test_a_run_resumes_and_keys_replace_those_of_the_file(tmp_path, config):
    keys = {"input": tmp_path / "in", "output": tmp_path / "out", "executor": "serial"}
    first = mediaconv.run(config, **keys)
    assert (first.files, first.channels, first.skipped, first.exit_code) == (2, 4, 0, 0)
    assert mediaconv.run(config, **keys).skipped == 2
    assert mediaconv.run(config, **keys, seed=3).files == 2
    assert mediaconv.run(config, **keys, seed=3, overwrite=True).files == 2


def test_errors_name_the_line_of_a_file_and_the_key_of_a_mapping(config):
    config.write_text(TEXT.replace("size: 5", "size: 0"))
    with pytest.raises(ConfigError, match=r"a\.yaml:5: stack\[0\]\.conv\.kernel_size: got 0"):
        mediaconv.load_config(config)
    stack = [{"conv": {"out_channels": 2, "kernel_size": 0}}]
    with pytest.raises(ConfigError, match=r"^stack\[0\]\.conv\.kernel_size: got 0"):
        mediaconv.load_config({"pipeline": "audio", "input": "a", "output": "b"}, stack=stack)


def test_two_files_are_compared_under_their_names(tmp_path, config):
    other = tmp_path / "b.yaml"
    other.write_text(TEXT.replace("size: 5", "size: 3"))
    heard: list[str] = []
    found = mediaconv.compare(
        config,
        other,
        input=tmp_path / "in",
        output=tmp_path / "out",
        observe=lambda comparison, row: heard.append(row["input"]),
    )
    assert [side["name"] for side in found.sides] == ["a", "b"]
    assert [side["latency_steps"] for side in found.sides] == [2, 1]
    assert heard == ["x.wav", "y.wav"]
    assert found.report == tmp_path / "out/report.html"
    assert found.report.exists()


def test_a_configuration_is_proven_without_an_input(config):
    causal = mediaconv.prove(config, causal=True, files=False)
    assert (causal.causal, causal.lookahead, causal.unit) == (True, 0, "samples")
    standard = mediaconv.prove(config)
    assert (standard.causal, standard.lookahead, standard.files.lookahead) == (False, 2, 2)


def test_a_module_is_proven_and_traced_without_a_configuration():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    assert mediaconv.trace(model).total.before == (3, 64, 64)
    with pytest.raises(UsageError, match="prove: causal belongs to a configuration"):
        mediaconv.prove(model, causal=True)
    with pytest.raises(UsageError, match="no layer in it tells the shape"):
        mediaconv.prove(nn.Sequential(nn.ReLU()))
    assert mediaconv.prove(nn.Sequential(nn.ReLU()), shape=(2, 9, 9)).shape[0] == 2
    for keys in ({"shape": (3,)}, {"shape": (1, 9), "channels": 2}):
        with pytest.raises(UsageError, match="shape"):
            mediaconv.prove(model, **keys)


class OverTime(nn.Module):
    """A recurrence over (N, C, T)."""

    def __init__(self, *, both_ways):
        super().__init__()
        self.gru = nn.GRU(2, 3, batch_first=True, bidirectional=both_ways)

    def forward(self, x):
        return self.gru(x.transpose(1, 2))[0].transpose(1, 2)


@pytest.mark.parametrize("both_ways", [False, True])
def test_a_module_without_a_convolution_is_proven_by_its_features(both_ways):
    found = mediaconv.prove(OverTime(both_ways=both_ways), seconds=0.2)
    assert (found.causal, found.shape[0]) == (not both_ways, 2)


def test_a_trace_prints_as_the_commands_table(config):
    made = mediaconv.trace(config, (1, 40))
    assert (made.total.after, made.total.parameters) == ((2, 40), 12)
    assert "Conv1d 5" in str(made)
    with pytest.raises(UsageError, match="expected channels and time"):
        mediaconv.trace(config, (1, 40, 40))
    with pytest.raises(UsageError, match="expected one of them"):
        mediaconv.trace(config, (1, 40), input="x.wav")


def test_a_folder_is_traced_by_its_first_file(config, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name, length in (("b", 50), ("a", 70)):
        soundfile.write(folder / f"{name}.wav", np.zeros(length), 8000)
    assert mediaconv.trace(config, input=folder).total.before == (1, 70)
