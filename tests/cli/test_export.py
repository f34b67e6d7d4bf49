"""`mediaconv export`: configurations to files that onnxruntime runs, and refusals in words."""

from __future__ import annotations

import json

import onnx


def test_a_shipped_configuration_is_exported_with_its_facts(mediaconv, root, tmp_path):
    config, sound = root / "configs/audio_causal.yaml", root / "data/audio/melody_clap.wav"
    done = mediaconv("export", config, "-o", "step.onnx", "--chunk", 256, "--input", sound)
    assert "256 steps in, 256 out; skip the first 0" in done.stdout
    facts = json.loads((tmp_path / "step.json").read_text())
    assert (facts["chunk"], facts["latency_ms"], facts["pipeline"]) == (256, 0.0, "audio")
    assert facts["largest_difference"] <= 1e-5
    assert onnx.load(tmp_path / "step.onnx").graph.input[0].name == "chunk"


def test_film_is_exported_for_frames_of_a_size(mediaconv, root, tmp_path):
    config, film = root / "configs/video_standard.yaml", root / "data/video/lightning.mp4"
    words = ["--chunk", 4, "--size", "20x12", "--input", film, "--json"]
    told = json.loads(mediaconv("export", config, "-o", "step.onnx", *words).stdout)
    assert told["shape"] == [1, 3, 4, 12, 20]
    assert told["skip"] == told["latency"] == 4


def test_refusals_say_what_fits(mediaconv, root, tmp_path):
    config, sound = root / "configs/audio_causal.yaml", root / "data/audio/melody_clap.wav"
    words = ["--chunk", 256, "--input", sound]
    done = mediaconv("export", config, "-o", "step.tflite", *words, code=2)
    assert "step.tflite: got '.tflite', expected one of .onnx, .pt2" in done.stderr
    done = mediaconv("export", config, "-o", "step.onnx", *words, "--size", "4x4", code=2)
    assert "size: got '4x4'" in done.stderr
    done = mediaconv("export", config, "-o", "s.onnx", *words, "--set", "stack.0.conv.stride=3", code=2)
    assert "chunk: got 256, the strides of this stack need a multiple of 3" in done.stderr
    assert not list(tmp_path.iterdir())
