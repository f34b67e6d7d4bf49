"""How each of torch's own layers becomes the layer of this package that streams, over the same parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import nn

from mediaconv.nn.layers import convolution, norms, pooling, resize, shuffle, transposed
from mediaconv.nn.layers.padding import Pad

Converter = Callable[[Any, str], nn.Module]


def _ours(room: ModuleType) -> Converter:
    """Make the layer of the same name in a room, of the module's own arguments, parameters and buffers."""
    return lambda module, path: _same(getattr(room, type(module).__name__), module)


def _same(kind: Callable[..., nn.Module], module: Any) -> nn.Module:
    given: dict[str, Any] = {
        "device": "meta",
        "dtype": None,
        "bias": module._parameters.get("bias") is not None,
    }
    if module._parameters.get("weight") is not None:
        given["dtype"] = module.weight.dtype
    names = inspect.signature(kind).parameters
    converted = kind(**{name: given.get(name, getattr(module, name, None)) for name in names})
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        setattr(converted, name, tensor)
    return converted


def _upsample(module: nn.Upsample, path: str) -> nn.Module:
    factors = module.scale_factor if isinstance(module.scale_factor, tuple) else (module.scale_factor,)
    if module.size is not None or any(f is None or f != int(f) or f < 1 for f in factors):
        raise ValueError(f"size {module.size}, scale_factor {module.scale_factor}: expected a whole factor")
    if module.align_corners:
        raise ValueError("align_corners=True depends on the whole length; use False")
    scale = tuple(int(f) for f in factors)  # type: ignore[arg-type]
    if module.mode in ("nearest", "nearest-exact"):
        return resize.UpsampleNearest(scale[0]) if len(scale) == 1 else _UPSAMPLES[len(scale)](scale)
    dims = {"linear": 1, "bilinear": 2, "trilinear": 3}.get(module.mode)
    if dims is None:
        raise ValueError(f"mode {module.mode}: expected nearest, linear, bilinear or trilinear")
    return _UPSAMPLES[dims](scale[0] if len(scale) == 1 else scale, "linear")


def _pad(mode: str) -> Converter:
    return lambda module, path: Pad(module.padding, mode, getattr(module, "value", 0.0))


_UPSAMPLES = {1: resize.Upsample1d, 2: resize.Upsample2d, 3: resize.Upsample3d}

KNOWN: dict[type[nn.Module], Converter] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _ours(convolution)),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _ours(transposed)),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _ours(norms)),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _ours(norms)),
    nn.GroupNorm: _ours(norms),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _ours(pooling)),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _ours(pooling)),
    nn.Upsample: _upsample,
    nn.UpsamplingNearest2d: _upsample,
    **dict.fromkeys((nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d), _pad("zeros")),
    **dict.fromkeys((nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d), _pad("zeros")),
    **dict.fromkeys((nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d), _pad("replicate")),
    **dict.fromkeys((nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d), _pad("reflect")),
    nn.PixelShuffle: lambda module, path: shuffle.PixelShuffle2d(module.upscale_factor),
    nn.PixelUnshuffle: lambda module, path: shuffle.PixelUnshuffle2d(module.downscale_factor),
    nn.ChannelShuffle: lambda module, path: shuffle.ChannelShuffle(module.groups),
}
"""Matched exactly, since a subclass may compute something else."""
