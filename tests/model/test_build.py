"""From a configuration's stack to a module: every layer by its YAML name, channels, keys, weights, errors."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from mediaconv.config import parse_config
from mediaconv.errors import UsageError
from mediaconv.layers import LAYERS
from mediaconv.model.build import build_stack
from mediaconv.nn import stream
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.pipeline import find
from tests.pipelines.one_run import parsed

PIPELINES = {1: "audio", 2: "image", 3: "video"}
NEEDS = {
    "conv": {"out_channels": 4, "kernel_size": 3},
    "conv_transpose": {"out_channels": 4, "kernel_size": 4, "stride": 2},
    "deform_conv": {"out_channels": 4, "kernel_size": 3},
    "max_pool": {"kernel_size": 2},
    "avg_pool": {"kernel_size": 3, "stride": 2},
    "upsample": {"scale_factor": 2, "mode": "linear"},
    "pixel_shuffle": {"upscale_factor": 2},
    "pixel_unshuffle": {"downscale_factor": 2},
    "channel_shuffle": {"groups": 2},
    "group_norm": {"num_groups": 2},
    "residual": [{"conv": {"out_channels": 8, "kernel_size": 3}}],
    "branches": {"paths": [[{"conv": {"out_channels": 4, "kernel_size": 3}}], []], "merge": "concat"},
    "threshold": {"threshold": 0.1, "value": 0.0},
}
RESHAPES = {
    1: "n (c k) t -> n c (t k)",
    2: "n (c k) h w -> n c (h k) w",
    3: "n (c k) t h w -> n c (t k) h w",
}
WHOLE = ("group_norm", "instance_norm")


def stack_of(dims: int, *layers: object, causal: object = False, channels: int = 8, **keys: object):
    """The module of these layers for inputs of `channels`."""
    config = parsed(
        pipeline=PIPELINES[dims], input="in", output="out", causal=causal, stack=list(layers), **keys
    )
    return build_stack(config, find(config.pipeline), channels=channels, rate_hz=100.0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"model"}))  # which needs a file: test_model_layer.py
def test_every_layer_by_its_name_streams_exactly(name, dims, causal):
    if dims not in LAYERS[name].dims or (causal and name in WHOLE):
        pytest.skip(f"{name} does not exist there: its refusal is tested with the configuration")
    if causal and name == "deform_conv" and dims == 2:
        pytest.skip("raster order cannot mask taps that move: refused, tested below")
    torch.manual_seed(0)
    needs = {**NEEDS, "reshape": {"pattern": RESHAPES[dims], "sizes": {"k": 2}}}
    module = stack_of(dims, {name: needs.get(name, {})}, causal=causal)
    x = torch.randn(1, 8, *(8, 6, 6)[:dims])
    whole = module(x).detach()
    running = stream(module)
    parts = [running.push(x[:, :, i : i + 3]) for i in range(0, 8, 3)] + [running.flush()]
    joined = torch.cat(parts, dim=2)
    assert joined.shape == whole.shape
    assert torch.allclose(joined, whole, rtol=0, atol=1e-6 * float(whole.abs().max()))
    if causal:
        assert axis_map(module).latency == 0


def test_channels_follow_and_keys_are_those_of_torch():
    module = stack_of(
        2,
        {"conv": {"out_channels": 6, "kernel_size": 3}},
        "relu",
        {"residual": {"layers": [{"conv": {"out_channels": 6, "kernel_size": 1}}]}},
        {"conv": {"out_channels": 2, "kernel_size": 1, "in_channels": 6}},
        channels=3,
    )
    assert {key: tuple(value.shape) for key, value in module.state_dict().items()} == {
        "0.weight": (6, 3, 3, 3),
        "0.bias": (6,),
        "2.layers.0.weight": (6, 6, 1, 1),
        "2.layers.0.bias": (6,),
        "3.weight": (2, 6, 1, 1),
        "3.bias": (2,),
    }


def test_weights_come_from_a_plain_torch_model(tmp_path):
    model = nn.Sequential(nn.Conv1d(2, 4, 5, padding=2), nn.GELU(), nn.Conv1d(4, 1, 3, padding=1))
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    module = stack_of(
        1,
        {"conv": {"out_channels": 4, "kernel_size": 5}},
        "gelu",
        {"conv": {"out_channels": 1, "kernel_size": 3}},
        channels=2,
        weights=str(tmp_path / "w.safetensors"),
    )
    x = torch.randn(1, 2, 30)
    assert torch.equal(module(x), model(x))


def test_weights_of_the_wrong_shape_name_the_layer_and_both_shapes(tmp_path):
    save_file(nn.Sequential(nn.Conv1d(2, 4, 5)).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UsageError) as error:
        stack_of(
            1,
            {"conv": {"out_channels": 4, "kernel_size": 3}},
            channels=2,
            weights=str(tmp_path / "w.safetensors"),
        )
    for part in ("0.weight", "4, 2, 5", "4, 2, 3"):
        assert part in str(error.value)


def test_the_same_seed_gives_the_same_weights_and_another_others():
    conv = {"conv": {"out_channels": 2, "kernel_size": 3}}
    first, same, other = (stack_of(3, conv, seed=seed)[0].weight for seed in (4, 4, 5))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_causal_twins_have_the_same_weights():
    conv = {"conv": {"out_channels": 2, "kernel_size": 3}}
    assert torch.equal(stack_of(3, conv)[0].weight, stack_of(3, conv, causal=True)[0].weight)


def test_inline_numbers_and_initializers():
    weight = [[[1.0, 2.0, 4.0]]]
    module = stack_of(1, {"conv": {"weight": weight, "bias": [0.5]}}, causal=True, channels=1)
    assert module(torch.tensor([[[1.0, 0.0, 0.0, 1.0]]])).tolist() == [[[4.5, 2.5, 1.5, 4.5]]]
    constant = {"conv": {"out_channels": 1, "kernel_size": 3, "init": {"constant": {"val": 0.25}}}}
    assert (stack_of(1, constant)[0].weight == 0.25).all()


def test_a_kernel_in_hertz_follows_the_rate_after_strides():
    tone = torch.sin(2 * torch.pi * 20 * torch.arange(800) / 100.0)[None, None]
    low = {"conv": {"kernel": {"low_pass": {"cutoff_hz": 10, "taps": 61}}}}
    halved = {"conv": {"kernel": "identity", "kernel_size": 1, "stride": 2}}
    for layers in ([low], [halved, low]):
        passed = stack_of(1, *layers, channels=1)(tone)
        middle = passed[..., passed.shape[-1] // 4 : -passed.shape[-1] // 4]
        assert middle.abs().max() < 0.02


def test_kernels_keep_channels_apart_unless_mixed():
    x = torch.rand(1, 3, 6, 6)
    apart = stack_of(2, {"conv": {"kernel": {"box": {}}}}, channels=3)(x)
    box = torch.full((3, 1, 3, 3), 1 / 9)
    assert torch.allclose(apart, F.conv2d(x, box, padding=1, groups=3), atol=1e-6)  # sums in another order
    assert stack_of(2, {"conv": {"kernel": {"box": {"mix": True}}}}, channels=3)(x).shape[1] == 1


@pytest.mark.parametrize("name", ["max_pool", "avg_pool", "upsample", "conv_transpose", "pixel_unshuffle"])
def test_what_has_no_taps_to_mask_looks_back_along_every_axis_in_raster_order(name):
    module = stack_of(2, {name: NEEDS[name]}, causal=True)
    x = torch.randn(1, 8, 6, 7, dtype=torch.float64, requires_grad=True)
    y = module.double()(x)
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            (gradient,) = torch.autograd.grad(y[:, :, row, column].sum(), x, retain_graph=True)
            read = gradient.abs().sum(dim=(0, 1)).nonzero().tolist()
            stride = [axis_map(module, axis).total_stride for axis in range(2)]
            now = [int(row * stride[0]), int(column * stride[1])]
            assert all(position <= now for position in read)


def test_layers_that_do_not_fit_are_named():
    conv = {"conv": {"out_channels": 4, "kernel_size": 1}}
    with pytest.raises(UsageError, match=r"stack\[1\].*got 5, but what comes before gives 4"):
        stack_of(1, conv, {"conv": {"out_channels": 4, "kernel_size": 1, "in_channels": 5}})
    with pytest.raises(UsageError, match=r"stack\[0\].*8.*3"):
        stack_of(1, {"group_norm": {"num_groups": 3}})
    with pytest.raises(UsageError, match=r"stack\[0\].deform_conv.*raster"):
        stack_of(2, {"deform_conv": {"out_channels": 4, "kernel_size": 3}}, causal=True)


def test_a_reshape_takes_its_channels_from_what_comes_before():
    x = torch.arange(12.0).reshape(1, 6, 2)
    reshape = {"reshape": {"pattern": "n (c k) t -> n c (t k)", "sizes": {"c": 2}}}
    wanted = [[0, 2, 4, 1, 3, 5], [6, 8, 10, 7, 9, 11]]  # the three channels of each group, sample by sample
    assert stack_of(1, reshape, channels=6)(x)[0].tolist() == wanted
    with pytest.raises(UsageError, match=r"stack\[0\].reshape: .*got 5 channels, expected a multiple of 2"):
        stack_of(1, reshape, channels=5)


@pytest.mark.parametrize(
    ("dims", "conv", "shape"),
    [
        (2, {"kernel": "sobel", "kernel_size": 5}, (1, 1, 5, 5)),
        (3, {"kernel": "laplacian", "kernel_size": 3}, (1, 1, 3, 3, 3)),
        (3, {"kernel": "laplacian"}, (1, 1, 1, 3, 3)),
        (1, {"kernel": {"low_pass": {"cutoff_hz": 9, "taps": 61}}, "kernel_size": 31}, (1, 1, 31)),
    ],
)
def test_a_kernel_takes_the_layers_size(dims, conv, shape):
    assert tuple(stack_of(dims, {"conv": conv}, channels=1)[0].weight.shape) == shape


def test_a_kernel_that_does_not_fit_its_size_names_the_layer():
    conv = {"conv": {"kernel": {"motion": {"lag": 3}}, "kernel_size": [3, 1, 1]}}
    with pytest.raises(
        UsageError, match=r"stack\[1\].residual.layers\[0\].conv: motion: lag: got 3, but kernel_s"
    ):
        stack_of(3, "relu", {"residual": [conv]})


def test_a_strided_block_with_a_strided_shortcut():
    conv = {"out_channels": 8, "kernel_size": 3, "padding": "same"}
    block = {"layers": [{"conv": {**conv, "stride": 2}}, "relu", {"conv": conv}]}
    shortcut = [{"conv": {"out_channels": 8, "kernel_size": 1, "stride": 2}}]
    module = stack_of(2, {"residual": {**block, "shortcut": shortcut}})
    x = torch.randn(1, 8, 9, 7)
    inner, way = module[0].layers, module[0].shortcut
    wanted = F.conv2d(x, inner[0].weight, inner[0].bias, stride=2, padding=1).relu()
    wanted = F.conv2d(wanted, inner[2].weight, inner[2].bias, padding=1)
    wanted = wanted + F.conv2d(x, way[0].weight, way[0].bias, stride=2)
    assert torch.allclose(
        module(x), wanted, atol=1e-6
    )  # float32: oneDNN pads on its own in one, we in the other
    with pytest.raises(UsageError, match="stride"):
        stack_of(2, {"residual": block})


def test_a_stack_that_does_not_fit_is_told_with_its_line():
    text = "pipeline: audio\ninput: x\noutput: y\nstack:\n- relu\n"
    text += "- conv: {in_channels: 3, out_channels: 1, kernel_size: 1}\n"
    with pytest.raises(UsageError, match=r"^x.yaml:6: stack\[1\].conv: in_channels: got 3, but"):
        build_stack(parse_config(text, name="x.yaml"), find("audio"), channels=2)


@pytest.mark.parametrize("padding", ["valid", 0, 2])
def test_branches_that_never_give_one_length_are_refused_when_the_stack_is_built(padding):
    conv = {"conv": {"out_channels": 8, "kernel_size": 3, "padding": padding}}
    with pytest.raises(UsageError, match=r"stack\[0\]\.residual: branches give lengths .* cannot be merged"):
        stack_of(1, {"residual": [conv]})


def test_branches_that_give_one_length_for_some_inputs_are_built():
    halves = [[{"max_pool": {"kernel_size": 7, "padding": "valid"}}], [{"max_pool": {"kernel_size": 7}}]]
    module = stack_of(1, {"branches": {"paths": halves}})
    assert module(torch.zeros(1, 8, 70)).shape == (1, 8, 10)


def test_branches_are_built_where_the_length_of_another_axis_is_not_known_yet():
    """Halved and doubled, one column becomes two; an image of even width fits."""
    halved = {"conv": {"out_channels": 8, "kernel_size": 3, "stride": 2, "padding": "same"}}
    block = {"residual": [halved, {"upsample": {"scale_factor": 2}}]}
    module = stack_of(2, block)
    assert module(torch.zeros(1, 8, 6, 10)).shape == (1, 8, 6, 10)
    config = parsed(pipeline="image", input="in", output="out", stack=[block])
    with pytest.raises(UsageError, match=r"residual: branches give lengths .* for an input of 9"):
        build_stack(config, find("image"), channels=8, shape=(6, 9))
