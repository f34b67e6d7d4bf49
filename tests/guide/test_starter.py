"""`mediaconv init` and `run FILE`: configurations that run as they stand, for any file, folder or weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from mediaconv.config import load_config
from mediaconv.guide.propose_stack import from_state
from mediaconv.media.video.writer import VideoWriter
from tests.program import run_program


@pytest.fixture
def said(tmp_path):
    """The program in tmp_path, and its whole words."""

    def call(*words, code=0):
        done = run_program(*words, cwd=tmp_path)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "a clip [1].mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height = 48, 32
        for i in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 20 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def sounds(tmp_path):
    """A folder of a stereo and a mono sound, the first broken."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(0)
    (folder / "a_broken.wav").write_bytes(b"RIFF no sound")
    soundfile.write(folder / "b.wav", rng.normal(0, 0.1, (4000, 2)), 16000)
    soundfile.write(folder / "c.flac", rng.normal(0, 0.1, 4000), 44100)
    return folder


def test_a_film_gets_a_configuration_that_runs_as_it_stands(said, film, tmp_path):
    assert "next: mediaconv run 'a clip [1].yaml'" in said("init", film.name)
    path = tmp_path / "a clip [1].yaml"
    text = path.read_text()
    assert "3 channels, 6 frames, 32 rows, 48 columns, 25 frames a second" in text
    config = yaml.safe_load(text)
    assert (config["pipeline"], config["input"]) == ("video", film.name)
    assert "1 file, 4 channels" in said("run", path.name)
    assert len(list((tmp_path / "out" / "a clip [1]").rglob("channel_*.mp4"))) == 4


def test_a_folder_gets_one_and_broken_files_do_not_hide_the_others(said, sounds, tmp_path):
    said("init", "sounds", "-o", "mine/first.yaml")
    config = yaml.safe_load((tmp_path / "mine/first.yaml").read_text())
    assert config["pipeline"] == "audio"
    # two files convert, the broken one fails: the configuration itself is right
    told = said("run", "mine/first.yaml", code=1)
    assert "2 files, 8 channels" in told
    loud = [
        np.sqrt(np.mean(soundfile.read(p)[0] ** 2)) for p in tmp_path.rglob("out/sounds/b.wav/channel_*.wav")
    ]
    assert 20 * np.log10(max(loud)) > -20  # noise at -20 dB stays audible


def test_it_writes_over_no_file(said, sounds, tmp_path):
    (tmp_path / "sounds.yaml").write_text("mine")
    assert "is there already, and init writes over no file" in said("init", "sounds", code=2)
    os.symlink("nowhere", tmp_path / "link.yaml")
    assert "is there already" in said("init", "sounds", "-o", "link.yaml", code=2)
    assert (tmp_path / "sounds.yaml").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_media_is_refused_in_words(said, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    assert "empty: holds no sound, image or film" in said("init", "empty", code=2)
    assert "no sound, image or film that can be read" in said("init", "notes.txt", code=2)
    assert "no such file or folder" in said("init", "none.wav", code=2)
    soundfile.write(tmp_path / "tone.wav", np.zeros(100), 8000)
    (tmp_path / "tone.wav").rename(tmp_path / "tone.dat")
    assert "it reads as sound, so rename it" in said("init", "tone.dat", code=2)


def test_the_examples_are_listed_by_purpose(said, root):
    told = said("init", "--list")
    for path in (root / "configs").glob("*.yaml"):
        assert path.stem in told
    assert "A low-pass filter" in told


def test_a_file_or_folder_as_configuration_says_what_to_type_next(said, sounds, film):
    told = said("run", film.name, code=2)
    assert "is a film, not a configuration" in told
    assert "mediaconv init 'a clip [1].mp4'" in told
    assert "--kernel sobel" in told
    assert "is a folder of 3 sounds" in said("run", "sounds", code=2)
    assert "mediaconv init 'a clip [1].mp4'" in said("trace", film.name, code=2)


def test_a_media_file_runs_with_a_kernel_or_a_stack(said, tmp_path):
    picture = np.zeros((20, 24), np.uint8)
    picture[:, 12:] = 255
    cv2.imwrite(str(tmp_path / "edge.png"), picture)
    assert "outputs: out/edge" in said("run", "edge.png", "--kernel", "sobel")
    (written,) = (tmp_path / "out").rglob("channel_0.png")
    values = cv2.imread(str(written), cv2.IMREAD_UNCHANGED).astype(int)
    assert values[5, 2] == 128  # no edge is middle gray
    assert abs(values[5, 12] - 128) > 100
    said(
        "run", "edge.png", "--stack", "[{conv: {out_channels: 3, kernel_size: 3}}, relu]", "-o", "o2", "-j", 1
    )
    assert len(list((tmp_path / "o2").rglob("channel_*.png"))) == 3
    stack = "[{conv: {out_channels: 3, kernel_size: 3}}]"
    said("run", "edge.png", "--stack", stack, "--set", "precision=float64", "-o", "o3", "-j", 1)
    assert len(list((tmp_path / "o3").rglob("channel_*.png"))) == 3
    assert "did you mean 'sobel'" in said("run", "edge.png", "--kernel", "sobl", code=2)


def test_weights_propose_their_stack(said, sounds, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=4), nn.Conv1d(8, 2, 1, bias=False)
    )
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    said("init", "sounds", "--from", "w.safetensors", "-o", "w.yaml")
    config = load_config(tmp_path / "w.yaml")
    assert [spec.name for spec in config.stack] == ["conv", "relu", "conv", "conv"]
    assert (config.stack[2].groups, config.read.channels, config.weights.file) == (4, "mono", "w.safetensors")
    assert "- relu   # UNKNOWN: layer 1 has no weights" in (tmp_path / "w.yaml").read_text()
    assert "2 files, 4 channels" in said("run", "w.yaml", code=1)


def test_named_layers_are_renamed_into_a_file_of_their_own(said, tmp_path):
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((8, 8, 3), np.uint8))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc1, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
            self.up = nn.ConvTranspose2d(4, 2, 2, stride=2)
            self.attn = nn.MultiheadAttention(4, 1)

    net = Net()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    told = said("init", "p.png", "--from", "net.pt", "-o", "net.yaml")
    assert "marked UNKNOWN" in told
    state = load_file(tmp_path / "net.safetensors")
    assert torch.equal(state["0.weight"], net.enc1.weight)
    config = load_config(tmp_path / "net.yaml", overrides=[f"weights={tmp_path}/net.safetensors"])
    assert [spec.name for spec in config.stack] == ["conv", "batch_norm", "conv_transpose"]
    assert config.read.color == "gray"
    said("run", "net.yaml")


def test_what_weights_do_not_tell_is_marked(said, film, tmp_path):
    """A group norm has the keys and shapes of others, and layers without weights leave gaps of numbers."""
    enc = nn.Sequential(nn.Conv3d(3, 8, 3), nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv3d(8, 3, 3))
    torch.save(nn.ModuleDict({"enc": enc}).state_dict(), tmp_path / "vae.pt")
    told = said("init", film.name, "--from", "vae.pt", "-o", "vae.yaml")
    assert "2 lines marked UNKNOWN" in told
    text = (tmp_path / "vae.yaml").read_text()
    assert "UNKNOWN: which norm is it? group_norm: {num_groups: 32}" in text
    assert "- relu   # UNKNOWN: layer enc.2 has no weights" in text
    state = load_file(tmp_path / "vae.safetensors")
    assert torch.equal(state["3.weight"], enc[3].weight)
    assert "mediaconv init YOUR_FILE --from vae.pt" in said("init", "vae.pt", code=2)


def test_trained_weights_keep_their_values_and_get_the_channels_they_take(said, tmp_path):
    """Every image of the folder is read as the weights take it, and what they give is stored as it is."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("a", (9, 12, 3)), ("b", (9, 12)), ("c", (9, 12, 4))):
        cv2.imwrite(str(tmp_path / f"photos/{name}.png"), rng.integers(0, 256, shape, dtype=np.uint8))
    same = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
    with torch.no_grad():
        same[0].weight.copy_(torch.eye(3)[..., None, None])
    save_file(same.state_dict(), tmp_path / "same.safetensors")
    said("init", "photos", "--from", "same.safetensors", "-o", "p.yaml")
    config = load_config(tmp_path / "p.yaml")
    assert (config.read.color, config.normalize.name) == ("rgb", "none")
    assert "3 files, 9 channels" in said("run", "p.yaml")
    first = cv2.imread(str(tmp_path / "photos/a.png"))
    stored = cv2.imread(str(tmp_path / "out/photos/a.png/channel_0.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, first[..., 2])


def test_layers_are_told_by_shape():
    state = nn.Sequential(nn.Conv3d(3, 6, (3, 1, 1)), nn.PReLU(6), nn.Conv3d(6, 6, 3, groups=6)).state_dict()
    made = from_state(state, "w")
    assert made.stack[0] == {"conv": {"in_channels": 3, "out_channels": 6, "kernel_size": [3, 1, 1]}}
    assert made.stack[1] == {"prelu": {"num_parameters": 6}}
    assert made.stack[2]["conv"]["groups"] == 6
    assert (made.dims, made.weights) == (3, "w")


def test_weights_of_other_axes_are_refused(said, sounds, tmp_path):
    save_file(nn.Sequential(nn.Conv2d(3, 4, 3)).state_dict(), tmp_path / "w.safetensors")
    assert "convolutions have 2 axes" in said("init", "sounds", "--from", "w.safetensors", code=2)
    assert not (tmp_path / "sounds.yaml").exists()


def test_info_tells_what_is_read(said, sounds, film, tmp_path):
    told = said("info", film.name)
    assert "stream 0: video, h264, 48x32" in told
    assert "25 frames a second" in told
    assert "length:   6 frames, 0.240 s" in told
    told = json.loads(said("info", "sounds/b.wav", "--json"))[0]
    assert told["facts"]["channels"].startswith("2")
    assert told["facts"]["length"] == "4,000 samples, 0.250 s"
    assert "a_broken.wav" in said("info", "sounds")


@pytest.mark.parametrize(("name", "sound"), [("own_sound.mkv", "yes"), ("silent.mp4", "no")])
def test_info_tells_whether_a_film_has_sound(said, tmp_path, name, sound):
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=32x32:rate=10:duration=0.5"]
    if sound == "yes":
        command += ["-f", "lavfi", "-i", "sine=duration=0.5"]
    subprocess.run([*command, str(tmp_path / name)], check=True, timeout=60)
    assert json.loads(said("info", name, "--json"))[0]["facts"]["sound"] == sound


def test_info_tells_how_far_apart_the_frames_of_a_variable_film_are(said, tmp_path):
    with VideoWriter(tmp_path / "vfr.mkv", codec="ffv1", lossless=True, time_base=Fraction(1, 1000)) as out:
        times = [Fraction(ms, 1000) for ms in (0, 40, 80, 200, 240)]
        out.write(np.zeros((5, 16, 16), np.uint8), times)
    assert "rate:     varies: frames are 40 to 120 ms apart" in said("info", "vfr.mkv")
    said("init", "vfr.mkv")
    assert "varies: frames are 40 to 120 ms apart" in (tmp_path / "vfr.yaml").read_text()
    said("run", "vfr.yaml")


class Denoiser(nn.Module):
    """A small network of sound, with a skip connection."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, 4, 9, padding=4), nn.ReLU(), nn.Conv1d(4, 4, 5, padding=4, dilation=2), nn.ReLU()
        )
        self.end = nn.Conv1d(4, 1, 3, padding=1)

    def forward(self, x):
        return x + self.end(self.body(x))


def test_layers_are_proposed_in_the_order_of_the_modules_definition():
    """By name `down` would come first, and take channels that nothing gives."""
    shapes = {"enc": (16, 3, 3, 3), "down": (32, 16, 4, 4), "up": (32, 16, 4, 4), "out": (3, 16, 1, 1)}
    state = {f"{name}.weight": torch.zeros(shape) for name, shape in shapes.items()}
    found = from_state(state, "net.pth")
    assert not found.unknown
    assert [next(iter(layer)) for layer in found.stack] == ["conv", "conv", "conv_transpose", "conv"]
    assert found.in_channels == 3


@pytest.mark.parametrize("alone", [False, True], ids=["from", "alone"])
def test_an_exported_onnx_model_becomes_a_configuration_that_gives_its_values(said, tmp_path, alone):
    """The same values as onnxruntime's, from what `init FILE --from MODEL` and `init MODEL` wrote."""
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 3000).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", sound, 16000, subtype="FLOAT")
    axes = {"x": {2: "time"}, "y": {2: "time"}}
    torch.onnx.export(
        Denoiser().eval(),
        (torch.zeros(1, 1, 400),),
        tmp_path / "denoiser.onnx",
        dynamo=False,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes=axes,
    )
    words = ["denoiser.onnx", "-o", "in.yaml"] if alone else ["in.wav", "--from", "denoiser.onnx"]
    told = said("init", *words)
    assert "in.yaml" in told
    written = yaml.safe_load((tmp_path / "in.yaml").read_text())
    assert written["stack"] == [{"model": "denoiser.onnx"}]
    said(
        "run", "in.yaml", "--input", "in.wav", "--output", "out",
        "--set", "normalize=none", "--set", "write.bit_depth=float", "--set", "chunk=333",
    )  # fmt: skip
    found, _ = soundfile.read(tmp_path / "out/in.wav/channel_0.wav", dtype="float32")
    session = runtime.InferenceSession(tmp_path / "denoiser.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": sound[None, None]})[0][0, 0]
    # float32 sums of some 20 products in another order
    np.testing.assert_allclose(found, expected, atol=1e-6)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 3, 5, padding=2)

    def forward(self, x):
        return self.conv(x), x + 1


@pytest.mark.parametrize(("file", "names"), [("two.onnx", ["mask", "rest"]), ("two.pt2", [0, 1])])
def test_init_of_a_model_of_several_outputs_takes_the_first_and_names_all(said, tmp_path, file, names):
    module, x = Two().eval(), torch.zeros(1, 1, 400)
    if file.endswith(".onnx"):
        axes = {"x": {2: "time"}}
        torch.onnx.export(
            module, (x,), tmp_path / file, dynamo=False, input_names=["x"], output_names=names,
            dynamic_axes=axes,
        )  # fmt: skip
    else:
        length = ({2: torch.export.Dim.AUTO},)
        torch.export.save(torch.export.export(module, (x,), dynamic_shapes=length), tmp_path / file)
    said("init", file)
    text = (tmp_path / "two.yaml").read_text()
    assert yaml.safe_load(text)["stack"] == [{"model": {"file": file, "output": names[0]}}]
    assert f"output is one of {names[0]}, {names[1]}" in text
    assert "1 -> 3 channels" in said("validate", "two.yaml")
    assert "1 -> 1 channels" in said("validate", "two.yaml", "--set", f"stack.0.model.output={names[1]}")


AXES = ("--set", "stack.0.model.axes=n t")


def test_init_of_a_model_names_what_its_input_takes_and_refuses_what_is_no_media(said, tmp_path):
    still = nn.Conv2d(1, 2, 3, padding=1).eval()
    fixed = torch.export.export(still, (torch.zeros(1, 1, 24, 32),))
    torch.export.save(fixed, tmp_path / "still.pt2")
    assert "takes 1 channel of image" in said("init", "still.pt2")
    written = yaml.safe_load((tmp_path / "still.yaml").read_text())
    assert written["read"] == {"color": "gray", "size": [32, 24]}
    said("init", "still.pt2", "--pipeline", "video", "-o", "film.yaml")
    written = yaml.safe_load((tmp_path / "film.yaml").read_text())
    assert written["stack"] == [{"model": {"file": "still.pt2", "axes": "t c h w"}}]
    assert "not of pipeline audio" in said("init", "still.pt2", "--pipeline", "audio", "-o", "a.yaml", code=2)
    assert "is there already" in said("init", "still.pt2", code=2)
    torch.export.save(torch.export.export(nn.Linear(4, 2), (torch.zeros(1, 4),)), tmp_path / "flat.pt2")
    assert "(1, 4) has 2 axes, expected 3 (sound)" in said("init", "flat.pt2", code=2)
    wave = nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 1, 3, padding=1), nn.Flatten(1))
    lengths = ({1: torch.export.Dim.AUTO},)
    program = torch.export.export(wave.eval(), (torch.zeros(1, 400),), dynamic_shapes=lengths)
    torch.export.save(program, tmp_path / "wave.pt2")
    assert "takes 1 channel of sound" in said("init", "wave.pt2")
    written = yaml.safe_load((tmp_path / "wave.yaml").read_text())
    assert (written["stack"], written["read"]) == (
        [{"model": {"file": "wave.pt2", "axes": "n t"}}], {"channels": "mono"}
    )  # fmt: skip
    assert "valid (audio, 1 layer, 1 -> 1 channels)" in said("validate", "--model", "wave.pt2", *AXES)
    assert "its input has 2 axes" in said("validate", "--model", "wave.pt2", code=2)


class Features(nn.Module):
    """Takes samples (N, T) or sound (N, C, T), gives features of every fourth with the channels last."""

    def __init__(self, squeezed):
        super().__init__()
        self.conv, self.squeezed = nn.Conv1d(1, 6, 8, stride=4), squeezed

    def forward(self, x):
        return self.conv(x[:, None] if self.squeezed else x).mT


def _runs(module, length, example):
    try:
        module(torch.zeros(*example.shape[:-1], length))
    except (AssertionError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize(("squeezed", "axes"), [(True, "n t -> n t c"), (False, "n c t -> n t c")])
def test_init_of_a_model_writes_the_layout_of_what_it_gives(said, tmp_path, squeezed, axes):
    x = torch.zeros((2, 400) if squeezed else (2, 1, 400))
    auto = torch.export.Dim.AUTO
    lengths = ({0: auto, x.ndim - 1: auto},)
    program = torch.export.export(Features(squeezed).eval(), (x,), dynamic_shapes=lengths)
    torch.export.save(program, tmp_path / "m.pt2")
    soundfile.write(tmp_path / "in.wav", np.zeros(800), 8000)
    soundfile.write(tmp_path / "short.wav", np.zeros(1), 8000)
    for words, name in ((["m.pt2"], "m.yaml"), (["in.wav", "--from", "m.pt2"], "in.yaml")):
        said("init", *words)
        written = yaml.safe_load((tmp_path / name).read_text())
        assert written["stack"] == [{"model": {"file": "m.pt2", "axes": axes}}]
        assert "1 -> 6 channels" in said("validate", name, "--input", "in.wav")
    short = said("validate", "m.yaml", "--input", "short.wav", code=2)
    least = next(n for n in range(2, 20) if _runs(program.module(), n, x))  # the program refuses one output
    assert f"length 1: as captured, the model takes {least} or more" in short
    assert "padding: same" not in short


def test_init_of_an_image_model_for_a_film_runs_it_over_its_frames(said, tmp_path):
    free = ({0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    model = nn.Conv2d(3, 2, 3, padding=1).eval()
    program = torch.export.export(model, (torch.zeros(2, 3, 24, 32),), dynamic_shapes=free)
    torch.export.save(program, tmp_path / "still.pt2")
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=32x24:duration=0.2:rate=10"]
    subprocess.run([*make, str(tmp_path / "film.mp4")], check=True, timeout=60)
    said("init", "film.mp4", "--from", "still.pt2")
    written = yaml.safe_load((tmp_path / "film.yaml").read_text())
    assert written["stack"] == [{"model": {"file": "still.pt2", "axes": "t c h w"}}]
    assert "3 -> 2 channels" in said("validate", "film.yaml")
    soundfile.write(tmp_path / "in.wav", np.zeros(800), 8000)
    assert "is not of pipeline audio" in said("init", "in.wav", "--from", "still.pt2", code=2)


def test_a_checkpoint_with_one_state_dict_below_a_key_is_proposed_from(said, tmp_path):
    layers = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Conv1d(2, 1, 3))
    soundfile.write(tmp_path / "in.wav", np.zeros(800), 8000)
    for name, start in (("plain", ""), ("parallel", "module.")):
        state = {start + key: value for key, value in layers.state_dict().items()}
        torch.save({"model": state, "epoch": 3}, tmp_path / f"{name}.pt")
        said("init", "in.wav", "--from", f"{name}.pt", "-o", f"{name}.yaml")
        assert "1 -> 1 channels" in said("validate", f"{name}.yaml")
        written = load_file(tmp_path / f"{name}.safetensors")
        assert all(torch.equal(written[key], value) for key, value in layers.state_dict().items())


def test_a_trained_model_whose_values_all_lie_outside_the_range_is_not_clipped_away(said, tmp_path):
    dark = nn.Conv2d(3, 1, 1)
    nn.init.constant_(dark.bias, -0.4)
    nn.init.constant_(dark.weight, 0.01)
    free = ({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    torch.export.save(
        torch.export.export(dark.eval(), (torch.zeros(1, 3, 24, 32),), dynamic_shapes=free),
        tmp_path / "dark.pt2",
    )
    cv2.imwrite(str(tmp_path / "in.png"), np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    said("init", "in.png", "--from", "dark.pt2")
    assert "sigmoid" in yaml.safe_load((tmp_path / "in.yaml").read_text())["normalize"]


def test_init_of_code_says_how_it_is_run(said):
    told = said("init", "net.py:build", code=2)
    assert "is code, which no configuration names" in told
    assert "mediaconv run YOUR_FILE --model net.py:build" in told
    assert "--model net.py:FUNCTION" in said("init", "net.py", code=2)


def test_completion_is_installed_and_completes(tmp_path):
    """In a shell and a home of their own: the file is written and sourced, and the Tab key finds names."""
    program = shutil.which("mediaconv", path=str(Path(sys.executable).parent))
    if program is None or shutil.which("bash") is None:
        pytest.skip("needs the installed program and bash")
    place = {**os.environ, "HOME": str(tmp_path), "SHELL": shutil.which("bash")}
    command = f"{program} --install-completion bash; exit $?"
    done = subprocess.run(["bash", "-c", command], env=place, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    script = tmp_path / ".bash_completions/mediaconv.sh"
    assert str(script) in (tmp_path / ".bashrc").read_text()
    for words, expected in (("an", "animate"), ("run --over", "--overwrite")):
        typed = ["mediaconv", *words.split()]
        ask = (
            f"source {script}; PATH={Path(program).parent}:$PATH; COMP_WORDS=({' '.join(typed)}); "
            f"COMP_CWORD={len(typed) - 1}; _mediaconv_completion mediaconv; echo ${{COMPREPLY[@]}}"
        )
        done = subprocess.run(["bash", "-c", ask], env=place, capture_output=True, text=True, timeout=60)
        assert done.stdout.split() == [expected], done.stderr


def test_info_tells_what_the_installation_can_do(said):
    told = json.loads(said("info", "--json"))
    assert told["encoders"] == {"h264": True, "vp9": True, "ffv1": True}
    assert told["devices"][0].startswith("cpu")
    assert "extra ray:" in said("info")


def test_drawing_needs_the_stack_alone(said, tmp_path):
    (tmp_path / "s.yaml").write_text("stack:\n  - conv: {out_channels: 2, kernel_size: [3, 3]}\n")
    assert "Conv2d" in said("trace", "s.yaml", "--shape", "1,8,8")
    assert "receptive field 3" in said("receptive", "s.yaml")
    said("animate", "s.yaml", "-o", "s.svg")
    assert "input: none is named; give --input FILE" in said("inspect", "s.yaml", code=2)
    (tmp_path / "t.yaml").write_text("stack:\n  - conv: {out_channels: 2, kernel_size: 3}\n")
    assert "add pipeline: audio, image or video" in said("trace", "t.yaml", code=2)
    assert "conv" in said("trace", "t.yaml", "--set", "pipeline=audio")


def test_wrong_words_name_the_nearest_right_thing(said, tmp_path, film):
    assert "Did you mean 'trace'" in said("trase", code=2)
    assert "Did you mean 'run'" in said("convert", code=2)
    assert "mediaconv run 'a clip [1].mp4'" in said(film.name, code=2).replace("\n", "")
    (tmp_path / "my_stack.yaml").write_text("stack: []")
    assert "did you mean 'my_stack.yaml'" in said("run", "my_stak.yaml", code=2)
    assert "init" in said("validate", film.name, code=2)
    assert "Usage: mediaconv trace" in said("help", "trace")
    assert "did you mean 'trace'" in said("help", "trcae", code=2)


def test_causal_on_the_command_line(said, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    (tmp_path / "s.yaml").write_text(
        "pipeline: audio\ninput: a.wav\noutput: out\nstack: [{conv: {out_channels: 1, kernel_size: 5}}]\n"
    )
    assert "not causal" in said("prove", "s.yaml", "--no-files", "--seconds", 0, code=1)
    assert ": causal" in said("prove", "s.yaml", "--causal", "--no-files", "--seconds", 0)
    said("run", "s.yaml", "--causal")
    assert load_config(tmp_path / "out/run.yaml").causal is True
