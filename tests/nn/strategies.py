"""Random layers and stacks for the contract: every kind of layer, with every argument it takes.

A `Case` carries the module, the channels it takes, and what may be asked of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import nn as tn

from mediaconv import nn

Draw = Callable[[st.SearchStrategy], object]


@dataclass
class Case:
    """A random module. measure: as `verify_contract`; shortest: inputs that it needs along every axis."""

    module: tn.Module
    channels: int
    dims: int
    causal: bool = False
    measure: str = "exact"
    shortest: int = 0


def cls(name: str, dims: int) -> type:
    """A layer's class by its name without the dimension."""
    return getattr(nn, f"{name}{dims}d")


def ints(draw: Draw, dims: int, low: int, high: int) -> int | tuple[int, ...]:
    """One number, or one for each axis."""
    if draw(st.booleans()):
        return draw(st.integers(low, high))
    return tuple(draw(st.integers(low, high)) for _ in range(dims))


def small(dims: int) -> int:
    """Largest kernel that keeps a case quick."""
    return {1: 5, 2: 4, 3: 3}[dims]


def channels_groups(draw: Draw) -> tuple[int, int, int]:
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    return groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), groups


def padding_of(draw: Draw, dims: int) -> object:
    kind = draw(st.sampled_from(["same", "valid", "number", "each"]))
    if kind == "number":
        return draw(st.integers(0, 2))
    if kind == "each":
        return tuple(draw(st.sampled_from(["same", "valid", 0, 1, 2])) for _ in range(dims))
    return kind


def conv(draw: Draw, dims: int) -> Case:
    c, out, groups = channels_groups(draw)
    mode = draw(st.sampled_from(["zeros", "zeros", "replicate", "reflect", "circular"]))
    padding = draw(st.integers(0, 2)) if mode in ("reflect", "circular") else padding_of(draw, dims)
    module = cls("Conv", dims)(
        c,
        out,
        ints(draw, dims, 1, small(dims)),
        ints(draw, dims, 1, 3),
        padding,
        ints(draw, dims, 1, 2),
        groups,
        draw(st.booleans()),
        mode,
    )
    return Case(module, c, dims, shortest={"reflect": 3, "circular": 2}.get(mode, 0))


def causal_conv(draw: Draw, dims: int) -> Case:
    c, out, groups = channels_groups(draw)
    mode = draw(st.sampled_from(["pad", "mask", "raster"] if dims > 1 else ["pad", "mask"]))
    kernel = 3 if mode == "raster" else ints(draw, dims, 1, small(dims))
    module = cls("CausalConv", dims)(
        c,
        out,
        kernel,
        ints(draw, dims, 1, 3),
        "same",
        ints(draw, dims, 1, 2),
        groups,
        draw(st.booleans()),
        "zeros" if mode == "raster" else draw(st.sampled_from(["zeros", "replicate"])),
        mode=mode,
        time_axis=0,
        raster_type=draw(st.sampled_from("AB")),
    )
    return Case(module, c, dims, causal=True)


def block_conv(draw: Draw, dims: int) -> Case:
    stride = draw(st.integers(1, 3))
    kernel = draw(st.integers(1, stride + 2))
    module = cls("CausalConv", dims)(2, 2, kernel, stride, alignment="block")
    return Case(module, 2, dims)


def conv_transpose(draw: Draw, dims: int) -> Case:
    c, out, groups = channels_groups(draw)
    kernel, stride, dilation = (draw(st.integers(1, high)) for high in (small(dims), 3, 2))
    if draw(st.booleans()):
        padding: object = "same"
        extra = 0
    else:
        padding = draw(st.integers(0, 1))
        extra = draw(st.integers(0, max(stride, dilation) - 1))
    module = cls("ConvTranspose", dims)(
        c, out, kernel, stride, padding, extra, groups, draw(st.booleans()), dilation
    )
    return Case(module, c, dims)


def causal_conv_transpose(draw: Draw, dims: int) -> Case:
    c, out, groups = channels_groups(draw)
    kernel, stride, dilation = (draw(st.integers(1, high)) for high in (small(dims), 3, 2))
    module = cls("CausalConvTranspose", dims)(
        c, out, kernel, stride, groups=groups, bias=draw(st.booleans()), dilation=dilation
    )
    return Case(module, c, dims, causal=True)


def pool(draw: Draw, dims: int) -> Case:
    kind = draw(st.sampled_from(["MaxPool", "AvgPool", "CausalMaxPool", "CausalAvgPool"]))
    causal = kind.startswith("Causal")
    kernel = draw(st.integers(1, small(dims)))
    stride = draw(st.one_of(st.none(), st.integers(1, 3)))
    padding = "same" if causal or draw(st.booleans()) else draw(st.integers(0, kernel // 2))
    ceil = draw(st.booleans())
    if "Max" in kind:
        module = cls(kind, dims)(kernel, stride, padding, draw(st.integers(1, 2)), ceil_mode=ceil)
    else:
        override = draw(st.sampled_from([None, None, 3]))
        module = cls(kind, dims)(kernel, stride, padding, ceil, draw(st.booleans()), override)
    return Case(module, 2, dims, causal=causal, measure="bound" if "Max" in kind else "exact")


def upsample(draw: Draw, dims: int) -> Case:
    mode, causal = draw(st.sampled_from(["nearest", "linear"])), draw(st.booleans())
    module = cls("Upsample", dims)(ints(draw, dims, 1, 4), mode, causal=causal)
    return Case(module, 2, dims, causal=causal)


def pad(draw: Draw, dims: int) -> Case:
    mode = draw(st.sampled_from(["zeros", "replicate", "reflect"]))
    numbers = draw(st.lists(st.integers(-1, 2), min_size=2 * dims, max_size=2 * dims))
    module = nn.Pad(numbers, mode, draw(st.sampled_from([0.0, 0.5])))
    return Case(module, 2, dims, shortest=3 if mode == "reflect" else 0)


def shuffle(draw: Draw, dims: int) -> Case:
    factor = ints(draw, dims, 1, 3 if dims < 3 else 2)
    kind = draw(st.sampled_from(["shuffle", "unshuffle", "causal", "channels"]))
    if kind == "channels":
        return Case(nn.ChannelShuffle(2), 4, dims, causal=True)
    if kind == "shuffle":
        total = factor**dims if isinstance(factor, int) else math.prod(factor)
        return Case(cls("PixelShuffle", dims)(factor), 2 * total, dims, causal=True)
    module = cls("PixelUnshuffle", dims)(factor, causal=kind == "causal")
    return Case(module, 1, dims, causal=kind == "causal")


def norm(draw: Draw, dims: int) -> Case:
    kind = draw(st.sampled_from(["batch", "layer", "rms", "group", "instance"]))
    made = {
        "batch": lambda: cls("BatchNorm", dims)(4),
        "layer": lambda: nn.ChannelLayerNorm(4),
        "rms": lambda: nn.RMSNorm(4),
        "group": lambda: nn.GroupNorm(2, 4),
        "instance": lambda: cls("InstanceNorm", dims)(4, affine=True),
    }[kind]()
    for parameter in made.parameters():
        tn.init.uniform_(parameter, 0.5, 1.5)
    pools = kind in ("group", "instance")
    return Case(made, 4, dims, causal=not pools, shortest=2 if pools else 0)


def deform(draw: Draw, dims: int) -> Case:
    causal = draw(st.booleans())
    c, out, groups = channels_groups(draw)
    reach = draw(st.integers(0, 2))
    padding = "same" if causal or draw(st.booleans()) else draw(st.integers(0, 1))
    module = cls("CausalDeformConv" if causal else "DeformConv", dims)(
        c,
        out,
        draw(st.integers(1, 3 if dims == 2 else 2)),
        draw(st.integers(1, 2)),
        padding,
        draw(st.integers(1, 2)),
        groups,
        draw(st.booleans()),
        offset_groups=draw(st.sampled_from([1, c])),
        modulation=draw(st.booleans()),
        offset_range=draw(st.sampled_from([reach, (reach, *[1] * (dims - 1))])),
    )
    tn.init.normal_(module.offset.weight)
    tn.init.normal_(module.offset.bias, std=1.5)
    return Case(module, c, dims, causal=causal, measure="bound")


def gated(draw: Draw, dims: int) -> Case:
    module = nn.Gated(
        cls("CausalConv", dims)(2, 4, draw(st.integers(1, 3)), dilation=draw(st.integers(1, 3)))
    )
    return Case(module, 2, dims, causal=True)


def activation(draw: Draw, dims: int) -> Case:
    kinds = [
        tn.Tanh(),
        tn.GELU(),
        tn.SiLU(),
        tn.Sigmoid(),
        tn.Softplus(),
        tn.Softmax(1),
        tn.Identity(),
        nn.Gate(),
    ]
    return Case(draw(st.sampled_from(kinds)), 2, dims, causal=True)


LAYERS: dict[str, Callable[[Draw, int], Case]] = {
    "conv": conv,
    "causal_conv": causal_conv,
    "block_conv": block_conv,
    "conv_transpose": conv_transpose,
    "causal_conv_transpose": causal_conv_transpose,
    "pool": pool,
    "upsample": upsample,
    "pad": pad,
    "shuffle": shuffle,
    "norm": norm,
    "deform": deform,
    "gated": gated,
    "activation": activation,
}


def keeps_length(draw: Draw, dims: int, c: int, causal: bool, stride: int) -> tn.Module:
    """A layer from c to c channels whose length is ceil(length / stride)."""
    kernel, dilation = draw(st.integers(1, small(dims))), draw(st.integers(1, 2))
    kind = draw(st.sampled_from(["conv", "conv", "pool", "act"]))
    prefix = "Causal" if causal else ""
    if kind == "pool":
        return cls(f"{prefix}AvgPool", dims)(min(kernel, 3), stride, "same")
    if kind == "act" and stride == 1:
        return draw(st.sampled_from([tn.Tanh, tn.GELU, tn.SiLU]))()
    if causal:
        mode = draw(st.sampled_from(["pad", "mask"]))
        return cls("CausalConv", dims)(c, c, kernel, stride, dilation=dilation, mode=mode)
    return cls("Conv", dims)(c, c, kernel, stride, "same", dilation)


def point(dims: int, c: int, out: int, stride: int) -> tn.Module:
    return cls("Conv", dims)(c, out, 1, stride, "same")


def block(draw: Draw, dims: int, c: int, causal: bool, depth: int) -> tuple[tn.Module, int]:
    """A residual block or branches, nested up to a depth, with unequal latencies and one stride."""
    stride = draw(st.sampled_from([1, 1, 2]))
    paths = []
    for _ in range(draw(st.integers(1, 2))):
        layers = [keeps_length(draw, dims, c, causal, 1) for _ in range(draw(st.integers(0, 2)))]
        if depth and draw(st.booleans()):
            inner, out = block(draw, dims, c, causal, depth - 1)
            if nn.geometry(inner).total_stride == 1:
                layers += [inner, point(dims, out, c, 1)]
        layers.append(keeps_length(draw, dims, c, causal, stride))
        paths.append(nn.Sequential(*layers))
    if len(paths) == 1:
        shortcut = None if stride == 1 and draw(st.booleans()) else point(dims, c, c, stride)
        return nn.Residual(paths[0], shortcut), c
    merge = draw(st.sampled_from(["add", "concat", "mul"]))
    return nn.Branches(paths, merge), c * len(paths) if merge == "concat" else c


@st.composite
def stacks(draw: Draw, dims: int) -> Case:
    """Two to four layers of any kind, nested branches among them, standard or causal throughout."""
    causal = draw(st.booleans())
    c = first = 2
    layers: list[tn.Module] = []
    measure, up, down = "exact", 1, 1
    for _ in range(draw(st.integers(2, 4))):
        kind = draw(
            st.sampled_from(["keep", "down", "block", "block", "up", "max", "norm", "linear", "gate"])
        )
        if (kind in ("down", "max") and down >= 6) or (kind in ("up", "linear") and up >= 4):
            kind = "keep"
        prefix = "Causal" if causal else ""
        if kind == "block":
            made, c = block(draw, dims, c, causal, depth=1)
            layers.append(made)
        elif kind == "down":
            stride = draw(st.integers(2, 3))
            layers.append(keeps_length(draw, dims, c, causal, stride))
            down *= stride
        elif kind == "up":
            scale, kernel = draw(st.integers(2, 3)), draw(st.integers(1, 4))
            layers.append(cls(f"{prefix}ConvTranspose", dims)(c, c, kernel, scale, "same"))
            up *= scale
        elif kind == "linear":
            layers.append(
                cls("Upsample", dims)(2, draw(st.sampled_from(["nearest", "linear"])), causal=causal)
            )
            up *= 2
        elif kind == "max":
            layers.append(cls(f"{prefix}MaxPool", dims)(2, 2, "same"))
            measure, down = "bound", down * 2
        elif kind == "norm":
            # float32: channels that nearly agree are divided by sqrt(eps), and so is the last bit before
            layers.append(draw(st.sampled_from([nn.ChannelLayerNorm, nn.RMSNorm]))(c, eps=0.1))
        elif kind == "gate":
            layers.append(nn.Gated(cls(f"{prefix}Conv", dims)(c, 2 * c, 3, padding="same")))
        else:
            layers.append(keeps_length(draw, dims, c, causal, 1))
    return Case(nn.Sequential(*layers), first, dims, causal=causal, measure=measure)


@st.composite
def single_layers(draw: Draw, kind: str) -> Case:
    """One layer of a kind, in any dimension it has."""
    return LAYERS[kind](draw, draw(st.integers(2 if kind == "deform" else 1, 3)))


@st.composite
def shapes_and_plans(draw: Draw, case: Case, axis: int) -> tuple[tuple[int, ...], list[int]]:
    """An input shape, the stream axis from nothing to more than windows reach, and a plan of chunks."""
    length = draw(st.one_of(st.integers(case.shortest, 4), st.integers(case.shortest, 14)))
    high = {1: 5, 2: 5, 3: 4}[case.dims]
    others = [draw(st.integers(max(1, case.shortest), high)) for _ in range(case.dims)]
    others[axis] = max(length, case.shortest)
    plan = draw(
        st.one_of(
            st.just([1] * length),
            st.just([length + 3]),
            st.lists(st.integers(0, 5), max_size=8),
            st.lists(st.sampled_from([0, 1, 2, 7]), max_size=10),
        )
    )
    return (draw(st.integers(1, 2)), case.channels, *others), plan


def seeded(case: Case, seed: int) -> Case:
    """The case with parameters drawn anew, so that a failure repeats whatever ran before."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in case.module.parameters():
        parameter.data = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 0.4
    return case
