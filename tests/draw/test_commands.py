"""animate, trace and receptive from the command line, over real configurations and files."""

from __future__ import annotations

import inspect
import json
import re

import av
import numpy as np
import pytest
import soundfile
import typer
from PIL import Image
from typer.testing import CliRunner

from mediaconv.cli.animate import animate
from mediaconv.cli.options import ending
from mediaconv.cli.receptive import receptive
from mediaconv.cli.trace import trace

CONFIG = """
pipeline: {pipeline}
input: {folder}
output: {folder}/out
causal: true
stack:
  - conv: {{out_channels: 2, kernel_size: 3}}
  - relu
  - residual:
      - conv: {{out_channels: 2, kernel_size: 3, dilation: 2}}
"""


@pytest.fixture
def run():
    """Run a command; its exit code and what it printed, errors after the rest."""
    app = typer.Typer(pretty_exceptions_enable=False)
    for command in (animate, trace, receptive):
        app.command()(ending(command))

    def call(*args):
        result = CliRunner().invoke(app, [str(a) for a in args])
        return result.exit_code, result.output

    return call


@pytest.fixture
def made(tmp_path):
    def config(pipeline):
        path = tmp_path / f"{pipeline}.yaml"
        path.write_text(CONFIG.format(pipeline=pipeline, folder=tmp_path))
        return path

    return config


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for n in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 20 * n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_animate_without_a_configuration(run, tmp_path):
    target = tmp_path / "a.gif"
    code, out = run(
        "animate", "--kind", "conv3d", "--kernel-size", 3, "--causal", "mask", "--size", 2, "-o", target
    )
    assert (code, Image.open(target).n_frames) == (0, 8)
    assert "CausalConv3d (mask)" in out


def test_animate_beside_standard(run, tmp_path):
    target = tmp_path / "a.svg"
    assert run("animate", "--kind", "conv1d", "--causal", "pad", "--beside", "standard", "-o", target)[0] == 0
    assert ">Conv1d<" in target.read_text()
    assert ">CausalConv1d (pad)<" in target.read_text()


def test_animate_a_layer_of_a_configuration_over_a_file(run, made, picture, film, tmp_path):
    target = tmp_path / "a.svg"
    code, out = run("animate", made("image"), "--input", picture, "--layer", 0, "--at", "20,30", "-o", target)
    assert code == 0, out
    assert "noise.png" in target.read_text()
    code, out = run(
        "animate",
        made("video"),
        "--layer",
        "2.layers.0",
        "--input",
        film,
        "--beside",
        "standard",
        "-o",
        target,
    )
    assert code == 0, out
    assert "layer 2.layers.0 of 3" in target.read_text()
    assert ">Conv3d<" in target.read_text()


def test_numbers_of_a_file_are_the_true_ones(made, film):
    """What is drawn of the second layer is what the stack computes there over the whole film."""
    from mediaconv.config import load_config
    from mediaconv.draw.animate.configured_layers import animate_config
    from mediaconv.draw.subject import subject

    config = load_config(made("video"))
    animation = animate_config(config, layer="2.layers.0", input=film, at=(3, 4, 5))
    sliding = animation.picture.slidings[0]
    whole = subject(config, input=film)
    inner = whole.stack.double()[:2](whole.x.double()[None])
    expected = whole.stack[2].layers(inner)[0]
    for channel, position in sliding.outputs():
        value = sliding.step(channel, position).value
        # float64 sums of the same products in another order
        assert value == pytest.approx(expected[(channel, *position)].item(), abs=1e-12)


def test_gallery(run, tmp_path):
    code, _ = run("animate", "--gallery", tmp_path / "g", "--frames", 1)
    assert (code, len(list((tmp_path / "g").glob("*.gif")))) == (0, 7)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "give a CONFIG, or a model alone by --model, or --kind"),
        (("--kind", "conv1d"), "give a file with -o"),
        (("--kind", "conv1d", "-o", "a.avi"), "expected one of .gif"),
        (("--kind", "conv1d", "-o", "a.gif", "--beside", "other"), "expected standard"),
        (("--kind", "conv1d", "-o", "a.gif", "--beside", "standard"), "the layer is standard itself"),
        (
            ("--kind", "conv1d", "-o", "a.gif", "--values", "1 2", "--size", "3"),
            "--values, whose numbers have a size",
        ),
        (("--kind", "conv1d", "-o", "a.gif", "--kernel-size", "x"), "expected whole numbers"),
        (("--kind", "conv2d", "-o", "a.gif", "--size", "3,4,5"), "expected 2 lengths"),
        (("--kind", "conv1d", "-o", "a.gif", "--channel", "4"), "channel: got 4"),
        (
            ("--kind", "conv2d", "-o", "a.gif", "--kernel-size", "0"),
            "kernel_size: got 0, 0, expected at least",
        ),
        (("--kind", "conv1d", "-o", "a.gif", "--input", "a.wav"), "--input: says nothing about --kind"),
        (("some.yaml", "-o", "a.gif", "--stride", "2"), "--stride: says nothing about CONFIG"),
        (("--gallery", "g", "--stride", "2"), "--stride: says nothing about --gallery"),
        (("--gallery", "g", "--kind", "conv1d"), "give a CONFIG, or a model alone by --model, or --kind"),
    ],
)
def test_animate_refuses_with_exit_code_2(run, args, text):
    code, out = run("animate", *args)
    assert code == 2
    assert text in out
    assert len(out.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("conv1d", "--causal", "true"), "10 frames, CausalConv1d (pad)"),
        (("conv2d", "--causal", "true"), "36 frames, CausalConv2d (raster, type B)"),
        (("conv3d", "--causal", "true"), "64 frames, CausalConv3d (pad)"),
        (("conv_transpose2d", "--causal", "true", "--stride", "2"), "frames, CausalConvTranspose2d"),
        (("conv2d", "--groups", "2"), "72 frames, Conv2d"),
        (("conv3d", "--padding", "valid", "--dilation", "2"), "1 frame, Conv3d"),
    ],
)
def test_animate_draws_a_kind_without_a_configuration(run, tmp_path, args, text):
    code, out = run("animate", "--kind", *args, "-o", tmp_path / "a.svg")
    assert code == 0, out
    assert text in out


def test_animate_lists_the_layers_that_slide(run, made):
    code, out = run("animate", made("image"), "--layer", 1, "-o", "a.gif")
    assert code == 2
    assert "0 (CausalConv2d), 2.layers.0 (CausalConv2d)" in out


def test_trace_of_a_file_a_shape_and_neither(run, made, film):
    told = run("trace", made("video"), "--input", film, "--json")[1]
    told = json.loads(told[told.index("{") :])  # a slow machine is told first that tracing goes on
    assert told["input_shape"] == [3, 12, 24, 32]
    assert told["axes"] == ["channels", "time", "height", "width"]
    told = run("trace", made("video"), "--shape", "1,4,5,6", "--json")[1]
    told = json.loads(told[told.index("{") :])
    assert told["layers"][0]["output_shape"] == [2, 4, 5, 6]
    assert run("trace", made("audio"))[1].startswith("input: channels 1, time 16000")
    assert "| layer |" in run("trace", made("audio"), "--markdown")[1]
    assert (
        "floor((4 + 2 + 0 - 1 * (3 - 1) - 1) / 1) + 1 = 4"
        in run("trace", made("video"), "--shape", "1,4,5,6", "--explain", 0)[1]
    )


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--shape", "3,4"), "expected channels and time, height, width"),
        (("--shape", "3,4,a,5"), "expected channels and"),
        (("--shape", "1,2,3,4", "--input", "x.mp4"), "expected one of them"),
        (("--explain", "9"), "the layers are 0, 1, 2"),
    ],
)
def test_trace_refuses(run, made, args, text):
    code, out = run("trace", made("video"), *args)
    assert code == 2
    assert text in out


def test_receptive(run, made, tmp_path):
    code, out = run("receptive", made("video"), "-o", tmp_path / "cone.png")
    assert code == 0, out
    assert "time: receptive field 7, look-ahead 0, look-back 6" in out
    assert "width: receptive field 7, look-ahead 3, look-back 3" in out
    assert Image.open(tmp_path / "cone.png").width > 800
    told = json.loads(run("receptive", made("audio"), "--json")[1])
    assert told == [
        {
            "axis": "time",
            "stride": 1.0,
            "formula": {"receptive_field": 7, "latency": 0, "lookback": 6},
            "measured": {"receptive_field": 7, "latency": 0, "lookback": 6},
        }
    ]


def test_receptive_in_the_terms_of_a_film(run, made, film):
    """Film of 12 frames of 24 x 32 at 10 frames a second, of which an output reads 7: 0.7 s."""
    code, out = run("receptive", made("video"), "--input", film)
    assert code == 0, out
    assert "  film.mp4: 7 of 12 frames, 700 ms of 1.2 s at 10 a second; look-ahead 0 ms; an output" in out
    assert "every 100 ms" in out
    assert "  film.mp4: 7 of 24 rows\n" in out
    assert "  film.mp4: 7 of 32 columns\n" in out
    time, _, width = json.loads(run("receptive", made("video"), "--input", film, "--json")[1])
    assert time["input"]["seconds"] == {
        "receptive_field": 0.7, "latency": 0.0, "lookback": 0.6, "stride": 0.1, "length": 1.2
    }  # fmt: skip
    assert width["input"] == {"length": 32, "unit": "columns", "rate_hz": None, "seconds": None}


def test_receptive_counts_at_the_rate_that_the_stack_gets(run, tmp_path):
    """A second of 8 kHz is read at 2 kHz: 2000 samples, of which a kernel of 3 reads 1.5 ms."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    config = tmp_path / "c.yaml"
    config.write_text(
        "pipeline: audio\nread: {sample_rate: 2000}\n"
        "stack: [{conv: {out_channels: 1, kernel_size: 3, stride: 2}}]\n"
    )
    code, out = run("receptive", config, "--input", tmp_path / "a.wav")
    assert code == 0, out
    assert (
        "a.wav: 3 of 2,000 samples, 1.5 ms of 1 s at 2000 a second; look-ahead 0.5 ms; an output every 1 ms"
        in out
    )
    config.write_text("pipeline: audio\nstack: [{conv: {in_channels: 2, out_channels: 1, kernel_size: 3}}]\n")
    code, out = run("receptive", config, "--input", tmp_path / "a.wav")
    assert code == 2
    assert "in_channels: got 2, but what comes before gives 1 channel" in out
    code, out = run("receptive", config, "--input", tmp_path / "a.wav", "--channels", 2)
    assert (code, "expected one of them" in out) == (2, True)


@pytest.mark.parametrize("command", [animate, trace, receptive])
def test_commands_import_nothing_heavy_before_they_run(command):
    source = inspect.getsource(inspect.getmodule(command))
    outside = re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE)
    assert not {m for m in outside if m.split(".")[0] in ("torch", "PIL", "numpy")}
    assert not {m for m in outside if m.startswith("mediaconv.draw")}


def test_random_weights_of_ones_own_are_drawn_as_whole_numbers(tmp_path):
    from pathlib import Path

    from mediaconv.draw.animate.configured_layers import animate_config
    from mediaconv.guide.stack_only import load_stack_only

    path = Path(tmp_path / "s.yaml")
    path.write_text("pipeline: audio\nstack:\n  - conv: {out_channels: 1, kernel_size: 3}\n")
    made = animate_config(load_stack_only(path))
    weight = made.picture.slidings[0].layer.weight
    assert bool((weight == weight.round()).all())
    path.write_text("pipeline: audio\nstack:\n  - conv: {kernel: gaussian}\n")
    weight = animate_config(load_stack_only(path)).picture.slidings[0].layer.weight
    assert not bool((weight == weight.round()).all())


def test_every_frame_drawn_is_told(tmp_path):
    from mediaconv.draw.animate.animation import animate as drawn
    from mediaconv.draw.animate.made_layers import demo_input, demo_layer

    made = drawn(demo_layer("conv1d"), demo_input(1, (10,)))
    told = []
    made.on_frame = lambda done, frames: told.append((done, frames))
    made.save(tmp_path / "a.gif")
    assert told == [(i + 1, len(made)) for i in range(len(made))]


def test_a_kernel_of_one_with_padding_is_drawn(tmp_path, mediaconv):
    mediaconv("animate", "--kind", "conv1d", "--kernel-size", 1, "--padding", 1, "-o", "k.svg")
    assert (tmp_path / "k.svg").stat().st_size > 1000
