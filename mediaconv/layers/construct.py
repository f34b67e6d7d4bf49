"""One layer of a configuration to one module: which class, which arguments. Weights come later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

import mediaconv.nn as mnn
from mediaconv.config import layers as specs
from mediaconv.config import setting
from mediaconv.config.activations import Activation
from mediaconv.config.layer import CausalLayer, LayerSpec
from mediaconv.config.setting import Causality
from mediaconv.errors import UsageError
from mediaconv.layers.filters.fill import filter_count, kernel_size
from mediaconv.nn.streaming.protocol import axis_map, output_channels


@dataclass(frozen=True)
class Place:
    """Where a layer stands: what the configuration and the layers before it say.

    channels: of the layer's input.
    dims: convolved axes.
    causal: the file's setting, for layers without their own.
    causal_mode: what `causal: true` means for this pipeline.
    path: leads to the layer, as an error names it.
    """

    channels: int
    dims: int
    causal: Causality
    causal_mode: str
    path: str = "stack"

    def causality(self, spec: CausalLayer) -> Causality:
        """How a layer is causal, by its own key or the file's."""
        if spec.causal is None:
            return self.causal
        return setting.causality(spec.causal, default_mode=self.causal_mode)


Builder = Callable[[Any, Place], torch.nn.Module]


def build_layer(spec: LayerSpec, place: Place) -> torch.nn.Module:
    """The module of one layer, with torch's own weights. Raises UsageError naming the layer."""
    build: Builder = _activation if isinstance(spec, Activation) else BUILDERS[type(spec)]
    try:
        module = build(spec, place)
        output_channels(module, place.channels)
        for axis in range(place.dims):
            axis_map(module, axis)
    except (ValueError, RuntimeError, TypeError) as error:
        if "allocate memory" in str(error):
            raise UsageError(
                f"{place.path}.{spec.name}: its weight does not fit in this machine's memory"
            ) from error
        raise UsageError(f"{place.path}.{spec.name}: {error}") from error
    return module


def build_sequence(layers: Sequence[LayerSpec], place: Place) -> mnn.Sequential:
    """Layers one after the other, channels following from what comes before."""
    modules: list[torch.nn.Module] = []
    channels = place.channels
    for i, spec in enumerate(layers):
        module = build_layer(spec, replace(place, channels=channels, path=f"{place.path}[{i}]"))
        channels = output_channels(module, channels)
        modules.append(module)
    return mnn.Sequential(*modules)


def _class(name: str, place: Place) -> Any:
    return getattr(mnn, f"{name}{place.dims}d")


def _channels_in(spec: Any, place: Place) -> int:
    if spec.in_channels not in (None, place.channels):
        raise ValueError(
            f"in_channels: got {spec.in_channels}, but what comes before gives {place.channels} channels"
        )
    return place.channels


def _conv_arguments(spec: Any, place: Place) -> dict[str, Any]:
    return {
        "in_channels": _channels_in(spec, place),
        "out_channels": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "dilation": spec.dilation,
        "padding": spec.padding,
        "groups": spec.groups,
        "bias": spec.bias is not False,
        "padding_mode": spec.padding_mode,
    }


def _causal_arguments(spec: Any, how: Causality) -> dict[str, Any]:
    return {
        "mode": how.mode,
        "raster_type": how.raster,
        "time_axis": spec.time_axis,
        "alignment": spec.alignment,
    }


def _conv(spec: specs.Conv, place: Place) -> torch.nn.Module:
    how = place.causality(spec)
    arguments = _conv_arguments(spec, place)
    if spec.kernel is not None:
        arguments |= kernel_arguments(spec, place)
    if how:
        return _class("CausalConv", place)(**arguments, **_causal_arguments(spec, how))
    return _class("Conv", place)(**arguments)


def kernel_arguments(spec: specs.Conv, place: Place) -> dict[str, Any]:
    """What a well-known kernel says of its layer: size, channels, groups, and no bias unless asked for.

    Each channel by itself is a grouped convolution; `mix` is a dense one over the channels' mean.
    """
    kernel = spec.kernel
    if kernel is None:
        return {}
    filters = filter_count(kernel)
    each = not kernel.mix
    out = spec.out_channels or filters * (place.channels if each else 1)
    depthwise = each and spec.groups == 1 and out == filters * place.channels
    return {
        "out_channels": out,
        "kernel_size": spec.kernel_size or kernel_size(kernel, place.dims),
        "groups": place.channels if depthwise else spec.groups,
        "bias": spec.bias is not False and "bias" in spec.model_fields_set,
    }


def _transpose(spec: specs.ConvTranspose, place: Place) -> torch.nn.Module:
    arguments = _conv_arguments(spec, place) | {"output_padding": spec.output_padding}
    how = place.causality(spec)
    if how:
        return _class("CausalConvTranspose", place)(**arguments, time_axis=_time_axes(spec, how, place))
    return _class("ConvTranspose", place)(**arguments)


def _deform(spec: specs.DeformConv, place: Place) -> torch.nn.Module:
    arguments = _conv_arguments(spec, place) | {
        "offset_range": spec.offset_range,
        "modulation": spec.modulation,
    }
    if arguments.pop("padding_mode") != "zeros":
        raise ValueError(f"padding_mode: got {spec.padding_mode}, expected zeros: taps outside read nothing")
    how = place.causality(spec)
    if not how:
        return _class("DeformConv", place)(**arguments)
    if how.mode != "pad":
        raise ValueError(
            f"causal: got {how.mode}, expected pad: a deformable layer has no fixed taps to mask"
        )
    return _class("CausalDeformConv", place)(**arguments, time_axis=spec.time_axis)


def _gated(spec: specs.Gated, place: Place) -> torch.nn.Module:
    if spec.out_channels is None:
        return mnn.Gate()
    doubled = _conv_arguments(spec, place) | {"out_channels": 2 * spec.out_channels}
    how = place.causality(spec)
    if how:
        conv = _class("CausalConv", place)(**doubled, **_causal_arguments(spec, how))
    else:
        conv = _class("Conv", place)(**doubled)
    return mnn.Gated(conv)


def _time_axes(spec: CausalLayer, how: Causality, place: Place) -> int | tuple[int, ...]:
    """Axes along which a window without taps to mask may only look back: in raster order, all of them."""
    return tuple(range(place.dims)) if how.mode == "raster" else spec.time_axis


def _pool(name: str, spec: Any, place: Place, **more: Any) -> torch.nn.Module:
    arguments = {
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "padding": spec.padding,
        "ceil_mode": spec.ceil_mode,
        **more,
    }
    how = place.causality(spec)
    if how:
        return _class(f"Causal{name}", place)(**arguments, time_axis=_time_axes(spec, how, place))
    return _class(name, place)(**arguments)


def _max_pool(spec: specs.MaxPool, place: Place) -> torch.nn.Module:
    return _pool("MaxPool", spec, place, dilation=spec.dilation)


def _avg_pool(spec: specs.AvgPool, place: Place) -> torch.nn.Module:
    return _pool("AvgPool", spec, place, count_include_pad=spec.count_include_pad)


def _upsample(spec: specs.Upsample, place: Place) -> torch.nn.Module:
    how = place.causality(spec)
    axes = _time_axes(spec, how, place)
    return _class("Upsample", place)(spec.scale_factor, spec.mode, causal=bool(how), time_axis=axes)


def _pixel_shuffle(spec: specs.PixelShuffle, place: Place) -> torch.nn.Module:
    return _class("PixelShuffle", place)(spec.upscale_factor)


def _pixel_unshuffle(spec: specs.PixelUnshuffle, place: Place) -> torch.nn.Module:
    how = place.causality(spec)
    axes = _time_axes(spec, how, place)
    return _class("PixelUnshuffle", place)(spec.downscale_factor, causal=bool(how), time_axis=axes)


def _channel_shuffle(spec: specs.ChannelShuffle, place: Place) -> torch.nn.Module:
    return mnn.ChannelShuffle(spec.groups)


def _reshape(spec: specs.Reshape, place: Place) -> torch.nn.Module:
    return mnn.Reshape(spec.pattern, spec.sizes, in_channels=place.channels)


def _batch_norm(spec: specs.BatchNorm, place: Place) -> torch.nn.Module:
    return _class("BatchNorm", place)(place.channels, eps=spec.eps, affine=spec.affine)


def _layer_norm(spec: specs.LayerNorm, place: Place) -> torch.nn.Module:
    return mnn.ChannelLayerNorm(place.channels, eps=spec.eps, affine=spec.affine)


def _rms_norm(spec: specs.RmsNorm, place: Place) -> torch.nn.Module:
    return mnn.RMSNorm(place.channels, eps=spec.eps, affine=spec.affine)


def _group_norm(spec: specs.GroupNorm, place: Place) -> torch.nn.Module:
    return mnn.GroupNorm(spec.num_groups, place.channels, eps=spec.eps, affine=spec.affine)


def _instance_norm(spec: specs.InstanceNorm, place: Place) -> torch.nn.Module:
    return _class("InstanceNorm", place)(place.channels, eps=spec.eps, affine=spec.affine)


def _residual(spec: specs.Residual, place: Place) -> torch.nn.Module:
    inner = build_sequence(spec.layers, replace(place, path=f"{place.path}.residual.layers"))
    shortcut = None
    if spec.shortcut:
        shortcut = build_sequence(spec.shortcut, replace(place, path=f"{place.path}.residual.shortcut"))
    return mnn.Residual(inner, shortcut)


def _branches(spec: specs.Branches, place: Place) -> torch.nn.Module:
    paths = [
        build_sequence(path, replace(place, path=f"{place.path}.branches.paths[{i}]"))
        for i, path in enumerate(spec.paths)
    ]
    return mnn.Branches(paths, merge=spec.merge)


def _dropout(spec: specs.Dropout, place: Place) -> torch.nn.Module:
    return torch.nn.Dropout(spec.p)


def _activation(spec: Activation, place: Place) -> torch.nn.Module:
    options = {name: getattr(spec, name) for name in type(spec).model_fields}
    parameters = options.get("num_parameters", 1)
    if parameters not in (1, place.channels):
        raise ValueError(
            f"num_parameters: got {parameters}, expected 1, or one per channel: {place.channels}"
        )
    if spec.name == "glu" and place.channels % 2:
        raise ValueError(
            f"got {place.channels} channels, expected an even number: half of them gate the others"
        )
    return getattr(torch.nn, spec.torch_name)(**options)


BUILDERS: dict[type[LayerSpec], Builder] = {
    specs.Conv: _conv,
    specs.ConvTranspose: _transpose,
    specs.DeformConv: _deform,
    specs.Gated: _gated,
    specs.MaxPool: _max_pool,
    specs.AvgPool: _avg_pool,
    specs.Upsample: _upsample,
    specs.PixelShuffle: _pixel_shuffle,
    specs.PixelUnshuffle: _pixel_unshuffle,
    specs.ChannelShuffle: _channel_shuffle,
    specs.Reshape: _reshape,
    specs.BatchNorm: _batch_norm,
    specs.LayerNorm: _layer_norm,
    specs.RmsNorm: _rms_norm,
    specs.GroupNorm: _group_norm,
    specs.InstanceNorm: _instance_norm,
    specs.Residual: _residual,
    specs.Branches: _branches,
    specs.Dropout: _dropout,
}
"""Every layer of `mediaconv.config.layers.LAYERS` that is no activation."""
