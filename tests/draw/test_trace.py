"""The trace against torch: shapes as computed, parameters, torch's own FLOP counter, memory as held."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.flop_counter import FlopCounterMode

import mediaconv
import mediaconv.nn as mnn
from mediaconv.errors import UsageError
from mediaconv.nn.summary.size_formula import explain
from mediaconv.nn.summary.trace import trace
from mediaconv.nn.summary.trace_table import trace_json, trace_markdown, trace_text

GOLDEN = Path(__file__).parent / "golden"


def film_stack():
    inner = mnn.Sequential(
        mnn.Conv3d(8, 8, 3, padding="same"), torch.nn.ReLU(), mnn.CausalConv3d(8, 8, 3, mode="mask")
    )
    return mnn.Sequential(
        mnn.CausalConv3d(3, 8, 3, dilation=(2, 1, 1)),
        torch.nn.ReLU(),
        mnn.Residual(inner),
        mnn.CausalMaxPool3d(2, 2),
        mnn.Gated(mnn.CausalConv3d(8, 8, 3, stride=(2, 1, 1))),
        mnn.CausalConvTranspose3d(4, 4, 4, stride=2),
    )


STACKS = {
    "film": (film_stack, (3, 16, 12, 10)),
    "sound": (
        lambda: mnn.Sequential(
            mnn.CausalConv1d(2, 4, 9, dilation=8, groups=2),
            mnn.ChannelLayerNorm(4),
            mnn.Conv1d(4, 6, 5, stride=3),
        ),
        (2, 400),
    ),
    "image": (
        lambda: mnn.Sequential(
            mnn.CausalConv2d(1, 4, 5, mode="raster", raster_type="A"),
            mnn.Branches([mnn.Conv2d(4, 2, 3, padding="same"), mnn.Conv2d(4, 3, 1)], merge="concat"),
            mnn.Upsample2d(2, "linear"),
            mnn.ConvTranspose2d(5, 2, 3, stride=2, groups=1),
        ),
        (1, 11, 13),
    ),
    "deform": (lambda: mnn.Sequential(mnn.DeformConv2d(2, 3, 3, padding="same", offset_range=1)), (2, 9, 8)),
}


@pytest.fixture(params=STACKS)
def case(request):
    torch.manual_seed(0)
    make, shape = STACKS[request.param]
    return make().eval(), shape


def outputs_of(stack, shape):
    """Shape of every layer's output, by running it."""
    found = {}
    hooks = [
        module.register_forward_hook(lambda m, a, y, name=name: found.update({name: tuple(y.shape[1:])}))
        for name, module in stack.named_modules()
    ]
    stack(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return found


def test_shapes_are_those_of_a_run(case):
    stack, shape = case
    made, run = trace(stack, shape), outputs_of(stack, shape)
    assert {row.name: row.after for row in made.rows} == {row.name: run[row.name] for row in made.rows}
    assert made.total.after == run[""]
    assert made.rows[0].before == shape


def test_multiply_adds_are_half_of_torchs_flops(case):
    stack, shape = case
    with FlopCounterMode(display=False) as counter:
        stack(torch.zeros(1, *shape))
    assert trace(stack, shape).total.multiply_adds == counter.get_total_flops() / 2 > 0


def test_parameters_are_counted_once(case):
    stack, shape = case
    made = trace(stack, shape)
    assert made.total.parameters == sum(p.numel() for p in stack.parameters())
    assert sum(row.parameters for row in made.rows) == made.total.parameters


def test_memory_is_measured_and_never_above_the_estimate(case):
    stack, shape = case
    for row in trace(stack, shape).rows:
        estimated, measured = row.activation_bytes
        assert estimated == measured
        estimated, measured = row.state_bytes
        assert measured <= estimated


def test_state_of_a_causal_layer_is_its_past():
    made = trace(mnn.Sequential(mnn.CausalConv1d(3, 5, 4, dilation=2)), (3, 100))
    assert made.rows[0].state_bytes == (4 * 3 * 6, 4 * 3 * 6)


def test_geometry_goes_on_from_the_input():
    made = trace(film_stack(), (3, 16, 12, 10))
    rows = {row.name: row for row in made.rows}
    assert rows["0"].receptive_field == (5, 3, 3)
    assert rows["2.layers.0"].receptive_field == (7, 5, 5)
    assert rows["2.shortcut"].receptive_field == (5, 3, 3)
    assert (rows["2"].latency, rows["2.layers.2"].lookahead) == (1, 0)
    assert rows["4"].stride == (4, 2, 2)
    assert made.total.stride == (2, 1, 1)


@pytest.mark.parametrize(("axis", "words", "latency"), [(0, "along height", 2), (1, "along width", 0)])
def test_latency_is_of_the_axis_that_is_time_and_says_so(axis, words, latency):
    layer = mnn.CausalConv2d(1, 1, (5, 3), time_axis=1)
    made = trace(mnn.Sequential(layer), (1, 20, 24), time_axis=axis)
    assert (made.rows[0].latency, made.rows[0].lookahead, made.total.latency) == (latency,) * 3
    assert f"latency: in steps of the input {words};" in " ".join(trace_text(made).split())
    assert trace_json(made)["time_axis"] == words.removeprefix("along ")


def test_json_is_strict_and_without_the_batch():
    stack = mnn.Sequential(mnn.Conv1d(2, 3, 3, padding="same"), mnn.InstanceNorm1d(3), mnn.Upsample1d(2))
    told = json.loads(json.dumps(trace_json(trace(stack, (2, 50))), allow_nan=False))
    assert told["axes"] == ["channels", "time"]
    assert told["input_shape"] == [2, 50]
    assert [layer["output_shape"] for layer in told["layers"]] == [[3, 50], [3, 50], [3, 100]]
    assert told["layers"][0]["receptive_field"] == [3]
    assert told["layers"][1]["receptive_field"] == [None]
    assert told["totals"]["latency"] is None
    assert told["totals"]["stride"] == [0.5]
    assert "2 FLOPs" in told["convention"]


def test_too_large_an_input_is_not_run_but_estimated():
    made = trace(mnn.Sequential(mnn.CausalConv3d(3, 64, 3)), (3, 100, 1080, 1920))
    assert made.total.multiply_adds == 64 * 100 * 1080 * 1920 * 3 * 27
    assert made.total.activation_bytes == (4 * 64 * 100 * 1080 * 1920, None)
    assert "too large" in trace_text(made)


@pytest.mark.parametrize("shape", [(3, 16), (3, 16, 0, 4), (2, 8, 8, 8)])
def test_a_shape_that_does_not_fit_is_refused(shape):
    with pytest.raises(UsageError, match="shape"):
        trace(film_stack(), shape, axes=("time", "height", "width"))


def test_explain_names_padding_and_stride_and_puts_the_numbers_in():
    stack = mnn.Sequential(
        mnn.CausalConv1d(1, 1, 5, stride=2, dilation=3), mnn.ConvTranspose1d(1, 1, 4, stride=2, padding=1)
    )
    made = trace(stack, (1, 20))
    text = explain(made.layer("0"), made.axes)
    assert "padding left + padding right" in text
    assert "= floor((20 + 12 + 0 - 3 * (5 - 1) - 1) / 2) + 1 = 10" in text
    assert "= (10 - 1) * 2 + 1 * (4 - 1) + 1 - 1 - 1 = 20" in explain(made.layer("1"), made.axes)
    with pytest.raises(UsageError, match="the layers are 0, 1"):
        made.layer("7")


def test_explain_says_that_a_maximum_ignores_its_padding():
    made = trace(mnn.Sequential(mnn.MaxPool1d(3)), (1, 10))
    assert "padding is filled with minus infinity" in explain(made.layer("0"), made.axes)
    made = trace(mnn.Sequential(mnn.AvgPool1d(3)), (1, 10))
    assert "minus infinity" not in explain(made.layer("0"), made.axes)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 4])
def test_state_of_every_convolution_is_as_estimated(kernel, stride):
    """Also of masks that read nothing of the latest inputs, and of transposed kernels below the stride."""
    made = [
        *(mnn.CausalConv1d(2, 3, kernel, stride=stride, dilation=2, mode=m) for m in ("pad", "mask")),
        mnn.Conv1d(2, 3, kernel, stride=stride, dilation=2),
        mnn.ConvTranspose1d(2, 3, kernel, stride=stride),
        mnn.CausalConvTranspose1d(2, 3, kernel, stride=stride),
    ]
    for layer in made:
        estimated, measured = trace(mnn.Sequential(layer.eval()), (2, 30)).rows[0].state_bytes
        assert estimated == measured, layer


def test_explained_sizes_are_right_for_masked_layers():
    made = trace(mnn.Sequential(mnn.CausalConv2d(1, 1, 5, mode="raster")), (1, 9, 9))
    assert (
        explain(made.layer("0"), made.axes).count("= floor((9 + 2 + 2 - 1 * (5 - 1) - 1) / 1) + 1 = 9") == 2
    )


@pytest.mark.parametrize("name", ["film", "image"])
@pytest.mark.parametrize(("kind", "write"), [("txt", trace_text), ("md", trace_markdown)])
def test_golden_text(name, kind, write, renew_golden):
    """--renew-golden writes the files anew."""
    torch.manual_seed(0)
    make, shape = STACKS[name]
    path = GOLDEN / f"trace_{name}.{kind}"
    text = write(trace(make().eval(), shape))
    if renew_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_html_has_a_row_a_layer():
    text = trace(film_stack(), (3, 16, 12, 10))._repr_html_()
    assert text.count("<tr>") == 1 + len(trace(film_stack(), (3, 16, 12, 10)).rows) + 1
    assert "CausalConv3d" in str(film_stack()._repr_html_())


def test_strides_below_one_are_fractions():
    assert trace(mnn.Sequential(mnn.Upsample1d(3)), (1, 8)).total.stride == (Fraction(1, 3),)


def test_a_reshape_says_what_it_does_to_the_axes():
    stack = mnn.Sequential(
        mnn.Reshape("n (c k) h w -> n c h (w k)", {"k": 4}, in_channels=12), mnn.Conv2d(3, 1, 3)
    )
    made = trace(stack, (12, 8, 8))
    assert made.rows[0].after == (3, 8, 32)
    assert made.rows[0].layer == "Reshape n (c k) h w -> n c h (w k)"
    line = "channels 12 -> 3 x 4, k = 4 moved into width"
    assert line in explain(made.rows[0], made.axes)
    assert line in trace_text(made)
    assert line in trace_json(made)["layers"][0]["moves"]
    with pytest.raises(UsageError, match="multiple"):
        trace(mnn.Sequential(mnn.Reshape("n c (t k) -> n (c k) t", {"k": 3}, in_channels=1)), (1, 10))


def test_a_trace_without_a_shape_takes_the_next_length_of_whole_blocks():
    """Beside the stack run at that length, and refused at each between it and the usual one."""
    conv = {"conv": {"kernel_size": 3, "out_channels": 2, "stride": 2, "padding": 0}}
    fold = {"reshape": {"pattern": "n c (h a) (w b) -> n (c a b) h w", "sizes": {"a": 7, "b": 10}}}
    unfold = {"reshape": {"pattern": "n (c a b) h w -> n c (h a) (w b)", "sizes": {"a": 7, "b": 10}}}
    keys = {"input": ".", "output": "out", "pipeline": "image", "stack": [conv, {"residual": [fold, unfold]}]}
    made = mediaconv.trace(keys)
    channels, height, width = made.shape
    stack = mediaconv.load_stack(keys, channels=3)
    assert stack(torch.zeros(1, *made.shape)).shape[1:] == made.total.after
    for shape in [(h, width) for h in range(64, height)] + [(height, w) for w in range(64, width)]:
        with pytest.raises(ValueError, match="multiple"):
            stack(torch.zeros(1, channels, *shape))


def test_a_trace_without_a_shape_has_the_channels_of_the_one_file_that_is_named(tmp_path):
    sound = tmp_path / "stereo.wav"
    soundfile.write(sound, np.zeros((100, 2)), 8000)
    keys = {"output": "out", "pipeline": "audio", "stack": [{"conv": {"kernel_size": 3, "out_channels": 4}}]}

    def channels(input):
        return mediaconv.trace({**keys, "input": str(input)}).shape[0]

    assert channels(sound) == 2
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    usual = channels(tmp_path)  # of a folder, which is not searched for it
    assert usual == channels(broken) == channels(tmp_path / "missing.wav") == 1


def test_a_notebook_shows_blocks_that_do_not_divide_the_usual_length():
    stack = mnn.Sequential(mnn.Reshape("n c (t k) -> n (c k) t", {"k": 7}, in_channels=1))
    assert "channels 1, time 70" in stack._repr_html_()


def test_a_stack_shows_its_trace_in_a_notebook():
    assert film_stack()._repr_html_() == trace(film_stack(), (3, 8, 32, 32))._repr_html_()


@pytest.mark.parametrize(
    ("layer", "caption"),
    [
        (mnn.MaxPool2d(2), "input: channels 1, height 32, width 32"),
        (mnn.Reshape("n (c k) h w -> n c h (w k)", {"k": 4}, in_channels=8), "channels 8, height 32"),
        (mnn.ChannelLayerNorm(4), "input: channels 4, time 64"),
        (mnn.Conv3d(2, 1, 3), "input: channels 2, time 8, height 32, width 32"),
    ],
)
def test_a_notebook_shows_stacks_that_begin_with_any_layer(layer, caption):
    assert caption in mnn.Sequential(layer)._repr_html_()


def test_a_notebook_shows_plain_text_where_there_is_no_trace():
    assert mnn.Sequential(torch.nn.LSTM(3, 3))._repr_html_() is None


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_table_fits_its_width_with_fewer_columns_and_unbroken_rows(width):
    stack = mnn.Sequential(
        mnn.Conv3d(3, 512, 3, padding="same"), *(mnn.CausalConv3d(512, 512, 3, mode="mask") for _ in range(3))
    )
    made = trace(mnn.Sequential(mnn.Sequential(mnn.Sequential(stack))), (3, 1600, 640, 640))
    text = trace_text(made, width=width)
    assert max(map(len, text.splitlines())) <= width
    rows = [line for line in text.splitlines() if line.strip().startswith(("0.0.0", "total"))]
    assert len(rows) == len(made.rows) + 1
    for line, row in zip(rows, (*made.rows, made.total), strict=True):
        assert "×".join(map(str, row.after)) in line
        assert f"{row.parameters:,}" in line
        assert row.layer[:5] in line
    assert ("multiply-adds " in text) == (width > 130)
