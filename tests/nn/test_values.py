"""Every layer's values against torch.nn.functional or a loop in numpy: float64, so that 1e-12 is rounding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from tests.nn.reference import convolution, deformable

DIMS = (1, 2, 3)
LENGTHS = {1: (9,), 2: (6, 5), 3: (5, 4, 3)}


def cls(name: str, dims: int) -> Any:
    return getattr(nn, f"{name}{dims}d")


def torch_class(name: str, dims: int) -> Any:
    return getattr(tn, f"{name}{dims}d")


def values(dims: int, channels: int = 4, batch: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, channels, *LENGTHS[dims]), generator=generator, dtype=torch.float64)


def same(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_standard_convolution_is_torchs(dims: int, mode: str) -> None:
    for k, s, p, d, g in itertools.product((1, 2, 3), (1, 2), (0, 1, "valid", "same"), (1, 2), (1, 2)):
        if p == "same" and s > 1:
            continue
        theirs = torch_class("Conv", dims)(4, 6, k, s, p, d, g, True, mode).double()
        ours = cls("Conv", dims)(4, 6, k, s, p, d, g, True, mode).double()
        ours.load_state_dict(theirs.state_dict(), strict=True)
        x = values(dims)
        if min(ours.output_shape(x.shape)) > 0:
            same(ours(x), theirs(x))
        theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_with_a_stride_pads_half_to_the_left(dims: int, kernel: int, stride: int) -> None:
    m = cls("Conv", dims)(2, 2, kernel, stride, "same", 2).double()
    x = values(dims, 2, 1)
    left = [(kernel - 1) * 2 // 2] * dims
    outputs = [-(-n // stride) for n in LENGTHS[dims]]
    by_loops = convolution(
        x.numpy(),
        m.weight.detach().numpy(),
        m.bias.detach().numpy(),
        stride=[stride] * dims,
        dilation=[2] * dims,
        left=left,
        outputs=outputs,
    )
    same(m(x), torch.from_numpy(by_loops))


def causal_reference(m: Any, x: Tensor, mode: str, dims: int, raster_type: str) -> Tensor:
    """A causal layer by its definition in the design, from the layer's raw weight."""
    extents = [(k - 1) * d + 1 for k, d in zip(m.kernel_size, m.dilation, strict=True)]
    left = [(e - 1) // 2 for e in extents]
    if mode == "pad":
        left[m.time_axis] = extents[m.time_axis] - 1

    def allowed(offsets: tuple[int, ...]) -> bool:
        if mode == "pad":
            return True
        if mode == "mask":
            return offsets[m.time_axis] <= 0
        return offsets < (0,) * dims or (raster_type == "B" and offsets == (0,) * dims)

    by_loops = convolution(
        x.numpy(),
        m.weight.detach().numpy(),
        m.bias.detach().numpy(),
        stride=m.stride,
        dilation=m.dilation,
        left=left,
        outputs=[-(-n // s) for n, s in zip(x.shape[2:], m.stride, strict=True)],
        allowed=allowed,
        groups=m.groups,
    )
    return torch.from_numpy(by_loops)


@pytest.mark.parametrize(
    ("dims", "mode", "raster_type", "time_axis"),
    [
        *((d, mode, "B", 0) for d in DIMS for mode in ("pad", "mask")),
        *((d, "raster", kind, 0) for d in (2, 3) for kind in "AB"),
        *((2, mode, "B", 1) for mode in ("pad", "mask")),
    ],
)
def test_causal_modes_are_their_definitions(dims: int, mode: str, raster_type: str, time_axis: int) -> None:
    for k, s, d, g in ((3, 1, 1, 1), (2, 1, 2, 2), (4, 2, 1, 1), (3, 3, 2, 1), (1, 2, 1, 2)):
        if mode == "raster" and k < 3:
            continue
        if dims == 3 and k == 4:
            k = 3
        m = cls("CausalConv", dims)(
            2, 2, k, s, "same", d, g, mode=mode, time_axis=time_axis, raster_type=raster_type
        ).double()
        tn.init.normal_(m.weight)
        x = values(dims, 2, 1)
        same(m(x), causal_reference(m, x, mode, dims, raster_type))


def test_strict_and_block_alignment_see_what_their_names_say() -> None:
    x = torch.arange(1.0, 9.0, dtype=torch.float64)[None, None]
    for alignment, expected in ("strict", [1, 5, 9, 13]), ("block", [3, 7, 11, 15]):
        m = nn.CausalConv1d(1, 1, 2, 2, bias=False, alignment=alignment).double()
        tn.init.ones_(m.weight)
        assert m(x)[0, 0].tolist() == expected


def test_replicate_start_repeats_the_first_input() -> None:
    m = nn.CausalConv1d(1, 1, 3, bias=False, padding_mode="replicate").double()
    tn.init.ones_(m.weight)
    assert m(torch.tensor([[[5.0, 1, 1]]], dtype=torch.float64))[0, 0].tolist() == [15, 11, 7]


@pytest.mark.parametrize("dims", DIMS)
def test_transposed_convolution_is_torchs(dims: int) -> None:
    for k, s, p, extra, g, d in itertools.product((1, 2, 4), (1, 2, 3), (0, 1), (0, 1), (1, 2), (1, 2)):
        if extra >= max(s, d) or (k - 1) * d + extra < p * 2:
            continue
        theirs = torch_class("ConvTranspose", dims)(4, 6, k, s, p, extra, g, True, d).double()
        ours = cls("ConvTranspose", dims)(4, 6, k, s, p, extra, g, True, d).double()
        ours.load_state_dict(theirs.state_dict(), strict=True)
        x = values(dims)
        same(ours(x), theirs(x))


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("causal", [False, True])
def test_transposed_same_is_the_full_output_cut(dims: int, causal: bool) -> None:
    for k, s in itertools.product((1, 2, 3, 5), (1, 2, 3)):
        m = cls("CausalConvTranspose" if causal else "ConvTranspose", dims)(2, 3, k, s, "same").double()
        x = values(dims, 2)
        transpose = getattr(F, f"conv_transpose{dims}d")
        full = transpose(x, m.weight, None, s)
        for axis, length in enumerate(LENGTHS[dims]):
            left = 0 if causal and axis == 0 else max(0, (k - s) // 2)
            wanted = length * s
            short = max(0, left + wanted - full.shape[axis + 2])
            pads = [0] * (2 * dims)
            pads[2 * (dims - 1 - axis) + 1] = short
            full = F.pad(full, pads).narrow(axis + 2, left, wanted)
        same(m(x), full + m.bias.reshape(-1, *[1] * dims))


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("ceil", [False, True])
def test_pooling_is_torchs(dims: int, ceil: bool) -> None:
    x = values(dims)
    for k, s, p, d in itertools.product((1, 2, 3), (None, 1, 2, 3), (0, 1), (1, 2)):
        if p > k // 2 or (k - 1) * d + 1 > 3 + 2 * p:
            continue
        theirs = getattr(F, f"max_pool{dims}d")
        same(cls("MaxPool", dims)(k, s, p, d, ceil_mode=ceil)(x), theirs(x, k, s, p, d, ceil))
        if d == 1:
            theirs = getattr(F, f"avg_pool{dims}d")
            for count in (False, True):
                same(cls("AvgPool", dims)(k, s, p, ceil, count)(x), theirs(x, k, s, p, ceil, count))


@pytest.mark.parametrize("dims", [2, 3])
def test_divisor_override_is_torchs(dims: int) -> None:
    theirs = getattr(F, f"avg_pool{dims}d")(values(dims), 2, divisor_override=3)
    same(cls("AvgPool", dims)(2, divisor_override=3)(values(dims)), theirs)


def test_causal_pools_by_hand() -> None:
    x = torch.tensor([[[4.0, 2, 6, 8, 1]]], dtype=torch.float64)
    assert nn.CausalMaxPool1d(2, 2)(x)[0, 0].tolist() == [4, 6, 8]
    assert nn.CausalMaxPool1d(2, 1, dilation=2)(-x)[0, 0].tolist() == [-4, -2, -4, -2, -1]
    assert nn.CausalAvgPool1d(2, 1)(x)[0, 0].tolist() == [2, 3, 4, 7, 4.5]
    assert nn.CausalAvgPool1d(2, 1, count_include_pad=False)(x)[0, 0].tolist() == [4, 3, 4, 7, 4.5]
    assert nn.AvgPool1d(3, 2, "same", count_include_pad=False)(x)[0, 0].tolist() == [3, 16 / 3, 4.5]


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
def test_upsampling_is_torchs(dims: int, scale: int) -> None:
    x, linear = values(dims), {1: "linear", 2: "bilinear", 3: "trilinear"}[dims]
    same(cls("Upsample", dims)(scale)(x), F.interpolate(x, scale_factor=scale, mode="nearest"))
    theirs = F.interpolate(x, scale_factor=scale, mode=linear, align_corners=False)
    same(cls("Upsample", dims)(scale, "linear")(x), theirs)


def test_scales_of_their_own_along_each_axis() -> None:
    x = values(3)
    theirs = F.interpolate(x, scale_factor=(1, 2, 3), mode="trilinear", align_corners=False)
    same(nn.Upsample3d((1, 2, 3), "linear")(x), theirs)


def test_causal_linear_runs_from_the_previous_input_to_the_current() -> None:
    x = torch.tensor([[[0.0, 4, 8]]], dtype=torch.float64)
    assert nn.Upsample1d(4, "linear", causal=True)(x)[0, 0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_linear_phases_do_not_fade_with_the_position() -> None:
    x = torch.zeros(1, 1, 2**21)
    x[..., -1] = 1
    assert nn.Upsample1d(3, "linear")(x)[0, 0, -5:].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])


def test_shuffles_are_torchs() -> None:
    x = torch.randn(2, 12, 4, 6)
    assert torch.equal(nn.PixelShuffle2d(2)(x), F.pixel_shuffle(x, 2))
    assert torch.equal(nn.PixelUnshuffle2d(2)(x), F.pixel_unshuffle(x, 2))
    assert torch.equal(nn.ChannelShuffle(3)(x), F.channel_shuffle(x, 3))


@pytest.mark.parametrize("dims", DIMS)
def test_pixel_shuffle_by_its_definition_and_back(dims: int) -> None:
    factor = (2, 1, 3)[:dims]
    total = int(np.prod(factor))
    x = values(dims, 2 * total)
    y = cls("PixelShuffle", dims)(factor)(x)
    for place in np.ndindex(*y.shape[2:]):
        block = tuple(p // f for p, f in zip(place, factor, strict=True))
        inner = tuple(p % f for p, f in zip(place, factor, strict=True))
        channel = int(np.ravel_multi_index(inner, factor))
        for c in range(2):
            assert torch.equal(y[(slice(None), c, *place)], x[(slice(None), c * total + channel, *block)])
    assert torch.equal(cls("PixelUnshuffle", dims)(factor)(y), x)


def test_unshuffle_fills_the_last_block_and_causal_the_first() -> None:
    x = torch.tensor([[[1.0, 2, 3]]])
    assert nn.PixelUnshuffle1d(2)(x)[0].tolist() == [[1, 3], [2, 0]]
    assert nn.PixelUnshuffle1d(2, causal=True)(x)[0].tolist() == [[0, 2], [1, 3]]


def test_norms_over_channels_are_torchs() -> None:
    x = values(2)
    layer, rms = nn.ChannelLayerNorm(4).double(), nn.RMSNorm(4).double()
    for p in (*layer.parameters(), *rms.parameters()):
        tn.init.normal_(p)
    for ours, theirs in ((layer, tn.LayerNorm(4).double()), (rms, tn.RMSNorm(4).double())):
        theirs.load_state_dict(ours.state_dict())
        for scale in (1.0, 1e-4):  # as small as what is added to the variance
            same(ours(scale * x), theirs(scale * x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("causal", [False, True])
def test_zero_offsets_give_the_plain_convolution(dims: int, causal: bool) -> None:
    prefix = "Causal" if causal else ""
    for k, s, d, modulation in ((3, 1, 1, True), (2, 2, 1, False), (3, 2, 2, True), (1, 1, 1, False)):
        m = cls(f"{prefix}DeformConv", dims)(4, 6, k, s, "same", d, 2, modulation=modulation).double()
        plain = cls(f"{prefix}Conv", dims)(4, 6, k, s, "same", d, 2).double()
        plain.load_state_dict({"weight": m.weight, "bias": m.bias})
        same(m(values(dims)), plain(values(dims)))


@pytest.mark.parametrize("dims", [2, 3])
def test_whole_offsets_shift_every_tap(dims: int) -> None:
    shift = (-1, 2, 1)[:dims]
    m = cls("DeformConv", dims)(2, 3, 3, offset_range=2).double()
    m.offset.bias.data = torch.tensor(shift, dtype=torch.float64).repeat(m.offset.out_channels // dims)
    x = values(dims, 2)
    pads = [n for s in reversed(shift) for n in (2, 2)]
    moved = F.pad(x, pads)
    for axis, s in enumerate(shift):
        moved = moved.narrow(axis + 2, 2 + s, LENGTHS[dims][axis])
    same(m(x), getattr(F, f"conv{dims}d")(moved, m.weight, m.bias))


def test_offsets_along_time_are_bounded() -> None:
    x = values(3, 1)
    for kind, told, bound in (nn.DeformConv3d, 9.0, 1.0), (nn.CausalDeformConv3d, 3.0, 0.0):
        m, within = (kind(1, 1, 2, padding="same", offset_range=1).double() for _ in range(2))
        within.load_state_dict(m.state_dict())
        m.offset.bias.data[::3] = told
        within.offset.bias.data[::3] = bound
        same(m(x), within(x))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("causal", [False, True])
def test_deformable_convolution_by_loops(dims: int, causal: bool) -> None:
    kernel, stride, dilation, groups, bound = 2, 2, 2, 2, 2
    m = cls("CausalDeformConv" if causal else "DeformConv", dims)(
        2, 2, kernel, stride, "same", dilation, offset_groups=groups, modulation=True, offset_range=bound
    ).double()
    tn.init.normal_(m.offset.weight)
    tn.init.normal_(m.offset.bias)
    x = values(dims, 2, 1)
    told = m.offset(x)[0].detach()
    taps, outputs = kernel**dims, told.shape[1:]
    offsets = told[: groups * taps * dims].reshape(groups, taps, dims, *outputs).clone()
    offsets[:, :, 0] = offsets[:, :, 0].clamp(-bound, 0 if causal else bound)
    gains = 2 * torch.sigmoid(told[groups * taps * dims :]).reshape(groups, taps, *outputs)
    left = [1] * dims
    left[0] = 2 if causal else 1
    by_loops = deformable(
        x[0].numpy(),
        m.weight.detach().numpy(),
        m.bias.detach().numpy(),
        offsets.numpy(),
        gains.numpy(),
        stride=[stride] * dims,
        dilation=[dilation] * dims,
        left=left,
    )
    same(m(x)[0], torch.from_numpy(by_loops))


@pytest.mark.parametrize("kind", [nn.DeformConv2d, nn.CausalDeformConv2d])
def test_deformable_convolution_passes_gradcheck(kind: Any) -> None:
    torch.manual_seed(3)
    m = kind(2, 2, 2, padding="same", modulation=True, offset_range=2).double()
    tn.init.uniform_(m.offset.weight, -0.1, 0.1)
    tn.init.uniform_(m.offset.bias, -0.9, -0.1)  # away from whole numbers, where interpolation has a corner
    x = (torch.rand(1, 2, 3, 3, dtype=torch.float64) * 0.2).requires_grad_()
    parameters = tuple(m.parameters())

    def call(x: Tensor, *_: Tensor) -> Tensor:
        return m(x)

    assert torch.autograd.gradcheck(call, (x, *parameters))


def test_gate_is_wavenets() -> None:
    x = values(1)
    same(nn.Gate()(x), torch.tanh(x[:, :2]) * torch.sigmoid(x[:, 2:]))
    conv = nn.CausalConv1d(4, 6, 2).double()
    same(nn.Gated(conv)(x), torch.tanh(conv(x)[:, :3]) * torch.sigmoid(conv(x)[:, 3:]))


@pytest.mark.parametrize(
    ("orig", "new"), [(44100, 48000), (48000, 44100), (8000, 16000), (3, 2), (5, 5), (1, 3)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_resampling_is_torchaudios(orig: int, new: int, dtype: torch.dtype) -> None:
    for length in (1, 7, 500):
        x = torch.randn(2, 2, length, dtype=dtype)
        theirs = torchaudio.functional.resample(x, orig, new)
        # the same kernels and the same call: equal but for how a library cuts a long convolution
        torch.testing.assert_close(nn.Resample(orig, new)(x), theirs, rtol=0, atol=1e-6)
