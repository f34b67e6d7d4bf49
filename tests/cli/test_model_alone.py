"""`--model` in the place of a configuration: what looks at a stack, runs it or compares it needs no file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch

from mediaconv.model_files.typed_code import TRUSTED
from tests.program import run_program

pytestmark = pytest.mark.slow  # captures

CODE = """
import torch
from torch import nn

class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(1, 4, 5, padding=2), nn.Conv1d(4, 1, 3, padding=1)

    def forward(self, x):
        return x - 0.1 * self.b(torch.relu(self.a(x)))

build = Denoiser
def image():
    return nn.Conv2d(3, 5, (3, 5), padding=(1, 2))
"""


def denoised(x: np.ndarray) -> np.ndarray:
    """What the model gives for samples (T,)."""
    names: dict = {}
    exec(CODE, names)
    torch.manual_seed(0)
    with torch.no_grad():
        return names["build"]().eval()(torch.from_numpy(x)[None, None])[0, 0].numpy()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound and a model's code, which is trusted in this test alone."""
    monkeypatch.setenv(TRUSTED, "")
    (tmp_path / "net.py").write_text(CODE)
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 900)
    soundfile.write(tmp_path / "in" / "a.wav", noise, 8000, subtype="FLOAT")
    return tmp_path


def said(folder: Path, *words: str, code: int = 0) -> str:
    done = run_program(*words, cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_commands_that_look_at_a_stack_take_a_model_alone(folder: Path) -> None:
    model = ("--model", "net.py:build")
    traced = json.loads(run_program("trace", *model, "--json", cwd=folder).stdout)
    assert traced["totals"]["receptive_field"] == [7]
    assert traced["totals"]["parameters"] == 4 * 5 + 4 + 4 * 3 + 1
    shaped = json.loads(run_program("trace", *model, "--shape", "1,50", "--json", cwd=folder).stdout)
    assert shaped["totals"]["output_shape"] == [1, 50]
    assert "receptive field 7, look-ahead 3" in said(folder, "receptive", *model)
    assert "a.wav: 7 of 900 samples" in said(folder, "receptive", *model, "--input", "in")
    proven = said(folder, "prove", *model, "--seconds", "0", code=1)
    assert proven.startswith("net.py:build: not causal: looks ahead 3 samples")
    page = said(folder, "inspect", *model, "--input", "in/a.wav", "-o", "page.html")
    assert page.startswith("page.html: ")


def test_a_model_of_images_tells_its_pipeline(folder: Path) -> None:
    rows = said(folder, "receptive", "--model", "net.py:image")
    assert [line.partition(",")[0] for line in rows.splitlines()[-2:]] == [
        "height: receptive field 3",
        "width: receptive field 5",
    ]


def test_the_step_of_a_model_alone_is_exported(folder: Path) -> None:
    said(folder, "export", "--model", "net.py:build", "--whole", "-o", "whole.onnx")
    session = onnxruntime.InferenceSession(folder / "whole.onnx", providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal(77).astype(np.float32)
    ours = session.run(None, {session.get_inputs()[0].name: x[None, None]})[0][0, 0]
    # sums of float32 by another library
    np.testing.assert_allclose(ours, denoised(x), rtol=0, atol=1e-5)


def test_a_model_alone_runs_and_is_compared_over_an_input(folder: Path) -> None:
    words = ("run", "--model", "net.py:build", "--input", "in", "--set", "executor=serial", "--json")
    assert json.loads(run_program(*words, cwd=folder).stdout)["files"] == 1
    x, _ = soundfile.read(folder / "in" / "a.wav", dtype="float32")
    ours, _ = soundfile.read(folder / "out" / "in" / "a.wav" / "channel_0.wav", dtype="float32")
    # float32 sums of chunks in another order; a trained model's values are stored as they are
    np.testing.assert_allclose(ours, denoised(x), rtol=0, atol=1e-6)
    assert json.loads(run_program(*words, cwd=folder).stdout)["skipped"] == 1
    compared = ("compare", "--model", "net.py:build", "--input", "in", "--set", "executor=serial", "--json")
    done = run_program(*compared, cwd=folder)
    sides = {side["name"]: side["latency_steps"] for side in json.loads(done.stdout)["sides"]}
    assert sides == {"causal": 0, "standard": 3}
    assert (folder / "out" / "in-compare" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *(
            ((command,), f"error: {command}: give a configuration, or a model alone by --model\n")
            for command in ("trace", "receptive", "prove", "compare", "inspect", "validate")
        ),
        (("export", "--whole", "-o", "s.onnx"), "error: export: give a configuration, or a model alone"),
        (("run",), "error: run: give a configuration, or a media file or folder with --model"),
        (("run", "--model", "net.py:build"), "error: run: give a configuration, or a media file or folder"),
        (("run", "--input", "in"), "in is a folder of 1 sound, not a configuration. Type one of these next:"),
        (("compare", "--model", "net.py:build"), "net.py:build alone names no input; give --input FILE"),
        (("inspect", "--model", "net.py:build"), "error: input: none is named; give --input FILE"),
        (("run", "--model", "net.py:build", "--input", "none.wav"), "none.wav: no such file or folder"),
    ],
)
def test_what_is_missing_is_told(folder: Path, words: tuple[str, ...], message: str) -> None:
    assert message in said(folder, *words, code=2)


def test_status_of_a_run_by_a_model_needs_neither_its_folder_nor_its_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finished outputs of a model were told to be stale: its path stood in what they follow from."""
    said(folder, "export", "--model", "net.py:build", "--whole", "-o", "m.onnx")
    for model, output in (("m.onnx", "out_file"), ("net.py:build", "out_code")):
        said(folder, "run", "in", "--model", model, "-o", output, "--set", "executor=serial")
        monkeypatch.setenv(TRUSTED, "")
        assert json.loads(said(folder, "status", output, "--json"))["counts"]["done"] == 1
        assert (
            json.loads(said(folder.parent, "status", str(folder / output), "--json"))["counts"]["done"] == 1
        )
    (folder / "net.py").write_text(CODE.replace("0.1", "0.2"))
    changed = json.loads(said(folder, "status", "out_code", "--json"))
    assert changed["stale"] == [{"input": "a.wav", "reason": "weights changed"}]


def test_a_key_is_set_below_a_file_that_stands_alone(folder: Path) -> None:
    (folder / "c.yaml").write_text(
        "pipeline: audio\ninput: in\noutput: out\nstack: [{model: m.onnx}]\nweights: w.pt\n"
    )
    for option, key in (
        ("stack.0.model.rate=24000", "stack[0].model"),
        ("stack.0.model.axes=q", "stack[0].model.axes"),
    ):
        told = said(folder, "validate", "c.yaml", "--set", option, code=2)
        assert key in told
        assert "which has no keys" not in told
    torch.save({"model": {}}, folder / "w.pt")
    told = said(folder, "validate", "c.yaml", "--set", "stack=[relu]", "--set", "weights.key=modle", code=2)
    assert "key: got 'modle', which is not there" in told


POSITIONS = """
import torch
from torch import nn

class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.conv = nn.Embedding(200, 1), nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x):
        return 0.1 * (self.conv(x) + self.table(torch.arange(x.shape[2])).mT)

build = Positions
"""


def test_a_file_longer_than_a_model_takes_is_told_and_the_others_are_written(folder: Path) -> None:
    (folder / "net.py").write_text(POSITIONS)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 150).astype(np.float32)
    soundfile.write(folder / "in" / "b.wav", noise, 8000, subtype="FLOAT")
    unchanged = ("--set", "executor=serial", "--set", "normalize=none")
    told = said(folder, "run", "--model", "net.py:build", "--input", "in", *unchanged, code=1)
    assert "length 900: the model takes up to 200 steps" in told
    names: dict = {}
    exec(POSITIONS, names)
    torch.manual_seed(0)
    with torch.no_grad():
        whole = names["build"]().eval()(torch.from_numpy(noise)[None, None])[0, 0].numpy()
    ours, _ = soundfile.read(folder / "out" / "in" / "b.wav" / "channel_0.wav", dtype="float32")
    # float32 sums of chunks in another order
    np.testing.assert_allclose(ours, whole, rtol=0, atol=1e-6)
    assert not (folder / "out" / "in" / "a.wav").exists()
