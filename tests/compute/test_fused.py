"""The fused step against torch's own convolution on the whole input, and against itself in other chunks."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mediaconv.compute.fused import FusedStep, fused_plan
from mediaconv.compute.normalize import make_normalizer
from mediaconv.errors import ComputeError
from mediaconv.media.samples import SampleFormat
from mediaconv.nn import (
    CausalConv1d,
    CausalConv2d,
    CausalConv3d,
    Conv2d,
    Conv3d,
    MaxPool3d,
    Residual,
    Sequential,
)

pytestmark = pytest.mark.slow

FLOATS = SampleFormat(32, floating=True)
STACKS = {
    "one": lambda: Conv3d(3, 4, 3, padding="same"),
    "causal": lambda: Sequential(
        CausalConv3d(3, 5, 3), nn.GELU(), CausalConv3d(5, 3, (3, 5, 5), dilation=(2, 1, 2))
    ),
    "mask and raster": lambda: Sequential(
        CausalConv3d(3, 6, 3, mode="mask"), nn.SiLU(), CausalConv3d(6, 2, 3, mode="raster", raster_type="A")
    ),
    "strides and groups": lambda: Sequential(
        Conv3d(3, 6, (2, 3, 4), stride=(2, 3, 2), padding="same", groups=3),
        nn.LeakyReLU(0.2),
        Conv3d(6, 1, 3, stride=(3, 1, 2), padding="same"),
        nn.Tanh(),
    ),
    "stride over kernel": lambda: Conv3d(3, 7, 1, stride=(3, 2, 2), bias=False),
    "valid": lambda: Sequential(
        Conv3d(3, 2, (2, 3, 3), padding="valid"), nn.GELU("tanh"), Conv3d(2, 2, 3, padding=2)
    ),
    "block": lambda: CausalConv3d(3, 2, (4, 1, 3), stride=(2, 1, 1), alignment="block"),
    "image": lambda: Sequential(
        Conv2d(3, 8, 5, padding="same"), nn.ReLU6(), CausalConv2d(8, 3, 3, dilation=2)
    ),
}


def fused_step(module: nn.Module, **options: Any) -> FusedStep | None:
    plan = fused_plan(module, **options)
    return None if plan is None else plan.step()


def outputs(step, raw, chunk):
    return np.concatenate(
        [step.push(raw[i : i + chunk]) for i in range(0, len(raw), chunk)] + [step.flush()], 1
    )


def whole(module, raw, scale):
    x = torch.from_numpy(np.moveaxis(raw, -1, 0)[None].astype(np.float32) / np.float32(scale))
    with torch.no_grad():
        return module(x)[0]


def make(name, seed=0):
    torch.manual_seed(seed)
    module = STACKS[name]().eval()
    shape = (23, 19, 3) if name == "image" else (11, 13, 19, 3)
    return module, np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("name", STACKS)
def test_floats_equal_torch_and_themselves_in_any_chunks_and_threads(name):
    module, raw = make(name)
    normalizer = make_normalizer("tanh", {"gain": 2}, (0.0, 1.0))
    expected = normalizer(whole(module, raw, 255)).numpy()
    found = []
    for chunk, threads in ((100, 1), (1, 1), (4, 2), (5, 3)):
        step = fused_step(module, normalizer=normalizer, sample_format=FLOATS, scale=255.0, threads=threads)
        found.append(outputs(step, raw, chunk))
    assert found[0].shape == expected.shape
    # torch adds up taps in another order: float32's usual 1e-6 of the largest value
    assert np.abs(found[0] - expected).max() <= 1e-6 * np.abs(expected).max()
    for other in found[1:]:
        assert np.array_equal(other, found[0])


@pytest.mark.parametrize("name", STACKS)
def test_an_input_of_one_chunk_gives_the_same_bits_in_one_pass(name):
    module, raw = make(name)
    options = {"normalizer": make_normalizer("tanh"), "sample_format": FLOATS, "scale": 255.0, "threads": 2}
    plan = fused_plan(module, **options)
    expected = outputs(fused_step(module, **options), raw, len(raw))
    for turn in (raw, raw[::-1].copy(), raw):  # scratch of one input is the next one's
        found = plan.step().whole(turn)
        assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["one", "causal", "image"])
@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (10, np.uint16), (16, np.uint16)])
def test_stored_samples_are_the_rounded_floats(name, bits, dtype):
    module, raw = make(name, 1)
    raw = (raw.astype(dtype) * (1 if bits == 8 else 3)).astype(dtype)
    for normalizer in (
        make_normalizer("sigmoid", {"gain": 4}),
        make_normalizer("clip", {"low": -0.3, "high": 0.4}),
    ):
        make_step = lambda f, n=normalizer: fused_step(  # noqa: E731
            module, normalizer=n, sample_format=f, scale=2.0**bits - 1, threads=2
        )
        floats = outputs(make_step(FLOATS), raw, 4)
        stored = outputs(make_step(SampleFormat(bits)), raw, 3)
        assert stored.dtype == dtype
        assert np.array_equal(stored, SampleFormat(bits).quantize(floats))


def test_clipped_values_are_counted():
    conv = Conv3d(1, 1, 1)
    with torch.no_grad():
        conv.weight.fill_(2.0)
        conv.bias.fill_(-127 / 255)
    raw = np.array([0, 63, 64, 100, 191, 192, 255], np.uint8).reshape(1, 1, 7, 1)
    step = fused_step(
        conv, normalizer=make_normalizer("none"), sample_format=SampleFormat(8), scale=255.0, threads=1
    )
    stored = outputs(step, raw, 1)
    assert stored.ravel().tolist() == [0, 0, 1, 73, 255, 255, 255]
    assert step.clipped == 4  # -127, -1, 257 and 383


@pytest.mark.parametrize(
    "activation", [nn.ReLU, nn.SiLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.Hardtanh]
)
def test_activations_equal_torch_for_small_and_large_values(activation):
    conv = Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        conv.weight.fill_(1.0)
    module = Sequential(conv, activation())
    for size in (1e-6, 1e-2, 1.0, 20.0, 200.0):
        raw = np.linspace(-size, size, 401, dtype=np.float32).reshape(1, 401, 1)
        step = fused_step(
            module, normalizer=make_normalizer("none"), sample_format=FLOATS, scale=1.0, threads=1
        )
        expected = activation()(torch.from_numpy(raw[..., 0]).double()).numpy()
        # float32 functions to a few units in the last place of the largest value
        assert np.abs(outputs(step, raw, 1)[0] - expected).max() <= 5e-7 * np.abs(expected).max()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("activations", [[], [nn.Tanh()], [nn.GELU(), nn.Identity()]])
def test_values_that_are_not_finite_are_an_error(poison, activations):
    conv = Conv3d(1, 3, 3, padding="same")
    with torch.no_grad():
        conv.weight[1, 0, 1, 1, 1] = poison
    module = Sequential(conv, *activations, Conv3d(3, 1, 1))
    step = fused_step(
        module, normalizer=make_normalizer("sigmoid"), sample_format=SampleFormat(8), scale=255.0
    )
    raw = np.full((4, 5, 6, 1), 9, np.uint8)
    if poison == np.inf and len(activations) == 1:  # tanh(inf) is 1: a finite output
        assert outputs(step, raw, 2).shape == (1, 4, 5, 6)
        return
    with pytest.raises(ComputeError, match="NaN or infinite"):
        outputs(step, raw, 2)


def test_masked_weights_stay_unused_whatever_they_hold():
    module, raw = make("mask and raster")
    with torch.no_grad():
        module[0].weight[:, :, 2:] = 1e30
    step = fused_step(module, normalizer=make_normalizer("none"), sample_format=FLOATS, scale=255.0)
    assert np.abs(outputs(step, raw, 3)).max() < 100


def test_other_stacks_are_left_to_torch():
    others = [
        CausalConv1d(1, 1, 3),
        Residual(Conv3d(3, 3, 3, padding="same")),
        Sequential(Conv3d(3, 3, 3, padding="same"), MaxPool3d(2)),
        Sequential(Conv3d(3, 3, 3, padding="same"), nn.Softmax(1)),
        Conv3d(3, 3, 3, padding="same", padding_mode="replicate"),
        Conv3d(64, 3, 3),
        Conv3d(3, 3, 3).double(),
        nn.ReLU(),
    ]
    formats = {"normalizer": make_normalizer("sigmoid"), "sample_format": SampleFormat(8), "scale": 255.0}
    assert [fused_step(m, **formats) for m in others] == [None] * len(others)


def test_an_input_that_does_not_fit_is_an_error():
    formats = {"normalizer": make_normalizer("sigmoid"), "sample_format": SampleFormat(8), "scale": 255.0}
    with pytest.raises(ComputeError, match="2 channels, the stack takes 3"):
        fused_step(Conv3d(3, 1, 3), **formats).push(np.zeros((1, 8, 8, 2), np.uint8))
    with pytest.raises(ComputeError, match="spans 9x9"):
        fused_step(Conv3d(3, 1, (1, 9, 9), padding="valid"), **formats).push(np.zeros((1, 8, 8, 3), np.uint8))


def test_empty_and_larger_chunks_continue_a_stream():
    module, raw = make("causal")
    formats = {"normalizer": make_normalizer("sigmoid"), "sample_format": SampleFormat(8), "scale": 255.0}
    step = fused_step(module, **formats)
    parts = [step.push(raw[a:b]) for a, b in ((0, 0), (0, 1), (1, 3), (3, 3), (3, 11))] + [step.flush()]
    assert np.array_equal(np.concatenate(parts, 1), outputs(fused_step(module, **formats), raw, 11))
