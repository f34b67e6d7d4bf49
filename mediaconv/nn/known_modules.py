"""How each of torch's own layers becomes the layer of this package that streams, over the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from mediaconv.nn.layers import convolution, norms, pooling, resize, shuffle, transposed
from mediaconv.nn.layers.padding import Pad

Converter = Callable[[Any, str], nn.Module]


def _share(converted: nn.Module, module: nn.Module) -> nn.Module:
    """Give a layer made on the meta device the module's own parameters and buffers."""
    for name, parameter in module._parameters.items():
        setattr(converted, name, parameter)
    for name, buffer in module._buffers.items():
        setattr(converted, name, buffer)
    return converted


def _convolution(module: Any, path: str) -> nn.Module:
    kind = getattr(convolution, type(module).__name__)
    converted = kind(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        module.groups,
        module.bias is not None,
        module.padding_mode,
        "meta",
        module.weight.dtype,
    )
    return _share(converted, module)


def _transposed(module: Any, path: str) -> nn.Module:
    kind = getattr(transposed, type(module).__name__)
    converted = kind(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        module.stride,
        module.padding,
        module.output_padding,
        module.groups,
        module.bias is not None,
        module.dilation,
        module.padding_mode,
        "meta",
        module.weight.dtype,
    )
    return _share(converted, module)


def _norm(module: Any, path: str) -> nn.Module:
    kind = getattr(norms, type(module).__name__)
    converted = kind(
        module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats, "meta"
    )
    return _share(converted, module)


def _group_norm(module: nn.GroupNorm, path: str) -> nn.Module:
    converted = norms.GroupNorm(
        module.num_groups, module.num_channels, module.eps, module.affine, device="meta"
    )
    return _share(converted, module)


def _max_pool(module: Any, path: str) -> nn.Module:
    kind = getattr(pooling, type(module).__name__)
    return kind(
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        module.return_indices,
        module.ceil_mode,
    )


def _avg_pool(module: Any, path: str) -> nn.Module:
    dims = int(type(module).__name__[-2])
    kind = getattr(pooling, type(module).__name__)
    return kind(
        module.kernel_size if dims > 1 else module.kernel_size[0],
        module.stride if dims > 1 else module.stride[0],
        module.padding if dims > 1 else module.padding[0],
        module.ceil_mode,
        module.count_include_pad,
        getattr(module, "divisor_override", None),
    )


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
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _transposed),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _norm),
    nn.GroupNorm: _group_norm,
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _max_pool),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _avg_pool),
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
