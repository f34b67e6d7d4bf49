"""Without the package onnx every command says how to install it, and nothing of a defect."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.program import run_program


@pytest.mark.parametrize(
    "command",
    [
        "run a.wav --model net.onnx",
        "run c.yaml",
        "compare --model net.onnx --input a.wav",
        "trace --model net.onnx",
        "receptive --model net.onnx --input a.wav",
        "prove --model net.onnx",
        "inspect --model net.onnx --input a.wav",
        "export --model net.onnx --chunk 64 -o step.pt2",
        "validate --model net.onnx",
        "init net.onnx",
    ],
)
def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08")
    (tmp_path / "c.yaml").write_text(
        "pipeline: audio\ninput: a.wav\noutput: out\nstack: [{model: net.onnx}]\n"
    )
    done = run_program(*command.split(), cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "pip install 'mediaconv[onnx]'" in said
    assert "defect" not in said
