"""What a right file becomes: every key, every spelling, defaults, overrides, and the way back to YAML."""

from __future__ import annotations

import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from mediaconv.config import RunConfig, dump_config, load_config, parse_config
from mediaconv.config.dump import located
from mediaconv.errors import ConfigError
from mediaconv.layers import LAYERS, walk

BASE = "pipeline: {}\ninput: in\noutput: out\n"
VIDEO = BASE.format("video")
AUDIO = BASE.format("audio")
IMAGE = BASE.format("image")

ISSUE = """\
pipeline: video            # audio, image, video, or an installed plug-in's name
input: data/video
output: out/video_causal
seed: 0
causal: true
device: auto
precision: float32
chunk: auto
read: {}
stack:
  - conv: {out_channels: 8, kernel_size: [3, 5, 5]}
  - relu
  - conv: {out_channels: 4, kernel_size: 3, dilation: [2, 1, 1], causal: false}
weights: my.safetensors
normalize: sigmoid
write: {}
"""

GOOD = {
    "issue": ISSUE,
    "block": VIDEO
    + """\
stack:
- residual:
  - conv:
      out_channels: 4
      kernel_size: 3
      causal: mask
  - leakyrelu
- residual:
    layers: [{conv: {out_channels: 4, kernel_size: 1, stride: [1, 2, 2]}}]
    shortcut: [avg_pool: {kernel_size: 2}]
- branches: [[relu], [], [conv: {out_channels: 4, kernel_size: 3}]]
- branches: {merge: concat, paths: [[gelu: {approximate: tanh}], [identity]]}
- group_norm: {num_groups: 2}
- upsample: {scale_factor: [1, 2, 2], mode: linear}
- max_pool: {kernel_size: 2, stride: 1, dilation: 2, padding: valid}
- deform_conv: {out_channels: 4, kernel_size: 3, offset_range: 2, modulation: true, causal: pad}
- reshape: {pattern: n (c k) t h w -> n c (t k) h w, sizes: {k: 2}}
read: {fps: 30000/1001, size: [4, 5]}
write: {bit_depth: float}
normalize: {clip: {low: -1e-3, high: 2}}
""",
    "kernels": IMAGE
    + """\
causal: {raster: A}
stack:
- conv: {kernel: sobel}
- conv: {kernel: {sobel: {axis: y, mix: true}}, causal: false}
- conv: {kernel: {gaussian: {sigma: 2}}, kernel_size: [5, 7]}
- conv: {out_channels: 2, kernel_size: 3, init: {normal: {std: 1e-2}}, causal: mask, time_axis: 1}
- conv: {out_channels: 2, kernel_size: 3, init: kaiming_normal, bias: [1, 2]}
- conv: {weight: [[[[1, 2], [3, 4]]]]}
- conv_transpose: {out_channels: 2, kernel_size: 4, stride: 2, output_padding: 1, groups: 2}
time_axis: 1
""",
    "sound": AUDIO
    + """\
causal: yes
stack:
- conv: {kernel: {low_pass: {cutoff_hz: 4e3, taps: 31}}}
- conv: {kernel: {band_pass: {band: [300, 3400]}}, causal: no}
- gated
- gated: {out_channels: 4, kernel_size: 2, dilation: 4}
- conv: {out_channels: 4, kernel_size: 4, stride: 2, alignment: block, padding_mode: replicate}
- batch_norm
- rms_norm: {eps: 1e-6}
- dropout: {p: 0}
executor: process
workers: 2
timeout_seconds: 1.5
max_failures: 0
include: "*.wav"
exclude: ["a/*", b]
limits: {max_channels: 3}
ray: {address: auto, num_cpus: 2, resources: {disk: 1}}
""",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_dump_runs_again_as_it_stands(name: str) -> None:
    config = parse_config(GOOD[name])
    text = dump_config(config)
    again = parse_config(text)
    assert again == config
    assert dump_config(again) == text


def test_a_configuration_travels_to_another_process() -> None:
    for text in GOOD.values():
        config = parse_config(text)
        assert pickle.loads(pickle.dumps(config)) == config


def test_the_example_of_the_issue() -> None:
    config = parse_config(ISSUE)
    first, relu, last = config.stack
    assert (config.pipeline, config.input, config.output) == ("video", "data/video", "out/video_causal")
    assert (config.seed, config.causal, config.device, config.precision) == (0, True, "auto", "float32")
    assert (config.chunk, config.weights.file, config.normalize.name) == ("auto", "my.safetensors", "sigmoid")
    assert (
        first.chosen_options | {"kernel_size": (3, 5, 5), "out_channels": 8, "padding": "same"}
        == first.chosen_options
    )
    assert (relu.name, last.name, last.causal, last.dilation) == ("relu", "conv", False, (2, 1, 1))
    assert config.causality().mode == "pad"
    assert config.causality(first).mode == "pad"
    assert not config.causality(last)


def test_defaults() -> None:
    config = parse_config(AUDIO + "stack: [relu]\n")
    assert (config.seed, config.causal, config.device, config.precision, config.chunk) == (
        0,
        False,
        "auto",
        "float32",
        "auto",
    )
    assert config.weights is None
    assert config.normalize.chosen_options == {"gain": 1.0, "bias": 0.0}
    assert config.read.channels == "keep"
    assert (config.include, config.exclude, config.max_failures) == ((), (), None)


@pytest.mark.parametrize(
    ("pipeline", "causal", "mode", "kind"),
    [
        ("audio", "true", "pad", "B"),
        ("image", "on", "raster", "B"),
        ("image", "{raster: A}", "raster", "A"),
        ("video", "raster", "raster", "B"),
        ("video", "mask", "mask", "B"),
        ("image", "off", "none", "B"),
    ],
)
def test_what_causal_means(pipeline: str, causal: str, mode: str, kind: str) -> None:
    how = parse_config(BASE.format(pipeline) + f"causal: {causal}\nstack: [relu]\n").causality()
    assert (how.mode, how.raster) == (mode, kind)


def test_values_are_typed_and_in_torchs_order() -> None:
    config = parse_config(GOOD["kernels"])
    by_kernel = config.stack[1].kernel
    assert (by_kernel.name, by_kernel.axis, by_kernel.mix) == ("sobel", "y", True)
    assert config.stack[2].kernel_size == (5, 7)
    assert (config.stack[3].init.name, config.stack[3].init.std) == ("normal", 0.01)
    assert config.stack[4].bias == (1.0, 2.0)
    assert config.stack[6].time_axis == 1  # the file's
    assert parse_config(GOOD["block"]).read.fps == Fraction(30000, 1001)
    assert parse_config(GOOD["block"]).normalize.chosen_options == {"low": -0.001, "high": 2.0}


def test_inline_numbers_state_channels_kernel_and_no_bias() -> None:
    conv = parse_config(AUDIO + "stack:\n- conv: {weight: [[[1, 2, 1]], [[0, 1e-1, 0]]], groups: 2}\n").stack[
        0
    ]
    assert (conv.out_channels, conv.in_channels, conv.kernel_size, conv.bias) == (2, 2, (3,), False)
    assert conv.weight == (((1.0, 2.0, 1.0),), ((0.0, 0.1, 0.0),))
    turned = parse_config(AUDIO + "stack:\n- conv_transpose: {weight: [[[1, 2]], [[0, 1]]]}\n").stack[0]
    assert (turned.out_channels, turned.in_channels, turned.kernel_size) == (1, 2, (2,))


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("leakyrelu", "leaky_relu"),
        ("leaky_relu", "leaky_relu"),
        ("logsoftmax", "log_softmax"),
        ("log_sigmoid", "logsigmoid"),
        ("{relu: {}}", "relu"),
        ("{relu: }", "relu"),
        ("{hardtanh: {min_val: -2}}", "hardtanh"),
    ],
)
def test_a_layer_by_any_of_its_spellings(spelt: str, name: str) -> None:
    assert parse_config(AUDIO + f"stack: [{spelt}]\n").stack[0].name == name


def test_all_activations_of_the_registry_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    from mediaconv.layers.activations import ACTIVATIONS

    needs = {"threshold": {"threshold": 1.0, "value": 2.0}}
    needs |= {name: {"dim": 1} for name in ("softmax", "softmin", "log_softmax", "glu")}
    for name, kind in ACTIVATIONS.items():
        spec = kind(**needs.get(name, {}))
        module = getattr(torch.nn, spec.torch_name)(**spec.chosen_options)
        plain = getattr(torch.nn, spec.torch_name)(**needs.get(name, {}))
        assert repr(module) == repr(plain), name  # our defaults are torch's


def test_the_walk_visits_nested_layers_with_their_paths() -> None:
    found = [(path, spec.name) for path, spec in walk(parse_config(GOOD["block"]).stack)]
    assert (("stack", 0, "residual", "layers", 1), "leaky_relu") in found
    assert (("stack", 1, "residual", "shortcut", 0), "avg_pool") in found
    assert (("stack", 2, "branches", "paths", 2, 0), "conv") in found
    assert [path for path, _ in found if len(path) == 2] == [("stack", i) for i in range(9)]
    assert all(name in LAYERS for _, name in found)


def test_anchors_and_merged_keys() -> None:
    text = AUDIO + (
        "stack:\n- conv: &small {out_channels: 2, kernel_size: 3}\n"
        "- conv: {<<: *small, kernel_size: 5}\n- conv: *small\n"
    )
    specs = parse_config(text).stack
    assert [(s.out_channels, s.kernel_size) for s in specs] == [(2, 3), (2, 5), (2, 3)]


def test_a_date_or_a_quoted_number_is_a_path() -> None:
    config = parse_config("pipeline: audio\ninput: 2024-01-01\noutput: '1e3'\nstack: [relu]\n")
    assert (config.input, config.output) == ("2024-01-01", "1e3")
    assert parse_config(dump_config(config)) == config


def test_overrides_reach_any_key_and_make_mappings() -> None:
    config = parse_config(
        VIDEO + "stack: [{conv: {out_channels: 1, kernel_size: 3}}, leaky_relu]\nnormalize: sigmoid\n",
        overrides=[
            "stack.0.conv.kernel_size=5",
            "stack[1].leaky_relu.negative_slope=1e-1",
            "read.fps=12",
            "normalize.sigmoid.gain=4",
            "write={crf: 3}",
            "seed=3",
            "seed=4",
            "include=['*=*']",
        ],
        input="other",
        output="there",
    )
    assert (config.stack[0].kernel_size, config.stack[1].negative_slope) == (5, 0.1)
    assert (config.read.fps, config.write.crf, config.normalize.gain) == (12, 3, 4.0)
    assert (config.seed, config.include, config.input, config.output) == (4, ("*=*",), "other", "there")


def test_an_override_mends_what_the_file_has_wrong() -> None:
    text = VIDEO + "seed: .nan\nstack: [rleu]\n"
    config = parse_config(text, overrides=["seed=1", "stack=[relu]"])
    assert (config.seed, config.stack[0].name) == (1, "relu")


def test_a_file_with_a_byte_order_mark_and_one_in_utf_16(tmp_path: Path) -> None:
    text = "pipeline: audio\ninput: ünï\noutput: 出力\nstack: [relu]\n"
    for encoding in ("utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.yaml"
        path.write_bytes(text.encode(encoding))
        assert load_config(path).output == "出力"


def test_a_dump_with_a_base_runs_from_any_folder(tmp_path: Path) -> None:
    config = parse_config(
        "pipeline: audio\ninput: 'a/*.wav'\noutput: s3://bucket/x\nstack: [relu]\nweights: /w\n"
    )
    again = parse_config(dump_config(config, base=tmp_path))
    assert (again.input, again.output) == (str(tmp_path / "a/*.wav"), "s3://bucket/x")
    assert again.weights is not None
    assert again.weights.file == "/w"


def test_files_inside_a_stack_are_seen_from_the_base_too(tmp_path: Path) -> None:
    config = parse_config(
        "pipeline: audio\ninput: a\noutput: b\nweights: {file: w.pt, key: model}\n"
        "stack: [{residual: [relu, {model: nets/a.onnx}]}, {model: installed_name}]\n"
    )
    again = parse_config(dump_config(config, base=tmp_path))
    assert again.weights is not None
    assert (again.weights.file, again.weights.key) == (str(tmp_path / "w.pt"), "model")
    assert again.stack[0].layers[1].file == str(tmp_path / "nets/a.onnx")
    assert again.stack[1].file == "installed_name"
    assert located(config, tmp_path).stack == again.stack


def test_a_configuration_made_in_python_is_checked_alike() -> None:
    content = {"pipeline": "audio", "input": "a", "output": "b", "stack": ["relu"], "causal": True}
    assert RunConfig.model_validate(content).causality().mode == "pad"
    with pytest.raises(ValueError, match=r"one of|list of 1 \(time\)"):
        RunConfig.model_validate({**content, "stack": [{"conv": {"out_channels": 1, "kernel_size": [1, 2]}}]})


def test_many_alias_nodes_are_limited() -> None:
    bomb = "a: &a [" + ", ".join(["x"] * 9) + "]\n"
    for previous, letter in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{letter}: &{letter} [" + ", ".join([f"*{previous}"] * 9) + "]\n"
    with pytest.raises(ConfigError, match="values, aliases counted in full"):
        parse_config(bomb)


def test_reading_a_configuration_imports_no_torch() -> None:
    code = "import sys, mediaconv.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numbers_are_those_of_yaml_1_2() -> None:
    text = "pipeline: audio\ninput: 12:30\noutput: 1:30:00\nseed: 010\nchunk: 0x10\nstack: [relu]\n"
    config = parse_config(text)
    assert (config.input, config.output) == ("12:30", "1:30:00")
    assert (config.seed, config.chunk) == (10, 16)


def test_a_pattern_in_an_override_needs_no_quotes() -> None:
    text = "pipeline: audio\ninput: in\noutput: out\nstack: [relu]\n"
    assert parse_config(text, overrides=["include=*.wav"]).include == ("*.wav",)
    assert parse_config(text, overrides=["include=['*.wav', b*]"]).include == ("*.wav", "b*")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/her")
    config = parse_config("pipeline: audio\ninput: ~/in\noutput: ~/a/~b\nweights: '~/w.pt'\nstack: [relu]\n")
    assert (config.input, config.output) == ("/home/her/in", "/home/her/a/~b")
    assert config.weights is not None
    assert config.weights.file == "/home/her/w.pt"
    assert parse_config("pipeline: audio\ninput: a\noutput: b\nstack: [{model: ~/m.onnx}]\n").stack[
        0
    ].file == ("/home/her/m.onnx")
    assert parse_config(AUDIO + "stack: [relu]\n", overrides=["output=~/b"]).output == "/home/her/b"
