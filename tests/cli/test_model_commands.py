"""A model as a layer through the commands: run, resumed, traced, proven, compared with its twin."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
from torch import nn
from torch.export import Dim

from mediaconv.model_files.typed_code import TRUSTED
from tests.program import run_program

pytestmark = pytest.mark.slow  # captures

CODE = """
import torch
from torch import nn

class Denoiser(nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.a = nn.Conv1d(channels, 4, 5, padding=2)
        self.b = nn.Conv1d(4, channels, 3, padding=1)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))

def build():
    return Denoiser()
"""


def denoiser() -> nn.Module:
    names: dict = {}
    exec(CODE, names)
    torch.manual_seed(0)
    return names["build"]().eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stereo files, a .pt2 model of three steps of latency, and a configuration."""
    path = tmp_path_factory.mktemp("model")
    (path / "in").mkdir()
    for name in ("a", "b"):
        noise = np.random.default_rng(len(name)).uniform(-0.5, 0.5, (3000, 2))
        soundfile.write(path / "in" / f"{name}.wav", noise, 8000, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(denoiser(), (torch.zeros(1, 2, 4000),), dynamic_shapes=({2: Dim.AUTO},))
        torch.export.save(program, path / "m.pt2")
    (path / "build.py").write_text(CODE)
    (path / "c.yaml").write_text(
        "pipeline: audio\ninput: in\noutput: out\nstack: [{model: m.pt2}]\nexecutor: serial\n"
        "normalize: none\n"
    )
    return path


@pytest.mark.slow
def test_a_folder_is_run_exactly_and_resumed(folder: Path) -> None:
    done = run_program("run", "c.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    x, _ = soundfile.read(folder / "in" / "a.wav", dtype="float32")
    outputs = sorted((folder / "out" / "a.wav").glob("*.wav"))
    ours = np.stack([soundfile.read(file, dtype="float32")[0] for file in outputs])
    with torch.no_grad():
        wanted = denoiser()(torch.from_numpy(x.T[None]))[0].numpy()
    # float32 sums of chunks in another order
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-6)
    again = run_program("run", "c.yaml", "--json", cwd=folder)
    assert json.loads(again.stdout)["skipped"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("model", [[], ["--model", "build.py:build"]])
def test_commands_that_look_at_a_stack_take_its_channels_from_the_model(
    folder: Path, model: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUSTED, "")  # what is typed here is not trusted by the tests that follow
    traced = run_program("trace", "c.yaml", *model, cwd=folder)
    assert traced.returncode == 0, traced.stderr
    assert sum("conv1d" in line for line in traced.stdout.splitlines()) == 2, traced.stdout
    assert "captured" in traced.stdout, traced.stdout
    received = run_program("receptive", "c.yaml", "--layers", *model, cwd=folder)
    assert received.returncode == 0, received.stderr
    assert "7, stride 1, look-ahead 3" in received.stdout, received.stdout
    proven = run_program("prove", "c.yaml", *model, cwd=folder)
    assert "3 samples" in proven.stdout, proven.stdout + proven.stderr


HELD = CODE.replace("return x + ", "x = x - x.mean(2, keepdim=True); return x + ")
REFUSED = CODE.replace(
    "return x + ",
    "x = x + torch.fft.fft(x).real\n        x = x + torch.fft.fft(2 * x).real\n        return x + ",
)


def test_a_model_is_validated_without_a_file(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUSTED, "")
    for name, code in (("good", CODE), ("held", HELD), ("refused", REFUSED)):
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "image.py").write_text(
        "from torch import nn\ndef build(): return nn.Conv2d(3, 5, 3, padding=1)\n"
    )
    (tmp_path / "tokens.py").write_text(
        "from torch import nn\ndef build(): return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))\n"
    )
    (tmp_path / "any.py").write_text("from torch import nn\ndef build(): return nn.AvgPool1d(3, 1, 1)\n")

    def validate(*words: str) -> tuple[int, str]:
        done = run_program("validate", *words, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    code, said = validate("--model", "good.py:build")
    assert (code, said.splitlines()[0]) == (0, "good.py:build: valid (audio, 1 layer, 2 -> 2 channels)")
    assert validate("--model", str(folder / "m.pt2"))[1].startswith(
        f"{folder}/m.pt2: valid (audio, 1 layer, 2 -> 2"
    )
    code, said = validate("--model", "held.py:build")
    assert code == 0
    assert "held.py:build: note: mean" in said
    assert "held to the end" in said
    code, said = validate("--model", "refused.py:build")
    assert code == 2
    assert said.startswith("error: --model refused.py:build: stack[0].model: Denoiser: "), said
    assert "2 reasons why it cannot stream" in said
    assert said.count("\n- _fft_r2c in Denoiser") == 2, said
    assert validate("--model", "image.py:build")[1].startswith(
        "image.py:build: valid (image, 1 layer, 3 -> 5"
    )
    code, said = validate("--model", "image.py:build", "--set", "pipeline=video")
    assert code == 2
    assert "its first convolution is 2D" in said
    assert "`axes: t c h w` runs it over the frames" in said
    words = ("--set", "pipeline=video", "--set", "stack.0.model.axes=t c h w")
    assert validate("--model", "image.py:build", *words)[1].startswith("image.py:build: valid (video")
    words = ("--set", "stack.0.model.axes=n t c")
    assert "valid (audio, 1 layer, 4 -> 3 channels)" in validate("--model", "tokens.py:build", *words)[1]
    code, said = validate("--model", "any.py:build", "--set", "pipeline=audio")
    assert (code, "give --channels" in said) == (2, True)
    words = ("--set", "pipeline=audio", "--channels", "4")
    assert "valid (audio, 1 layer, 4 -> 4 channels)" in validate("--model", "any.py:build", *words)[1]
    assert validate() == (2, "error: validate: give a configuration, or a model alone by --model\n")


def test_a_rate_that_a_model_states_is_no_obstacle_where_there_is_no_file(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(
        "pipeline: audio\ninput: none\noutput: out\n"
        "stack: [{conv: {in_channels: 2, out_channels: 2, kernel_size: 2, stride: 2}}, "
        f"{{model: {{file: {folder}/m.pt2, rate: 9000}}}}]\n"
    )
    step = tmp_path / "s.pt2"
    for words in ((), ("--chunk", "16", "-o", str(step))):
        commands = ("export",) if words else ("validate", "trace", "receptive", "prove")
        for command in commands:
            done = run_program(command, "c.yaml", *words, cwd=tmp_path)
            assert "steps a second" not in done.stderr, done.stderr
            assert done.returncode in ((0, 1) if command == "prove" else (0,)), done.stderr
    assert json.loads(step.with_suffix(".json").read_text())["rate_hz"] == 18000


@pytest.mark.parametrize("model", [[], ["--model", "build.py:build"]])
def test_a_model_is_inspected_and_its_step_exported(
    folder: Path, model: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(TRUSTED, "")
    page = tmp_path / "features.html"
    inspected = run_program("inspect", "c.yaml", "--input", "in/a.wav", "-o", page, *model, cwd=folder)
    assert inspected.returncode == 0, inspected.stderr
    assert page.stat().st_size > 10_000
    step = run_program("export", "c.yaml", "--chunk", 50, "-o", tmp_path / "step.onnx", *model, cwd=folder)
    assert step.returncode == 0, step.stderr
    file = tmp_path / "whole.onnx"
    whole = run_program("export", "c.yaml", "--whole", "-o", file, *model, cwd=folder)
    assert whole.returncode == 0, whole.stderr
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    x = torch.randn(1, 2, 77)
    ours = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    with torch.no_grad():
        # sums of float32 by another library
        np.testing.assert_allclose(ours, denoiser()(x).numpy(), rtol=0, atol=1e-5)


def test_typed_code_is_run_and_resumed_until_its_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUSTED, "")
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (900, 2))
    soundfile.write(tmp_path / "in" / "a.wav", noise, 8000, subtype="FLOAT")
    (tmp_path / "net.py").write_text(CODE)
    (tmp_path / "c.yaml").write_text(
        "pipeline: audio\ninput: in\noutput: out\nstack: [identity]\nexecutor: serial\nnormalize: none\n"
    )
    words = ("run", "c.yaml", "--model", "net.py:build", "--json")
    first = run_program(*words, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    files = sorted((tmp_path / "out" / "a.wav").glob("*.wav"))
    ours = np.stack([soundfile.read(file, dtype="float32")[0] for file in files])
    with torch.no_grad():
        wanted = denoiser()(torch.from_numpy(noise.T[None].astype(np.float32)))[0].numpy()
    # float32 sums of chunks in another order
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-6)
    assert json.loads(run_program(*words, cwd=tmp_path).stdout)["skipped"] == 1
    (tmp_path / "net.py").write_text(CODE.replace("return x + ", "return x - "))
    again = run_program(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["skipped"] == 0
    changed = np.stack([soundfile.read(file, dtype="float32")[0] for file in files])
    np.testing.assert_allclose(changed, 2 * noise.T - wanted, rtol=0, atol=1e-6)


def test_typed_code_imports_what_lies_beside_it_and_is_run_again_when_that_gives_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUSTED, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    soundfile.write(tmp_path / "a.wav", np.zeros((900, 2)), 8000, subtype="FLOAT")
    (tmp_path / "beside_the_net.py").write_text(CODE)
    (tmp_path / "net.py").write_text(
        "from pathlib import Path\nimport torch\nfrom beside_the_net import Denoiser\n"
        "def build():\n    module = Denoiser()\n"
        "    module.load_state_dict(torch.load(Path(__file__).parent / 'w.pt'))\n    return module\n"
        "def fails():\n    return {}['key']\n"
    )
    (tmp_path / "c.yaml").write_text(
        "pipeline: audio\ninput: a.wav\noutput: out\nstack: [identity]\nexecutor: serial\n"
    )
    words = ("run", "c.yaml", "--json", "--model")
    for bias in (torch.zeros(2), torch.ones(2)):
        torch.save(denoiser().state_dict() | {"b.bias": bias}, tmp_path / "w.pt")
        first = run_program(*words, "net.py:build", cwd=tmp_path)
        assert first.returncode == 0, first.stderr
        assert json.loads(first.stdout)["skipped"] == 0
        again = run_program(*words, "net.py:build", cwd=tmp_path)
        assert json.loads(again.stdout)["skipped"] == 1
    failed = run_program(*words, "net.py:fails", cwd=tmp_path)
    assert "cannot be made: KeyError: 'key'" in failed.stderr + failed.stdout
    absent = run_program(*words, "net.py:absent", cwd=tmp_path)
    assert "has no function 'absent'" in absent.stderr + absent.stdout


@pytest.mark.slow
def test_a_model_is_compared_with_its_causal_twin(folder: Path) -> None:
    done = run_program("compare", "c.yaml", "--json", "--output", "compared", cwd=folder)
    assert done.returncode == 0, done.stderr
    sides = {side["name"]: side for side in json.loads(done.stdout)["sides"]}
    assert sides["causal"]["latency_steps"] == 0
    assert sides["causal"]["causal"] is True
    assert sides["standard"]["latency_steps"] == 3
    module, x = denoiser(), soundfile.read(folder / "in" / "a.wav", dtype="float32")[0]
    pad = nn.functional.pad
    with torch.no_grad():
        y = torch.from_numpy(x.T[None])
        h = torch.relu(nn.functional.conv1d(pad(y, (4, 0)), module.a.weight, module.a.bias))
        by_hand = (y + nn.functional.conv1d(pad(h, (2, 0)), module.b.weight, module.b.bias))[0].numpy()
    file = next((folder / "compared").rglob("causal/**/channel_0.wav"))
    ours, _ = soundfile.read(file, dtype="float32")
    assert any(np.allclose(ours, channel, rtol=0, atol=1e-6) for channel in by_hand)


@pytest.mark.parametrize("other", [("--stack", "[relu]"), ("--kernel", "gaussian")])
def test_a_model_beside_another_stack_is_refused(folder: Path, other: tuple[str, str]) -> None:
    done = run_program("run", "in", *other, "--model", "m.pt2", "-o", "both", "--dry-run", cwd=folder)
    assert done.returncode == 2
    assert "model: says nothing beside --stack or --kernel" in done.stderr


def test_a_configuration_runs_no_code(folder: Path) -> None:
    done = run_program("validate", "c.yaml", "--set", "stack=[{model: build.py:build}]", cwd=folder)
    assert done.returncode == 2
    assert "runs no code" in done.stderr
    other = run_program(
        "validate", "c.yaml", "--set", "stack=[{model: {file: m.pt2, rate: 24000}}]", cwd=folder
    )
    assert other.returncode == 2
    assert "got 8000 steps a second, but m.pt2 takes 24000" in other.stderr
