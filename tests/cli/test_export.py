"""`mediaconv export`: configurations to files that onnxruntime runs, and refusals in words."""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from torch.nn import functional as F

pytestmark = pytest.mark.slow  # captures and exports


def test_a_shipped_configuration_is_exported_with_its_facts(mediaconv, root, tmp_path):
    config, sound = root / "configs/audio_causal.yaml", root / "data/audio/melody_clap.wav"
    done = mediaconv("export", config, "-o", "step.onnx", "--chunk", 256, "--input", sound)
    assert "256 steps in, 256 out; skip the first 0" in done.stdout
    facts = json.loads((tmp_path / "step.json").read_text())
    assert (facts["chunk"], facts["latency_ms"], facts["pipeline"]) == (256, 0.0, "audio")
    assert facts["checked"]["largest_difference"] <= 1e-5
    assert facts["checked"]["input_steps"] == [88200]
    assert len(facts["configuration_sha256"]) == len(facts["weights_sha256"]) == 64
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
    done = mediaconv("export", config, "-o", "s.onnx", "--input", sound, code=2)
    assert "chunk: give --chunk" in done.stderr
    standard = root / "configs/audio_standard.yaml"
    minmax = ["--normalize", "--set", "normalize=minmax"]
    done = mediaconv("export", standard, "-o", "s.onnx", *words, *minmax, code=2)
    assert "minmax needs the whole output" in done.stderr
    assert not list(tmp_path.iterdir())
    (tmp_path / "s.json").write_text("mine")
    done = mediaconv("export", config, "-o", "s.onnx", *words, code=2)
    assert "s.json is in the way" in done.stderr
    assert "--overwrite" in done.stderr
    mediaconv("export", config, "-o", "s.onnx", *words, "--overwrite")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.json", "s.onnx"]


def test_what_is_stored_is_exported_and_equals_what_run_wrote(mediaconv, root, tmp_path):
    """The step with normalizer and rounding, over a sound, against the files of `mediaconv run`."""
    config, sound = root / "configs/audio_standard.yaml", root / "data/audio/melody_clap.wav"
    mediaconv("run", config, "--input", sound, "--output", "out")
    mediaconv("export", config, "-o", "step.onnx", "--chunk", 4410, "--normalize", "--input", sound)
    facts = json.loads((tmp_path / "step.json").read_text())
    samples, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    y = stepped(tmp_path, facts, samples.T[None])[0]
    assert (facts["stored"]["type"], str(y.dtype)) == ("int16", "int16")
    files = sorted(tmp_path.glob("out/**/channel_*.wav"))
    written = np.stack([soundfile.read(path, dtype="int16")[0] for path in files])
    different = y != written
    # float32 sums run in another order: a value on the edge between two samples may become either
    assert np.abs(y.astype(int) - written).max() <= 1
    assert different.mean() < 1e-3


def test_the_call_on_the_whole_stores_the_same(mediaconv, root, tmp_path):
    config, picture = root / "configs/image_standard.yaml", root / "data/image/faint_disc_16bit.png"
    mediaconv("run", config, "--input", picture, "--output", "out")
    mediaconv("export", config, "-o", "whole.onnx", "--whole", "--normalize", "--input", picture)
    pixels = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED).astype(np.float32) / 65535
    session = onnxruntime.InferenceSession(tmp_path / "whole.onnx")
    (y,) = session.run(None, {"input": pixels[None, None]})
    files = sorted(tmp_path.glob("out/**/channel_*.png"))
    written = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in files])
    assert written.shape == y[0].shape
    # float32 sums run in another order: a value on the edge between two samples may become either
    assert np.abs(y[0].astype(int) - written).max() <= 1
    assert (y[0] != written).mean() < 5e-3  # 2**-24 of the largest value, in units of 16 bits


def test_a_captured_model_of_a_configuration_is_exported(mediaconv, root, tmp_path):
    """A model file with a normalized skip, which no layer of ours is, in onnxruntime."""

    class Denoiser(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Conv1d(2, 8, 5, padding=2)
            self.b = torch.nn.Conv1d(8, 2, 9, padding=4)

        def forward(self, x):
            y = F.silu(self.a(x))
            return x - self.b(y / (y.square().mean(1, keepdim=True) + 1e-3).sqrt())

    model, length = Denoiser().eval(), torch.export.Dim("t", min=16)
    program = torch.export.export(model, (torch.randn(1, 2, 64),), dynamic_shapes=({2: length},))
    torch.export.save(program, tmp_path / "theirs.pt2")
    (tmp_path / "own.yaml").write_text("pipeline: audio\nstack: [{model: theirs.pt2}]\n")
    sound = root / "data/audio/melody_clap.wav"
    mediaconv("export", "own.yaml", "-o", "step.onnx", "--chunk", 1000, "--input", sound)
    facts = json.loads((tmp_path / "step.json").read_text())
    assert (facts["skip"], facts["latency"], facts["flush"]["chunks"]) == (6, 6, 1)
    samples, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    y = stepped(tmp_path, facts, samples.T[None])
    whole = model(torch.from_numpy(samples.T[None])).detach().numpy()
    # float32 sums in another order
    np.testing.assert_allclose(y, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@pytest.fixture
def short(tmp_path):
    """A sound of 3,000 samples, two channels."""
    (tmp_path / "in").mkdir()
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (3000, 2))
    soundfile.write(tmp_path / "in" / "short.wav", samples, 44100, subtype="PCM_16")
    return tmp_path / "in" / "short.wav"


def test_float64_is_exported_where_a_runtime_has_it(mediaconv, root, short, tmp_path):
    config = root / "configs/audio_standard.yaml"
    words = ["--chunk", 1000, "--input", short, "--set", "precision=float64"]
    mediaconv("export", config, "-o", "step.pt2", *words)
    facts = json.loads((tmp_path / "step.json").read_text())
    assert (facts["type"], facts["checked"]["largest_difference"] < 1e-12) == ("float64", True)
    done = mediaconv("export", config, "-o", "step.onnx", *words, code=2)
    assert ".onnx: onnxruntime: " in done.stderr
    assert ".pt2 may hold it" in done.stderr


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_exported_in_float32(precision, mediaconv, root, short, tmp_path):
    words = ["--chunk", 500, "--input", short, "--set"]
    made = {}
    for name in ("float32", precision):
        config = root / "configs/audio_standard.yaml"
        mediaconv("export", config, "-o", f"{name}.onnx", *words, f"precision={name}")
        facts = json.loads((tmp_path / f"{name}.json").read_text())
        assert facts["type"] == "float32"
        assert facts["checked"]["largest_difference"] <= 1e-5
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx")
        state = {key: np.zeros(s["shape"], s["type"]) for key, s in facts["state"].items()}
        chunk = np.random.default_rng(1).uniform(-1, 1, facts["shape"]).astype(np.float32)
        made[name] = session.run(None, {"chunk": chunk, **state})
    assert all(np.array_equal(a, b) for a, b in zip(*made.values(), strict=True))


def test_two_exports_of_one_name_say_whose_json_is_replaced(mediaconv, short, tmp_path):
    config = "own.yaml"
    (tmp_path / config).write_text("pipeline: audio\nstack: [conv: {out_channels: 1, kernel_size: 3}]\n")
    mediaconv("export", config, "-o", "step.onnx", "--chunk", 256, "--input", short)
    done = mediaconv("export", config, "-o", "step.pt2", "--chunk", 64, "--input", short)
    assert "note: step.json told of step.onnx, whose own metadata says the same" in done.stderr
    facts = json.loads((tmp_path / "step.json").read_text())
    assert (facts["file"], facts["chunk"]) == ("step.pt2", 64)
    told = {p.key: p.value for p in onnx.load(tmp_path / "step.onnx").metadata_props}
    assert (told["file"], told["chunk"]) == ("step.onnx", "256")
    (tmp_path / "step.onnx").unlink()
    done = mediaconv("export", config, "-o", "step.pt2", "--chunk", 64, "--input", short)
    assert "note:" not in done.stderr


def test_the_normalizer_is_told_and_whether_it_is_included(mediaconv, root, short, tmp_path):
    config = root / "configs/audio_standard.yaml"
    words = ["--chunk", 1000, "--input", short, "--set", "normalize={tanh: {gain: 2}}"]
    for extra, included in (([], False), (["--normalize"], True)):
        mediaconv("export", config, "-o", "step.onnx", *words, *extra)
        told = json.loads((tmp_path / "step.json").read_text())["normalizer"]
        assert (told["name"], told["gain"], told["included"]) == ("tanh", 2.0, included)
    mediaconv("export", config, "-o", "step.onnx", *words[:4], "--set", "normalize=minmax")
    told = json.loads((tmp_path / "step.json").read_text())["normalizer"]
    assert told == {"name": "minmax", "included": False}


def test_the_whole_call_of_a_resampled_sound_equals_what_run_wrote(mediaconv, short, tmp_path):
    """Resampling, pools and a norm over channels, of which each rounds lengths of its own."""
    (tmp_path / "own.yaml").write_text(
        "pipeline: audio\noutput: out\nread: {sample_rate: 16000}\nnormalize: none\nstack:\n"
        "  - conv: {out_channels: 4, kernel_size: 5}\n  - rms_norm\n"
        "  - avg_pool: {kernel_size: 3, ceil_mode: true, count_include_pad: false}\n  - layer_norm\n"
        "  - conv: {out_channels: 2, kernel_size: 3}\nwrite: {layout: tensor, format: npy}\n"
    )
    mediaconv("run", "own.yaml", "--input", short)
    mediaconv("export", "own.yaml", "-o", "whole.onnx", "--whole", "--input", short)
    mediaconv("export", "own.yaml", "-o", "step.onnx", "--chunk", 3969, "--input", short)
    samples, _ = soundfile.read(short, dtype="float32", always_2d=True)
    session = onnxruntime.InferenceSession(tmp_path / "whole.onnx")
    (y,) = session.run(None, {"input": samples.T[None]})
    facts = json.loads((tmp_path / "step.json").read_text())
    (written,) = (np.load(path) for path in tmp_path.glob("out/**/*.npy"))
    for result in (y[0], stepped(tmp_path, facts, samples.T[None])[0]):
        # float32 sums in another order
        np.testing.assert_allclose(result, written, rtol=0, atol=1e-5 * np.abs(written).max())


def stepped(folder, facts, x):
    """An input through `step.onnx`, as its JSON file says."""
    session = onnxruntime.InferenceSession(folder / "step.onnx")
    state = {name: np.zeros(s["shape"], s["type"]) for name, s in facts["state"].items()}
    state["clock.length"][...] = x.shape[2]
    outputs, chunk, come = [], facts["chunk"], 0
    while x.shape[2] or come < facts["skip"] + state["clock.outputs"]:
        piece, x = x[:, :, :chunk], x[:, :, chunk:]
        piece = np.pad(piece, [(0, 0), (0, 0), (0, chunk - piece.shape[2])])
        y, *after = session.run(None, {"chunk": piece, **state})
        state = dict(zip(state, after, strict=True))
        outputs.append(y)
        come += y.shape[2]
    return np.concatenate(outputs, 2)[:, :, facts["skip"] : facts["skip"] + state["clock.outputs"]]
