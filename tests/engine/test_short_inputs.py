"""What is said of an input that is too short, against torch at the length that is told and at one less."""

import re

import numpy as np
import pytest
import soundfile
import torch
import yaml
from torch import nn
from torch.export import Dim

from tests.program import run_program


def told(folder, stack, length):
    """What a run says of a sound of so many samples; nothing where it succeeds."""
    soundfile.write(folder / "a.wav", np.linspace(-0.5, 0.5, length), 8000)
    config = {"pipeline": "audio", "input": "a.wav", "output": "out", "stack": stack}
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    done = run_program("run", "c.yaml", "--executor", "serial", "--overwrite", cwd=folder)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def least_of(module):
    """The fewest samples of which torch leaves something."""
    for length in range(1, 200):
        try:
            if module(torch.zeros(1, 1, length)).numel():
                return length
        except RuntimeError:
            continue
    raise AssertionError("takes none")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(1, 2, 7, stride=2), nn.Conv1d(2, 1, 5, dilation=3)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def test_an_input_too_short_for_a_stack_is_told_the_length_and_the_padding(tmp_path):
    stack = [{"conv": {"out_channels": 1, "kernel_size": 7, "stride": 2, "padding": 0}},
             {"conv": {"out_channels": 1, "kernel_size": 5, "dilation": 3, "padding": 0}}]  # fmt: skip
    least = least_of(nn.Sequential(nn.Conv1d(1, 1, 7, 2), nn.Conv1d(1, 1, 5, dilation=3)))
    said = told(tmp_path, stack, least - 1)
    assert re.search(rf"an input of {least - 1} leaves no output, the stack takes {least} or more", said), (
        said
    )
    assert "give a longer one, or padding: same in its layers" in said
    assert told(tmp_path, stack, least) == ""


def test_an_input_too_short_for_a_model_is_told_the_length_and_nothing_of_its_layers(tmp_path):
    torch.manual_seed(0)
    model = Net().eval()
    program = torch.export.export(model, (torch.zeros(1, 1, 64),), dynamic_shapes=({2: Dim.AUTO},))
    torch.export.save(program, tmp_path / "net.pt2")
    least = least_of(model)
    stack = [{"model": str(tmp_path / "net.pt2")}]
    said = told(tmp_path, stack, least - 1)
    taken = int(re.search(r"as captured, the model takes (\d+) or more: give a longer input", said)[1])
    # torch exports an axis of one step for one step alone: two of them are left, by a stride of two
    assert taken == least + 2
    assert "padding" not in said
    assert told(tmp_path, stack, taken) == ""


@pytest.mark.parametrize("length", [1, 5])
def test_padding_same_takes_any_length(tmp_path, length):
    stack = [{"conv": {"out_channels": 1, "kernel_size": 7, "padding": "same"}}]
    assert told(tmp_path, stack, length) == ""
