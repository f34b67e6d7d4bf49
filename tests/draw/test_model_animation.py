"""`animate` of a model alone: a convolution inside of it, with its own weights, over what reaches it."""

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torch.export import Dim

from mediaconv.config import parse_config
from mediaconv.draw.animate.configured_layers import animate_config
from mediaconv.draw.animate.model_convolutions import convolution_named
from mediaconv.draw.subject import subject
from tests.program import run_program


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 2, 5, padding=2)
        self.second = nn.Conv1d(2, 1, 3, padding=1)

    def forward(self, x):
        return x + self.second(torch.relu(self.first(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("animated")
    torch.manual_seed(0)
    net = Net().eval()
    for name, module in (("net", net), ("plain", nn.Sequential(nn.ReLU()).eval())):
        shapes = ({2: Dim.AUTO},)
        program = torch.export.export(module, (torch.zeros(1, 1, 64),), dynamic_shapes=shapes)
        torch.export.save(program, folder / f"{name}.pt2")
    soundfile.write(folder / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 200), 8000, "FLOAT")
    torch.save(net.state_dict(), folder / "net.pt")
    return folder


def test_the_first_convolution_of_a_model_is_drawn(folder):
    done = run_program("animate", "--model", "net.pt2", "-o", "first.svg", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "layer 0.first" in (folder / "first.svg").read_text()


def test_the_layer_drawn_has_the_models_weights_and_what_reaches_it(folder):
    net = Net().eval()
    net.load_state_dict(torch.load(folder / "net.pt"))
    config = parse_config(
        f"{{pipeline: audio, input: x, output: o, stack: [{{model: {folder / 'net.pt2'}}}]}}"
    )
    made = subject(config, input=folder / "a.wav", lengths=[64])
    name, layer, given = convolution_named(made, "0.second")
    assert name == "0.second"
    with torch.no_grad():
        wanted = torch.relu(net.first(made.x[None].float()))[0]
    assert torch.equal(layer.weight.float(), net.second.weight)
    torch.testing.assert_close(given.float(), wanted)
    picture = animate_config(config, layer="0.second", input=folder / "a.wav")
    assert "0.second" in picture.label or "0.second" in picture.html()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "net.pt2", "--layer", "0.third"], "these can be drawn: 0.first, 0.second"),
        (["--model", "plain.pt2"], "has no convolution that can be drawn"),
        ([], "a model alone by --model"),
        (["--model", "net.pt2", "--kind", "conv1d"], "a model alone by --model"),
    ],
)
def test_what_cannot_be_drawn_is_told(folder, options, words):
    done = run_program("animate", *options, "-o", "no.svg", cwd=folder)
    assert done.returncode == 2
    assert words in done.stderr
