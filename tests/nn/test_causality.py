"""No output reads what its layer's mode forbids: the gradient of all outputs in all inputs, edges included.

The oracle is the Jacobian alone; against it stand the promise of each mode, and what the geometry says.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
import torch
from torch import Tensor
from torch import nn as tn

from mediaconv import nn

SIZES = {1: (9,), 2: (5, 4), 3: (3, 4, 3)}
PADDING_MODES = ("zeros", "replicate", "reflect", "circular")
MODES = ("pad", "mask", "raster A", "raster B")
COPIES_LATER = {(mode, p) for mode in MODES for p in ("reflect", "circular")} | {
    (mode, "replicate") for mode in ("raster A", "raster B")
}
"""What cannot be causal: refused when the layer is made."""
OPTIONS = [(3, 1, 1), (2, 1, 1), (4, 1, 1), (3, 2, 1), (3, 1, 2), (1, 3, 1), (2, 1, 3)]
"""kernel_size, stride, dilation."""


def dependence(module: tn.Module, sizes: Sequence[int], channels: int) -> list[tuple[tuple, tuple]]:
    """Each pair of an output position and an input position that it reads."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.rand(parameter.shape, generator=generator).double() + 0.5
    x = torch.rand(1, channels, *sizes, generator=generator, dtype=torch.float64) + 0.5
    jacobian = torch.autograd.functional.jacobian(module, x, vectorize=True)
    assert isinstance(jacobian, Tensor)
    dims = len(sizes)
    read = (jacobian != 0).amax((0, 1, dims + 2, dims + 3))
    return [(tuple(row[:dims]), tuple(row[dims:])) for row in read.nonzero().tolist()]


def stands_at(module: tn.Module, output: Sequence[int]) -> tuple[int, ...]:
    """The input position at which an output stands."""
    return tuple(math.floor(j * nn.geometry(module, a).total_stride) for a, j in enumerate(output))


def check(
    module: tn.Module, channels: int, dims: int, causal_axes: Sequence[int] = (), order: str = ""
) -> None:
    """What is read lies within the geometry on every axis, and nothing of it later than is allowed.

    order: A or B where the layer is causal in reading order.
    """
    pairs = dependence(module, SIZES[dims], channels)
    latencies = [nn.geometry(module, a).latency for a in range(dims)]
    for output, read in pairs:
        now = stands_at(module, output)
        for axis in range(dims):
            ahead = read[axis] - now[axis]
            assert ahead <= latencies[axis], (module, output, read, axis)
            assert axis not in causal_axes or ahead <= allowed_of(module, axis), (module, output, read)
        assert not order or read < now or (order == "B" and read == now), (module, output, read)
    for axis in range(dims):
        assert bool(nn.noncausal_layers(module, axis)) == (latencies[axis] > allowed_of(module, axis))


def allowed_of(module: tn.Module, axis: int) -> int:
    """What `alignment="block"` may read ahead."""
    block = getattr(module, "alignment", "") == "block"
    return int(nn.geometry(module, axis).total_stride) - 1 if block else 0


def cls(name: str, dims: int) -> type:
    return getattr(nn, f"{name}{dims}d")


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_causal_convolutions_at_all_positions(dims: int, mode: str, padding_mode: str) -> None:
    name, _, raster_type = mode.partition(" ")
    if name == "raster" and dims == 1:
        pytest.skip("there is no reading order of one axis")
    for time_axis, (kernel, stride, dilation) in itertools.product(range(dims), OPTIONS):
        more = {"time_axis": time_axis} if name != "raster" else {"raster_type": raster_type}
        make = partial(cls("CausalConv", dims), 1, 1, kernel, stride, "same", dilation, mode=name, **more)
        if (mode, padding_mode) in COPIES_LATER:
            with pytest.raises(ValueError, match=f"padding_mode.*{padding_mode}.*use zeros"):
                make(padding_mode=padding_mode)
        elif raster_type != "A" or kernel > 2:  # of a smaller kernel type A leaves nothing
            causal_axes = (time_axis,) if name != "raster" else ()
            check(make(padding_mode=padding_mode), 1, dims, causal_axes, raster_type)


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_standard_convolutions_read_no_more_than_they_say(dims: int, padding_mode: str) -> None:
    for (kernel, stride, dilation), padding in itertools.product(OPTIONS, ("same", "valid", 1, 2)):
        across = (kernel - 1) * dilation + 1
        needed = across // 2 if padding == "same" else padding if isinstance(padding, int) else 0
        if padding_mode in ("reflect", "circular") and needed >= min(SIZES[dims]):
            continue
        check(cls("Conv", dims)(1, 1, kernel, stride, padding, dilation, padding_mode=padding_mode), 1, dims)


def others() -> Iterator[tuple[str, tn.Module, int, int, Sequence[int], str]]:
    """Name, layer, channels, dims, causal axes, and the type of reading order."""
    for dims, axis in ((d, a) for d in (1, 2, 3) for a in range(d)):
        every = tuple(range(dims))
        for time_axis, causal in ((axis, (axis,)), (every, every)):
            more = {"time_axis": time_axis}
            for kernel, stride in ((3, 1), (2, 2), (3, 2), (2, 3)):
                yield "max", cls("CausalMaxPool", dims)(kernel, stride, **more), 1, dims, causal, ""
                yield "avg", cls("CausalAvgPool", dims)(kernel, stride, **more), 1, dims, causal, ""
                up = cls("CausalConvTranspose", dims)(1, 1, kernel, stride, **more)
                yield "transposed", up, 1, dims, causal, ""
            unshuffle = cls("PixelUnshuffle", dims)(2, causal=True, **more)
            yield "unshuffle", unshuffle, 1, dims, causal, ""
            for scale, way in itertools.product((2, 3), ("nearest", "linear")):
                upsample = cls("Upsample", dims)(scale, way, causal=True, **more)
                yield "upsample", upsample, 1, dims, causal, ""
        block = cls("CausalConv", dims)(1, 1, 5, 3, alignment="block", time_axis=axis)
        yield "block", block, 1, dims, (axis,), ""
        if dims > 1:
            deform = cls("CausalDeformConv", dims)(1, 1, 2, offset_range=1, time_axis=axis)
            yield "deform", deform, 1, dims, (axis,), ""
    for dims in (1, 2, 3):
        yield "gated", nn.Gated(cls("CausalConv", dims)(1, 2, 3)), 1, dims, (0,), ""
        yield "gate", nn.Gate(), 2, dims, tuple(range(dims)), ""
        yield "layer norm", nn.ChannelLayerNorm(2), 2, dims, tuple(range(dims)), ""
        yield "shuffle", cls("PixelShuffle", dims)(2), 2**dims, dims, tuple(range(dims)), ""
        for mode in ("zeros", "replicate", "reflect"):
            for before, after in ((2, 0), (0, 2), (2, 2), (-1, 2), (2, -1)):
                yield "pad", nn.Pad([before, after] * dims, mode), 1, dims, (), ""
        yield "linear", cls("Upsample", dims)(3, "linear"), 1, dims, (), ""
        yield "standard pool", cls("AvgPool", dims)(3, 2, 1), 1, dims, (), ""
        yield "standard transposed", cls("ConvTranspose", dims)(1, 1, 3, 2, 1, 1), 1, dims, (), ""
    for kind in "AB":
        pair = nn.Sequential(
            nn.CausalConv2d(1, 2, 3, mode="raster", raster_type=kind), nn.CausalConv2d(2, 1, 3, mode="raster")
        )
        yield "raster stack", pair, 1, 2, (), kind
    mirrored = nn.Sequential(nn.Pad((3, 0), "reflect"), nn.CausalConv1d(1, 1, 2), nn.Conv1d(1, 1, 4, 2))
    yield "mirrored before causal", mirrored, 1, 1, (), ""


@pytest.mark.parametrize("name", dict.fromkeys(case[0] for case in others()))
def test_other_layers_at_all_positions(name: str) -> None:
    for found, module, channels, dims, causal, order in others():
        if found == name:
            check(module, channels, dims, causal, order)


def test_a_mirrored_beginning_is_ahead_and_is_named() -> None:
    mirrored = nn.Sequential(tn.ReflectionPad1d((3, 0)), nn.Conv1d(1, 1, 4))
    assert nn.geometry(mirrored).latency == 3
    assert [(name, ahead) for name, _, ahead in nn.noncausal_layers(mirrored)] == [("0", 3), ("1", 3)]
    assert nn.noncausal_layers(nn.Pad((3, 0), "reflect"))[0][2] == 3
    copied = nn.Sequential(tn.ReplicationPad1d((3, 0)), nn.Conv1d(1, 1, 4))
    assert nn.geometry(copied).latency == 0
