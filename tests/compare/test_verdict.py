"""Configurations judged: stack and files together, with leaks outside the stack."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from mediaconv.compare.prove.verdict import order_axes, prove_config
from mediaconv.config import parse_config
from mediaconv.pipeline import find
from mediaconv.web.json_values import dumps

SOUND = """
pipeline: audio
input: {input}
output: out
causal: true
stack:
  - conv: {{out_channels: 2, kernel_size: 5, dilation: 2}}
  - relu
  - conv: {{out_channels: 1, kernel_size: 3}}
"""


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "in.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (3000, 2)), 8000, subtype="PCM_24")
    return path


def test_a_standard_stack_is_judged_along_the_time_axis_of_its_layers():
    stack = (
        "pipeline: image\ninput: a.png\noutput: out\nstack:\n  - conv: {out_channels: 1, kernel_size: [5, 3]"
    )
    config = parse_config(stack + ", time_axis: 1}\n")
    assert order_axes(config, find("image")) == (1,)
    assert order_axes(parse_config(stack + "}\n"), find("image")) == (0, 1)


def test_the_causal_twin_of_a_model_is_judged_along_the_axis_that_its_windows_moved_on():
    head = "pipeline: image\ninput: a.png\noutput: out\nstack:\n"
    twin = parse_config(head + "  - model: {file: a.onnx, causal: true}\n")
    assert order_axes(twin, find("image")) == (0,)
    raster = "  - conv: {out_channels: 1, kernel_size: 3, causal: raster}\n"
    with_layers = parse_config(head + "  - model: {file: a.onnx, causal: true}\n" + raster)
    assert order_axes(with_layers, find("image")) == (0, 1)


def judge(text, *overrides, files=True):
    config = parse_config(text, overrides=overrides)
    return prove_config(config, find(config.pipeline), files=files)


def test_a_causal_sound_passes_in_its_stack_and_in_its_files(sound):
    found = judge(SOUND.format(input=sound))
    assert found.causal
    assert found.lookahead == 0
    assert found.files.causal
    assert found.files.input == "in.wav"
    assert len(found.files.changes) == 4
    assert found.notes == []


def test_a_standard_sound_fails_by_the_formula_in_both(sound):
    found = judge(SOUND.format(input=sound), "causal=false")
    assert not found.causal
    assert found.lookahead == found.formula == found.files.lookahead == 4 + 1
    assert [leak.layer for leak in found.leaks] == ["stack[0].conv (Conv1d)", "stack[2].conv (Conv1d)"]


def test_resampling_looks_ahead_and_is_named(sound):
    found = judge(SOUND.format(input=sound), "read.sample_rate=4000")
    assert not found.causal
    assert found.lookahead == found.formula > 0
    assert [leak.layer for leak in found.leaks] == ["read.sample_rate (Resample)"]
    assert not found.files.causal


def test_a_norm_in_a_standard_file_with_causal_layers_is_named(sound):
    text = (
        SOUND.format(input=sound)
        .replace("causal: true", "causal: false")
        .replace("dilation: 2", "causal: true")
    )
    found = judge(text.replace("  - relu", "  - instance_norm"), "stack.2.conv.causal=true")
    assert found.lookahead is None
    assert [leak.layer for leak in found.leaks] == ["stack[1].instance_norm (InstanceNorm1d)"]
    assert not found.files.causal


@pytest.mark.parametrize("first", ["  - relu", "  - conv: {kernel_size: 3, out_channels: 1, padding: 0}"])
def test_blocks_of_any_size_are_tried(sound, first):
    blocks = f"""
{first}
  - reshape: {{pattern: "n c (t k) -> n (k c) t", sizes: {{k: 7}}}}
  - conv: {{out_channels: 7, kernel_size: 3}}
  - reshape: {{pattern: "n (k c) t -> n c (t k)", sizes: {{k: 7}}}}
"""
    text = SOUND.format(input=sound).split("stack:")[0].replace("causal: true", "causal: false")
    found = judge(text + "stack:" + blocks)
    assert (found.causal, found.lookahead) == (False, 13 + 2 * ("conv" in first))
    assert 0 < found.files.lookahead <= found.lookahead  # of the few changes that are tried in files


def test_minmax_reads_the_whole_file_first(sound):
    found = judge(SOUND.format(input=sound), "causal=false", "normalize=minmax")
    assert found.lookahead is None
    assert "normalize.minmax" in found.leaks[-1].layer


def test_no_input_is_needed():
    found = judge(SOUND.format(input="nowhere.wav"))
    assert found.causal
    assert found.files.input is None
    found = judge(SOUND.format(input="nowhere.wav"), files=False)
    assert (found.files, found.notes) == (None, [])


def test_residual_layers_are_named_by_their_place(sound):
    text = SOUND.format(input=sound).replace(
        "  - relu", "  - residual: [{conv: {out_channels: 2, kernel_size: 3, causal: false}}]"
    )
    found = judge(text, files=False)
    assert [leak.layer for leak in found.leaks] == ["stack[1].residual.layers[0].conv (Conv1d)"]
    assert found.lookahead == 1


def test_the_convolution_of_a_gate_bears_the_name_of_its_layer(sound):
    gate = "  - gated: {out_channels: 2, kernel_size: 3, causal: false}"
    found = judge(SOUND.format(input=sound).replace("  - relu", gate), files=False)
    assert [leak.layer for leak in found.leaks] == ["stack[1].gated (Conv1d)"]
    resampled = judge(
        SOUND.format(input=sound).replace("  - relu", gate), "read.sample_rate=4000", files=False
    )
    assert "stack[1].gated (Conv1d)" in [leak.layer for leak in resampled.leaks]


IMAGE = """
pipeline: image
input: nowhere
output: out
causal: {causal}
stack:
  - conv: {{out_channels: 2, kernel_size: [3, 5]}}
  - relu
"""


@pytest.mark.parametrize("causal", ["true", "pad", "mask", "{raster: A}"])
def test_images_are_causal_in_the_order_that_their_mode_means(causal):
    found = judge(IMAGE.format(causal=causal))
    assert found.causal
    assert found.files.causal
    within_first_row = any(change[0] == 0 < change[-1] for change in found.files.changes)
    assert within_first_row == (causal in ("true", "{raster: A}"))


def test_a_standard_image_looks_ahead_by_rows():
    found = judge(IMAGE.format(causal="false"))
    assert (found.causal, found.lookahead, found.unit) == (False, 1, "rows")
    assert found.files.lookahead == 1


def test_time_along_columns_is_judged_along_columns():
    found = judge(IMAGE.format(causal="pad"), "time_axis=1")
    assert found.causal
    assert found.files.causal


def test_film_in_files():
    text = """
pipeline: video
input: nowhere
output: out
causal: true
stack:
  - conv: {out_channels: 1, kernel_size: 3, stride: [2, 1, 1]}
"""
    assert judge(text).causal
    found = judge(text, "causal=false")
    assert found.lookahead == found.files.lookahead == 1
    assert found.unit == "frames"


@pytest.mark.parametrize(("fps", "ahead"), [(5, 1), (40, 1)])
def test_frames_chosen_at_another_rate_are_not_later_ones(tmp_path, fps, ahead):
    """The frame shown at a time is the last one that began before it: choosing it reads nothing later."""
    from fractions import Fraction

    from mediaconv.media.video.writer import VideoWriter

    frames = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    with VideoWriter(tmp_path / "in.mp4", rate=Fraction(10)) as writer:
        writer.write(frames, [Fraction(i, 10) for i in range(20)])
    text = f"""
pipeline: video
input: {tmp_path / "in.mp4"}
output: out
causal: true
read: {{fps: {fps}}}
stack:
  - conv: {{out_channels: 1, kernel_size: [3, 1, 1]}}
"""
    found = judge(text)
    assert found.causal
    assert found.files.causal
    assert found.files.input == "in.mp4"
    found = judge(text, "causal=false")
    assert (found.lookahead, len(found.leaks)) == (ahead, 1)
    assert 0 < found.files.lookahead <= np.ceil(10 / fps)


@pytest.mark.parametrize(("size", "ahead"), [([24, 10], 3), ([24, 40], 0), ([24, 80], 1)])
def test_scaling_an_image_reads_rows_ahead_and_is_named(tmp_path, size, ahead):
    """A row of 40 rows made to 10 is the mean of four, of which three lie below the first."""
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (40, 24, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "in.png"), picture)
    text = IMAGE.format(causal="pad").replace("nowhere", str(tmp_path / "in.png"))
    found = judge(text, f"read.size={size}")
    assert (found.causal, found.lookahead, found.unit) == (ahead == 0, ahead, "rows")
    assert [leak.layer for leak in found.leaks] == ["outside the stack: read.size"] * (ahead > 0)
    assert judge(IMAGE.format(causal="pad"), f"read.size={size}").causal


def test_json_is_strict_and_says_what_matters_first(sound):
    found = judge(SOUND.format(input=sound), "causal=false", "normalize=minmax", files=False)
    told = json.loads(dumps(found.as_json()), parse_constant=lambda name: pytest.fail(name))
    assert list(told)[:2] == ["causal", "lookahead"]
    assert told["causal"] is False
    assert told["lookahead"] is None
