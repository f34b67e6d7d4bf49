"""`mediaconv validate`, `schema` and `--help`: what is found without running, what is said, how quickly."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys

import cv2
import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import save_file
from typer.testing import CliRunner

from mediaconv.cli.main import app
from mediaconv.config.document import Loader
from tests.program import run_program

CONV = {"conv": {"out_channels": 4, "kernel_size": 3}}
STATED = {"conv": {"in_channels": 2, "out_channels": 4, "kernel_size": 3}}


@pytest.fixture
def mediaconv(tmp_path, monkeypatch):
    """The program, run in tmp_path, but in this process: torch is loaded once for all tests."""

    def call(*words, code=0, cwd=tmp_path):
        monkeypatch.chdir(cwd)
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == code, f"exit {done.exit_code}\n{done.stdout}\n{done.stderr}"
        return done

    return call


@pytest.fixture
def image(tmp_path):
    """A small image in colour."""
    cv2.imwrite(str(tmp_path / "in.png"), np.zeros((8, 10, 3), np.uint8))
    return "in.png"


def keys(input, *stack, pipeline="image", **more):
    return {"pipeline": pipeline, "input": input, "output": "out", "stack": list(stack), **more}


def test_every_shipped_configuration_is_valid(mediaconv, root):
    paths = sorted((root / "configs").glob("*.yaml"))
    said = mediaconv("validate", *paths, cwd=root).stdout.splitlines()
    assert len(said) == len(paths) > 5
    for path, line in zip(paths, said, strict=True):
        assert line.startswith(f"{path}: valid (")
        assert "channels)" in line


def test_the_stack_is_built_for_the_first_input(mediaconv, config, image):
    said = mediaconv("validate", config(**keys(image, CONV, "relu"))).stdout
    assert said.endswith("config.yaml: valid (image, 2 layers, 3 -> 4 channels)\n")


def test_without_an_input_it_says_what_was_not_checked(mediaconv, config):
    lines = mediaconv("validate", config(**keys("missing", CONV))).stdout.splitlines()
    assert lines[0].endswith("valid (image, 1 layer)")
    assert "not checked: whether the layers fit each other (input: missing does not exist" in lines[1]
    assert "in_channels in the first layer" in lines[1]
    lines = mediaconv("validate", config(**keys("missing", STATED))).stdout.splitlines()
    assert lines[0].endswith("valid (image, 1 layer, 2 -> 4 channels)")
    assert "not checked: whether the stack fits its input" in lines[1]


def test_an_input_that_does_not_open_is_told(mediaconv, config, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    said = mediaconv("validate", config(**keys("bad.png", STATED))).stdout
    assert "2 -> 4 channels" in said
    assert "not checked: whether the stack fits its input (bad.png" in said


def test_a_broken_input_is_named_and_the_next_is_looked_at(mediaconv, config, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_text("no picture")
    cv2.imwrite(str(folder / "b.png"), np.zeros((8, 10, 3), np.uint8))
    (folder / "c.png").write_text("no picture")
    path = config(**keys("in", CONV))
    lines = mediaconv("validate", path).stdout.splitlines()
    assert lines[0] == f"{path}: valid (image, 1 layer, 3 -> 4 channels)"
    starts = [f"{path}: an input would fail: in/{name}.png: " for name in "ac"]
    assert [line.startswith(start) for line, start in zip(lines[1:], starts, strict=True)] == [True, True]


def test_an_input_that_does_not_fit_is_named_where_another_fits(mediaconv, config, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, channels in (("a", 1), ("b", 2), ("c", 2)):
        soundfile.write(folder / f"{name}.wav", np.zeros((100, channels)), 8000)
    lines = mediaconv("validate", config(**keys("in", STATED, pipeline="audio"))).stdout.splitlines()
    assert lines[0].endswith("valid (audio, 1 layer, 2 -> 4 channels)")
    assert len(lines) == 2
    assert "an input would fail: in/a.wav: " in lines[1]
    assert "in_channels: got 2" in lines[1]
    (folder / "b.wav").unlink()
    (folder / "c.wav").unlink()
    found = mediaconv("validate", config(**keys("in", STATED, pipeline="audio")), code=2)
    assert "in_channels: got 2" in found.stderr


def test_where_every_input_is_broken_each_is_named(mediaconv, config, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("no picture")
    lines = mediaconv("validate", config(**keys(".", STATED))).stdout.splitlines()
    assert "2 -> 4 channels" in lines[0]
    assert [("a.png" in line, "b.png" in line) for line in lines[1:]] == [(False, True), (True, False)]


def test_of_many_inputs_it_says_how_many_were_looked_at(mediaconv, config, tmp_path):
    for number in range(18):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), np.zeros((8, 10, 3), np.uint8))
    lines = mediaconv("validate", config(**keys(".", CONV))).stdout.splitlines()
    assert lines[1].endswith("not checked: the other 2 of 18 inputs")
    assert len(lines) == 2


STRIDED = {"conv": {"out_channels": 4, "kernel_size": 3, "stride": 2}}
MISFITS = [  # a stack for three channels, more keys, what is said
    ([{"group_norm": {"num_groups": 2}}], {}, "stack[0].group_norm: "),
    ([{"conv": {"out_channels": 4, "kernel_size": 3, "groups": 2}}], {}, "stack[0].conv: "),
    ([CONV, {"conv": {"in_channels": 5, "out_channels": 4, "kernel_size": 1}}], {}, "stack[1].conv: in_ch"),
    ([{"branches": [[STRIDED], [CONV]]}], {}, "stack[0].branches: branches with strides 2, 1 cannot be"),
    ([{"residual": [STRIDED]}], {}, "stack[0].residual: "),
    ([{"branches": [[CONV], []]}], {}, "stack[0].branches: "),
    ([{"pixel_shuffle": {"upscale_factor": 2}}], {}, "stack[0].pixel_shuffle: got 3 channels"),
    (
        [{"reshape": {"pattern": "n (c k) h w -> n c (h k) w", "sizes": {"k": 2}}}],
        {},
        "stack[0].reshape: pattern 'n (c k) h w -> n c (h k) w': got 3 channels, expected a multiple of 2",
    ),
    ([{"conv": {"out_channels": 4, "kernel_size": 30, "padding": "valid"}}], {}, "leaves no output"),
    ([CONV], {"write": {"layout": "rgb"}}, "write.layout: rgb needs 3 output channels, the stack gives 4"),
    ([CONV], {"weights": "none.safetensors"}, "weights: none.safetensors: no such file"),
    ([{"conv": {"kernel": "box", "kernel_size": 3, "out_channels": 2}}], {}, "out_channels: got 2, but one"),
    ([{"conv": {"kernel": "sobel", "kernel_size": 1}}], {}, "stack[0].conv: sobel: kernel_size along x: got"),
    (["glu"], {}, "stack[0].glu: got 3 channels, expected an even number"),
    ([{"prelu": {"num_parameters": 8}}], {}, "stack[0].prelu: num_parameters: got 8, expected 1, or one per"),
    ([CONV], {"read": {"size": [0, 5]}}, "got [0, 5], expected [width, height] in pixels, integers from 1"),
]  # fmt: skip


@pytest.mark.parametrize(("stack", "more", "said"), MISFITS)
def test_layers_that_do_not_fit_are_found(mediaconv, config, image, stack, more, said):
    path = config(**keys(image, *stack, **more))
    found = mediaconv("validate", path, code=2)
    assert found.stderr.startswith(f"error: {path}:")
    assert said in found.stderr
    assert len(found.stderr.splitlines()) <= 2
    assert not found.stdout


def test_a_size_beyond_the_limits_is_told(mediaconv, config, image):
    path = config(**keys(image, CONV, read={"size": [90, 9]}, limits={"max_pixels": 800}))
    assert "90x9 pixels are more than the limit of 800" in mediaconv("validate", path).stdout
    assert "90x9 pixels are more than the limit of 800" in mediaconv("run", path, code=1).stderr


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (torch.zeros(4, 3, 5, 5), "0.weight"),
        (torch.full((4, 3, 3, 3), torch.nan), "NaN"),
        (torch.zeros(4, 3, 3, 3), "0.bias"),
    ],
)
def test_weights_are_checked(mediaconv, config, image, tmp_path, weight, said):
    save_file({"0.weight": weight}, tmp_path / "w.safetensors")
    found = mediaconv("validate", config(**keys(image, CONV, weights="w.safetensors")), code=2)
    assert said in found.stderr


def test_cut_offs_in_hertz_need_the_rate(mediaconv, config, tmp_path):
    low = {"conv": {"kernel": {"low_pass": {"cutoff_hz": 5000}}, "in_channels": 1}}
    said = mediaconv("validate", config(**keys("missing", low, pipeline="audio"))).stdout
    assert "not checked: cut-offs in Hz" in said
    soundfile.write(tmp_path / "in.wav", np.zeros(100), 8000)
    found = mediaconv("validate", config(**keys("in.wav", low, pipeline="audio")), code=2)
    assert "expected less than half the rate: 4000 Hz here" in found.stderr
    resampled = keys("missing", low, pipeline="audio", read={"sample_rate": 9000})
    assert "4500 Hz" in mediaconv("validate", config(**resampled), code=2).stderr


def test_all_files_are_checked_and_all_errors_told(mediaconv, config, image):
    good = config("good.yaml", **keys(image, CONV))
    misspelt = config("misspelt.yaml", **keys(image, "rleu", sede=3))
    misfit = config("misfit.yaml", **keys(image, {"group_norm": {"num_groups": 2}}))
    found = mediaconv("validate", misspelt, good, misfit, code=2)
    assert [line.partition(": ")[0] for line in found.stdout.splitlines()] == [str(good)]
    assert "(did you mean 'relu'?)" in found.stderr
    assert "(did you mean 'seed'?)" in found.stderr
    assert "misfit.yaml:5: stack[0].group_norm" in found.stderr
    assert len(found.stderr.splitlines()) == 3


def test_overrides_are_checked(mediaconv, config, image):
    path = config(**keys("missing", {"conv": {"kernel": "sobel"}}))
    said = mediaconv("validate", path, "--input", image, "--set", "stack.0.conv.kernel_size=5").stdout
    assert "1 layer, 3 -> 3 channels" in said
    found = mediaconv("validate", path, "--set", "stack.0.conv.kernel_size=-1", code=2)
    assert "--set stack.0.conv.kernel_size=-1: stack[0].conv.kernel_size: got -1" in found.stderr


def test_nothing_is_left_behind(mediaconv, config, image, tmp_path):
    path = config(**keys(image, CONV))
    before = sorted(tmp_path.iterdir())
    mediaconv("validate", path)
    assert sorted(tmp_path.iterdir()) == before


def test_help_is_quick():
    taken = [math.inf]
    while min(taken) >= 0.4 and len(taken) < 20:  # a shared machine has slow moments
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "mediaconv.cli.main", "--help"], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # the time of its own work, which is what it takes on a machine with a core to spare
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert "validate" in done.stdout
    assert min(taken) < 0.4, taken


def test_help_imports_nothing_heavy():
    code = "import sys; from mediaconv.cli.main import app; app(['--help'], standalone_mode=False); "
    code += "print([name for name in ('torch', 'numpy', 'av', 'cv2', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


ALL = """
import sys
from typer.testing import CliRunner
from mediaconv.cli.main import app
for line in ("run", "run --dry-run", "validate", "compare", "prove", "animate -o x.gif", "trace", "inspect",
             "receptive", "export --chunk 3 -o x.onnx"):
    words = line.split()
    done = CliRunner().invoke(app, [words[0], "bad.yaml", *words[1:]])
    assert done.exit_code == 2, done.output
    assert "bad.yaml:6: stack[0].conv.kernel_size: got -3" in done.output, done.output
    assert "torch" not in sys.modules, words
"""


def test_no_command_loads_torch_before_it_has_read_the_configuration(config, tmp_path):
    stack = [{"conv": {"kernel_size": -3, "out_channels": 2}}]
    config("bad.yaml", pipeline="image", input="in", output="out", stack=stack)
    subprocess.run([sys.executable, "-c", ALL], cwd=tmp_path, check=True)


@pytest.fixture(scope="module")
def printed_schema(root):
    return run_program("schema", cwd=root).stdout


def test_the_schema_takes_every_shipped_configuration(printed_schema, root):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(printed_schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (root / "configs").glob("*.yaml"):
        validator.validate(yaml.load(path.read_text(), Loader))
    assert not validator.is_valid({"pipeline": "image", "input": "a", "output": "b", "stack": ["rleu"]})


def test_the_schema_in_the_docs_is_the_one_printed(printed_schema, root):
    assert (root / "docs" / "schema.json").read_text() == printed_schema, "run: make schema"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.onnx", None, "none.onnx: no such file"),
        ("cut.onnx", b"\x08\x08\x3a\x50\x0a", "cut.onnx: cannot be read as ONNX"),
        ("pickle.pt2", b"\x80\x04", "pickle.pt2: is no archive of torch.export"),
        ("w.ckpt", b"x", "w.ckpt: .ckpt files are weights, TorchScript or pickles"),
        ("not_installed", None, "got 'not_installed', expected a path that ends in .onnx or .pt2"),
    ],
)
def test_a_model_that_cannot_be_read_is_told_of_where_nothing_tells_the_channels(
    mediaconv, tmp_path, name, content, told
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    said = mediaconv("validate", "--model", name, "--set", "pipeline=audio", code=2).stderr
    assert f"--model {name}: stack[0].model: {told}" in said
    assert "--channels" not in said
    inside = {"residual": {"layers": [{"model": name}]}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(keys("none", CONV, inside, pipeline="audio")))
    said = mediaconv("validate", "c.yaml", code=2).stderr
    assert f"stack[1].residual.layers[0].model: {told}" in said, said
