"""The programs of docs/how-to/export.md, which need no mediaconv, over a sound, against the stack itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from mediaconv.front.configured import load_stack

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


def test_the_python_program_gives_the_whole_result(expected, tmp_path):
    page = (ROOT / "docs/how-to/export.md").read_text()
    (program,) = re.findall(r"```text\n(import json.*?)```", page, re.S)
    assert len(program.splitlines()) <= 25
    code = (
        f"import sys; sys.modules['torch'] = sys.modules['mediaconv'] = None\n{program}\nnp.save('y.npy', y)"
    )
    subprocess.run([sys.executable, "-c", code, str(SOUND)], cwd=tmp_path, check=True)
    near(np.load(tmp_path / "y.npy"), expected)


def headers() -> Path | None:
    """The folder of onnxruntime's C header: from the environment, or where systems install it."""
    given = os.environ.get("ONNXRUNTIME_INCLUDE")
    places = [given] if given else ["/usr/include/onnxruntime", "/usr/include", "/usr/local/include"]
    return next((Path(p) for p in places if Path(p, "onnxruntime_c_api.h").is_file()), None)


def test_the_program_in_cpp_gives_the_whole_result(expected, tmp_path):
    include = headers()
    if include is None or shutil.which("g++") is None:
        pytest.skip("needs g++ and onnxruntime_c_api.h: name its folder in ONNXRUNTIME_INCLUDE")
    import onnxruntime

    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    (tmp_path / "libonnxruntime.so").symlink_to(library)
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    options = ["-std=c++17", "-O2", "-Wall", "-Werror", "-isystem", include, "-o", "run_step"]
    linked = [CPP, f"-L{tmp_path}", "-lonnxruntime", f"-Wl,-rpath,{tmp_path}"]
    subprocess.run(["g++", *map(str, options), *map(str, linked)], cwd=tmp_path, check=True)
    samples, _ = soundfile.read(SOUND, dtype="float32", always_2d=True)
    samples.T.tofile(tmp_path / "in.f32")
    subprocess.run(["./run_step", "step.onnx", "in.f32", "out.f32"], cwd=tmp_path, check=True)
    near(np.fromfile(tmp_path / "out.f32", np.float32).reshape(expected.shape), expected)
