"""The programs of docs/how-to/export.md, which need no mediaconv, over a sound, against the stack itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch

from mediaconv.front.configured import load_stack
from mediaconv.nn import Conv3d, Sequential, export_step, to_streaming, write_step
from tests.nn.export.test_captured import Begins

ROOT = Path(__file__).parents[2]
CPP = ROOT / "docs" / "examples" / "export" / "run_step.cpp"
SOUND = ROOT / "data" / "audio" / "melody_clap.wav"
CONFIG = ROOT / "configs" / "audio_standard.yaml"

pytestmark = pytest.mark.slow


@pytest.fixture
def expected(mediaconv, tmp_path) -> np.ndarray:
    """An exported step in the folder; what its stack gives on the whole, (channels, samples)."""
    mediaconv("export", CONFIG, "-o", "step.onnx", "--chunk", 1000, "--input", SOUND)
    samples, rate = soundfile.read(SOUND, dtype="float32", always_2d=True)
    with torch.no_grad():
        return load_stack(CONFIG, channels=2, rate_hz=rate)(torch.from_numpy(samples.T[None]))[0].numpy()


def near(y: np.ndarray, expected: np.ndarray) -> None:
    # float32 sums in another order
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def run_page(sound: Path, folder: Path) -> np.ndarray:
    """What the page's Python program gives for a sound, where torch and mediaconv are not to be had."""
    page = (ROOT / "docs/how-to/export.md").read_text()
    (program,) = re.findall(r"```text\n(import json.*?)```", page, re.S)
    assert len(program.splitlines()) <= 25
    code = (
        f"import sys; sys.modules['torch'] = sys.modules['mediaconv'] = None\n{program}\nnp.save('y.npy', y)"
    )
    subprocess.run([sys.executable, "-c", code, str(sound)], cwd=folder, check=True)
    return np.load(folder / "y.npy")


def test_the_python_program_gives_the_whole_result(expected, tmp_path):
    near(run_page(SOUND, tmp_path), expected)


def test_the_python_program_starts_from_the_state_beside_the_file(tmp_path):
    torch.manual_seed(0)
    module, samples = Begins().eval(), torch.randn(4, 999).mul(0.2)
    graph = to_streaming(module, example=torch.randn(1, 4, 24))
    facts = write_step(export_step(graph, torch.zeros(1, 4, 100)), tmp_path / "step.onnx", graph)
    assert facts["initial_state"] == "step.state.safetensors"
    soundfile.write(tmp_path / "in.wav", samples.T.numpy(), 8000, subtype="FLOAT")
    near(run_page(tmp_path / "in.wav", tmp_path), module(samples[None]).detach().numpy()[0])


def headers() -> list[Path]:
    """Folders of onnxruntime_c_api.h: the part of it that is here, and the whole where it is installed."""
    given = os.environ.get("ONNXRUNTIME_INCLUDE")
    places = [given] if given else ["/usr/include/onnxruntime", "/usr/include", "/usr/local/include"]
    return [Path(__file__).parent, *(Path(p) for p in places if Path(p, "onnxruntime_c_api.h").is_file())]


@pytest.fixture(params=headers(), ids=str)
def program(request, tmp_path) -> Path:
    """run_step.cpp, compiled against a header, with the library of onnxruntime's wheel."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    import onnxruntime

    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    (tmp_path / "libonnxruntime.so").symlink_to(library)
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    options = ["-std=c++17", "-O2", "-Wall", "-Werror", "-isystem", request.param, "-o", "run_step"]
    linked = [CPP, f"-L{tmp_path}", "-lonnxruntime", f"-Wl,-rpath,{tmp_path}"]
    subprocess.run(["g++", *map(str, options), *map(str, linked)], cwd=tmp_path, check=True)
    return tmp_path / "run_step"


def test_the_program_in_cpp_gives_the_whole_result(expected, program, tmp_path):
    assert len(CPP.read_text().splitlines()) <= 60
    samples, _ = soundfile.read(SOUND, dtype="float32", always_2d=True)
    samples.T.tofile(tmp_path / "in.f32")
    subprocess.run([program, "step.onnx", "in.f32", "out.f32"], cwd=tmp_path, check=True)
    near(np.fromfile(tmp_path / "out.f32", np.float32).reshape(expected.shape), expected)


def test_the_program_in_cpp_takes_film_and_refuses_a_state_file(program, tmp_path):
    torch.manual_seed(0)
    stack = Sequential(
        Conv3d(2, 3, 3, (2, 1, 2), padding="same"), torch.nn.Tanh(), Conv3d(3, 2, 3, padding=1)
    )
    module, x = stack.eval(), torch.randn(1, 2, 11, 6, 9)
    write_step(export_step(module, torch.zeros(1, 2, 4, 6, 9)), tmp_path / "step.onnx", module)
    x.numpy().tofile(tmp_path / "in.f32")
    subprocess.run([program, "step.onnx", "in.f32", "out.f32"], cwd=tmp_path, check=True)
    whole = module(x).detach().numpy()
    near(np.fromfile(tmp_path / "out.f32", np.float32).reshape(whole.shape), whole)
    model = onnx.load(tmp_path / "step.onnx")
    (entry,) = (p for p in model.metadata_props if p.key == "initial_state")
    entry.value = "step.state.safetensors"
    onnx.save(model, tmp_path / "apart.onnx")
    done = subprocess.run(
        [program, "apart.onnx", "in.f32", "o"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, "begins with zeros" in done.stdout) == (1, True)
