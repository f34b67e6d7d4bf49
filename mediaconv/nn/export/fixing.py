"""Which step of fixed shape each layer of this package becomes, and which has none."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn.convert import RegisteredResidual
from mediaconv.nn.export.fixed import (
    INSIDE,
    FixedBranches,
    FixedChain,
    FixedLayer,
    FixedPointwise,
    Level,
)
from mediaconv.nn.export.fixed_graph import FixedGraph
from mediaconv.nn.export.fixed_window import FixedTransposed, FixedWindow
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.layers.containers import Branches, Sequential
from mediaconv.nn.layers.gates import Gated
from mediaconv.nn.layers.norms import ChannelLayerNorm, RMSNorm
from mediaconv.nn.layers.pooling import _AvgPool
from mediaconv.nn.layers.resample import Resample
from mediaconv.nn.layers.reshape import Reshape
from mediaconv.nn.layers.resize import _Upsample
from mediaconv.nn.layers.transposed import _ConvTranspose
from mediaconv.nn.streaming.protocol import axis_map, init_state
from mediaconv.nn.streaming.window import Span, Windowed, pad


def fix(module: nn.Module, before: Level, path: str = "", axis: int = 0) -> FixedLayer:
    """A module that streams as steps of fixed shape, given what comes in.

    axis: along which it streams; other than 0 for a layer of windows in a captured graph.

    Raises ValueError naming a layer that has no such step, as it reads the whole input.
    """
    where = path or type(module).__name__
    if axis:
        if not isinstance(module, Windowed) or isinstance(module, _Upsample | Resample | Reshape):
            raise ValueError(f"{where}: {type(module).__name__} along axis {axis} has no step of fixed shape")
        return _window(module, before, axis)
    if isinstance(module, Sequential):
        return _chain(list(module.parts()), before, path)
    if isinstance(module, Gated):
        return _chain([("conv", module.conv), ("gate", module.gate)], before, path)
    if isinstance(module, StreamingGraph):
        return FixedGraph(module, before, fix, where)
    if isinstance(module, RegisteredResidual):
        return fix(module.__dict__["_body"], before, path)
    if isinstance(module, Branches):
        names, modules = zip(*module.parts(), strict=True)
        paths = [fix(m, before, f"{path}.{n}".strip(".")) for n, m in zip(names, modules, strict=True)]
        return FixedBranches(names, paths, module.merge)
    if isinstance(module, _ConvTranspose):
        return FixedTransposed(module, before)
    if isinstance(module, Resample) and axis_map(module).total_stride != 1:
        return _resample(module, before)
    if isinstance(module, _Upsample) and module.windows[0].kernel > 1:
        return _upsample(module, before)
    if isinstance(module, Windowed) and not isinstance(module, _Upsample) and not axis_map(module, 0).whole:
        return _window(module, before)
    if axis_map(module, 0).whole:
        raise ValueError(
            f"{where}: {type(module).__name__} reads the whole input, so it has no step to export"
        )
    if isinstance(module, ChannelLayerNorm | RMSNorm):
        return FixedPointwise(_SpelledNorm(module), before, 1)
    if not init_state(module, 0).counts and not init_state(module, 0).children:
        return FixedPointwise(module, before, int(1 / axis_map(module, 0).total_stride))
    raise ValueError(f"{where}: {type(module).__name__} has no step of fixed shape yet")


class _SpelledNorm(nn.Module):
    """A norm over channels in elementary operations: ONNX has it over the last axis only."""

    def __init__(self, norm: ChannelLayerNorm | RMSNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        norm, shape = self.norm, (-1, *[1] * (x.ndim - 2))
        if isinstance(norm, ChannelLayerNorm):
            x = x - x.mean(1, keepdim=True)
        eps = torch.finfo(x.dtype).eps if norm.eps is None else norm.eps
        y = x / ((x * x).mean(1, keepdim=True) + eps).sqrt()
        y = y if norm.weight is None else y * norm.weight.reshape(shape)
        return y if norm.bias is None else y + norm.bias.reshape(shape)


def _chain(parts: Sequence[tuple[str, nn.Module]], before: Level, path: str) -> FixedChain:
    layers: list[FixedLayer] = []
    for name, module in parts:
        layers.append(fix(module, before, f"{path}.{name}".strip(".")))
        before = layers[-1].out
    return FixedChain([name for name, _ in parts], layers, before)


def _window(layer: Windowed, before: Level, axis: int = 0) -> FixedWindow:
    window, inside = layer.windows[axis], INSIDE._replace(axis=axis)
    each = layer.outputs_of(inside, 1)

    def length(n: Tensor) -> Tensor:
        return before.length(n).div(window.stride, rounding_mode="floor") * each

    return FixedWindow(
        layer,  # type: ignore[arg-type]
        window,
        before,
        lambda x: _means(layer, x, inside) if isinstance(layer, _AvgPool) else layer.apply_windows(x, inside),
        mode=layer.padding_mode,
        fill=layer.fill,
        each=each,
        length=length if isinstance(layer, Reshape) else None,
        dim=axis + 2,
    )


def _means(layer: _AvgPool, x: Tensor, inside: Span) -> Tensor:
    """As the layer's own windows, without `divisor_override`, which ONNX does not know."""
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[layer.dims - 1]
    padded = pad(x, layer.windows, skip=inside.axis)
    total = pool(padded, layer.kernel_size, layer.stride) * math.prod(layer.kernel_size)
    return layer.divided(total, x, inside)


def _upsample(layer: _Upsample, before: Level) -> FixedWindow:
    factor = int(1 / axis_map(layer).total_stride)
    causal = layer.windows[0].right == 0
    return FixedWindow(
        layer,
        layer.windows[0],
        before,
        lambda x: layer.apply_windows(x, INSIDE),
        mode="replicate",
        each=factor,
        shift=0 if causal else factor // 2,
        length=lambda n: before.length(n) * factor,
    )


def _resample(layer: Resample, before: Level) -> FixedWindow:
    window, new = layer._window, layer._new

    def length(n: Tensor) -> Tensor:
        return -(-before.length(n) * new).div(window.stride, rounding_mode="floor")

    return FixedWindow(layer, window, before, layer._blocks, each=new, length=length)
