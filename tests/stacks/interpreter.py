"""A stack of a configuration computed in plain torch.nn.functional: what each key means, written again.

Shares nothing with the program: it reads the YAML's own lists and dictionaries and a state dict. In an
`opened` run every nonlinear layer passes its input on and pools add, so that gradients tell what each
output can read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import einops
import torch
from torch import Tensor
from torch.nn import functional as F

Layers = Sequence[str | Mapping[str, Any]]
Margins = list[tuple[int, int]]

AXES = {1: "t", 2: "h w", 3: "t h w"}
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "elu": F.elu,
    "hardswish": F.hardswish,
    "softmax": lambda x: x.softmax(1),
    "identity": lambda x: x,
}


def extent(kernel: int, dilation: int) -> int:
    """Steps that a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def centred(kernel: int, dilation: int) -> tuple[int, int]:
    """Padding that keeps a standard layer's output beside its input."""
    span = extent(kernel, dilation) - 1
    return span // 2, span - span // 2


def padded(x: Tensor, margins: Margins, mode: str = "zeros", value: float = 0.0) -> Tensor:
    """Pad every axis after the channels by (left, right); negative numbers cut."""
    grown = [max(0, n) for pair in reversed(margins) for n in pair]
    if any(grown):
        x = F.pad(x, grown, value=value) if mode == "zeros" else F.pad(x, grown, mode=mode)
    for axis, (left, right) in enumerate(margins):
        x = x.narrow(axis + 2, max(0, -left), x.shape[axis + 2] - max(0, -left) - max(0, -right))
    return x


class Interpreter:
    """One configuration's stack over tensors (N, C, ...).

    dims: axes after the channels. causal, time_axis: the configuration's own keys.
    weights: the state dict of the stack. opened: linear everywhere, for receptive fields by gradient.
    """

    def __init__(
        self,
        dims: int,
        weights: Mapping[str, Tensor],
        *,
        causal: Any,
        time_axis: int = 0,
        opened: bool = False,
    ) -> None:
        self.dims, self.weights, self.causal, self.time_axis = dims, weights, causal, time_axis
        self.opened = opened

    def run(self, layers: Layers, x: Tensor, prefix: str = "", shapes: list | None = None) -> Tensor:
        """All layers, one after the other. shapes: gets each layer's output shape, without the batch."""
        for i, layer in enumerate(layers):
            name, options = (layer, {}) if isinstance(layer, str) else next(iter(layer.items()))
            x = self.layer(name, options or {}, x, f"{prefix}{i}.")
            if shapes is not None:
                shapes.append(tuple(x.shape[1:]))
        return x

    def layer(self, name: str, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        """One layer by its YAML name. Raises KeyError for a name that nobody wrote down here."""
        if name in ACTIVATIONS:
            return x if self.opened else ACTIVATIONS[name](x)
        return getattr(self, f"_{name}")(options, x, prefix)

    # --- keys that several layers take -------------------------------------------------------------------

    def _each(self, value: int | Sequence[int]) -> list[int]:
        return [value] * self.dims if isinstance(value, int) else list(value)

    def _geometry(self, options: Mapping[str, Any]) -> tuple[list[int], list[int], list[int]]:
        kernel = self._each(options["kernel_size"])
        return kernel, self._each(options.get("stride", 1)), self._each(options.get("dilation", 1))

    def _mode(self, options: Mapping[str, Any]) -> Any:
        mode = options.get("causal", self.causal)
        if mode is True:
            return "raster" if self.dims == 2 else "pad"
        return mode or None

    def _causal_axes(self, options: Mapping[str, Any]) -> list[int]:
        mode = self._mode(options)
        if mode is None:
            return []
        in_order = mode == "raster" or isinstance(mode, dict)
        return list(range(self.dims)) if in_order else [options.get("time_axis", self.time_axis)]

    def _margins(self, options: Mapping[str, Any], kernel: list[int], dilation: list[int]) -> Margins:
        padding = options.get("padding", "same")
        each = padding if isinstance(padding, list) else [padding] * self.dims
        words = {"valid": (0, 0)}
        return [
            centred(k, d) if p == "same" else words.get(p, (p, p))
            for k, d, p in zip(kernel, dilation, each, strict=True)
        ]

    def _allowed(self, mode: Any, time_axis: int, offset: tuple[int, ...]) -> bool:
        """Whether a causal layer may use the tap at an offset from the output's own position."""
        if mode == "mask":
            return offset[time_axis] <= 0
        own = (0,) * len(offset)
        return offset < own or (offset == own and mode != {"raster": "A"})

    # --- layers with weights ------------------------------------------------------------------------------

    def _conv(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        kernel, stride, dilation = self._geometry(options)
        weight, mode = self.weights[prefix + "weight"], self._mode(options)
        margins, time = self._margins(options, kernel, dilation), options.get("time_axis", self.time_axis)
        if mode == "pad":
            span = extent(kernel[time], dilation[time])
            block = options.get("alignment") == "block"
            margins[time] = (span - stride[time], stride[time] - 1) if block else (span - 1, 0)
        elif mode is not None:
            mask = torch.zeros(kernel, dtype=torch.bool)
            for tap in itertools.product(*map(range, kernel)):
                offset = (i * d - centred(k, d)[0] for i, k, d in zip(tap, kernel, dilation, strict=True))
                mask[tap] = self._allowed(mode, time, tuple(offset))
            weight = weight * mask
            for axis in range(self.dims):  # taps that are masked everywhere along an axis need no padding
                used = [i for i in range(kernel[axis]) if mask.select(axis, i).any()]
                left, right = margins[axis]
                unused = kernel[axis] - 1 - used[-1]
                margins[axis] = (left - used[0] * dilation[axis], right - unused * dilation[axis])
                weight = weight.narrow(axis + 2, used[0], used[-1] + 1 - used[0])
        x = padded(x, margins, options.get("padding_mode", "zeros"))
        bias = self.weights.get(prefix + "bias")
        return CONV[self.dims](x, weight, bias, stride, 0, dilation, options.get("groups", 1))

    def _conv_transpose(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        kernel, stride, dilation = self._geometry(options)
        extra, causal = self._each(options.get("output_padding", 0)), self._causal_axes(options)
        padding = options.get("padding", "same")
        each = padding if isinstance(padding, list) else [padding] * self.dims
        margins: Margins = []
        for axis in range(self.dims):
            over = extent(kernel[axis], dilation[axis]) - stride[axis]
            if axis in causal:
                margins.append((0, -over))
            elif each[axis] == "same":
                left = max(0, over // 2)
                margins.append((-left, left - over))
            else:
                margins.append((-each[axis], extra[axis] - each[axis]))
        groups, weight = options.get("groups", 1), self.weights[prefix + "weight"]
        y = CONV_TRANSPOSE[self.dims](x, weight, None, stride, 0, 0, groups, dilation)
        bias = self.weights.get(prefix + "bias")
        y = padded(y, margins)
        return y if bias is None else y + bias.reshape(-1, *[1] * self.dims)

    def _gated(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        if "out_channels" in options:
            x = self._conv(options, x, prefix + "conv.")
        a, b = x.chunk(2, 1)
        return a + b if self.opened else torch.tanh(a) * torch.sigmoid(b)

    def _glu(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        a, b = x.chunk(2, 1)
        return a + b if self.opened else a * torch.sigmoid(b)

    def _prelu(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        return x if self.opened else F.prelu(x, self.weights[prefix + "weight"])

    # --- pools --------------------------------------------------------------------------------------------

    def _pool_margins(self, options: Mapping[str, Any], x: Tensor) -> tuple[Margins, Margins]:
        """Margins as configured, and with what `ceil_mode` adds at the end."""
        kernel, stride, dilation = self._pool_geometry(options)
        margins, grown = self._margins(options, kernel, dilation), []
        for axis in range(self.dims):
            span = extent(kernel[axis], dilation[axis])
            if axis in self._causal_axes(options):
                margins[axis] = (span - 1, 0)
            left, right = margins[axis]
            length = x.shape[axis + 2]
            room, more = length + left + right - span, 0
            if options.get("ceil_mode"):
                count = -(-room // stride[axis]) + 1
                count -= (count - 1) * stride[axis] >= length + left  # torch: no window begins in the padding
                more = max(0, (count - 1) * stride[axis] - room)
            grown.append((left, right + more))
        return margins, grown

    def _pool_geometry(self, options: Mapping[str, Any]) -> tuple[list[int], list[int], list[int]]:
        kernel = self._each(options["kernel_size"])
        return kernel, self._each(options.get("stride") or kernel), self._each(options.get("dilation", 1))

    def _sums(self, x: Tensor, margins: Margins, options: Mapping[str, Any]) -> Tensor:
        kernel, stride, dilation = self._pool_geometry(options)
        ones = x.new_ones(x.shape[1], 1, *kernel)
        return CONV[self.dims](padded(x, margins), ones, None, stride, 0, dilation, x.shape[1])

    def _max_pool(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        _, margins = self._pool_margins(options, x)
        if self.opened:
            return self._sums(x, margins, options)
        kernel, stride, dilation = self._pool_geometry(options)
        return MAX_POOL[self.dims](padded(x, margins, value=-math.inf), kernel, stride, 0, dilation)

    def _avg_pool(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        margins, grown = self._pool_margins(options, x)
        counted = torch.ones_like(x[:, :1])
        if options.get("count_include_pad", True):
            counted, more = (
                padded(counted, margins, value=1.0),
                [(0, b[1] - a[1]) for a, b in zip(margins, grown, strict=True)],
            )
        else:
            more = grown
        return self._sums(x, grown, options) / self._sums(counted, more, options).clamp(min=1)

    # --- layers that move values --------------------------------------------------------------------------

    def _upsample(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        causal = self._causal_axes(options)
        for axis, factor in enumerate(self._each(options["scale_factor"])):
            dim, length = axis + 2, x.shape[axis + 2]
            if options.get("mode", "nearest") == "nearest":
                x = x.repeat_interleave(factor, dim)
                continue
            j = torch.arange(length * factor)
            if axis in causal:
                at = j // factor - 1 + ((j % factor) + 1).to(x.dtype) / factor
            else:
                at = (j.to(x.dtype) + 0.5) / factor - 0.5
            at = at.clamp(0, length - 1)
            low = at.floor().long()
            share = (at - low).reshape(-1, *[1] * (self.dims - 1 - axis))
            high = (low + 1).clamp(max=length - 1)
            x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share
        return x

    def _blocks(self, factors: list[int]) -> tuple[str, str, str, dict[str, int]]:
        """The axes; their parts within a block; axes and parts together; the sizes of the parts."""
        axes = AXES[self.dims].split()
        within = " ".join(f"{a}f" for a in axes)
        joint = " ".join(f"({a} {a}f)" for a in axes)
        return " ".join(axes), within, joint, {f"{a}f": f for a, f in zip(axes, factors, strict=True)}

    def _pixel_shuffle(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        axes, within, joint, sizes = self._blocks(self._each(options["upscale_factor"]))
        return einops.rearrange(x, f"n (c {within}) {axes} -> n c {joint}", **sizes)

    def _pixel_unshuffle(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        factors, causal = self._each(options["downscale_factor"]), self._causal_axes(options)
        margins: Margins = []
        for axis, factor in enumerate(factors):
            missing = -x.shape[axis + 2] % factor
            first = factor - 1 if axis in causal else 0
            margins.append((first, missing - first))
        axes, within, joint, sizes = self._blocks(factors)
        return einops.rearrange(padded(x, margins), f"n c {joint} -> n (c {within}) {axes}", **sizes)

    def _channel_shuffle(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        return einops.rearrange(x, "n (g c) ... -> n (c g) ...", g=options["groups"])

    def _reshape(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        return einops.rearrange(x, options["pattern"], **options.get("sizes", {}))

    def _dropout(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        return x

    # --- norms --------------------------------------------------------------------------------------------

    def _affine(self, x: Tensor, prefix: str) -> Tensor:
        shape = (-1, *[1] * self.dims)
        for name, apply in (("weight", torch.mul), ("bias", torch.add)):
            if prefix + name in self.weights:
                x = apply(x, self.weights[prefix + name].reshape(shape))
        return x

    def _batch_norm(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        if self.opened:
            return x
        mean, variance = (self.weights[f"{prefix}running_{n}"] for n in ("mean", "var"))
        y = F.batch_norm(x, mean, variance, eps=options.get("eps", 1e-5))
        return self._affine(y, prefix)

    def _layer_norm(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        if self.opened:
            return x
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        return self._affine((x - mean) / (variance + options.get("eps", 1e-5)).sqrt(), prefix)

    def _rms_norm(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        if self.opened:
            return x
        eps = options.get("eps") or torch.finfo(x.dtype).eps
        return self._affine(x / ((x**2).mean(1, keepdim=True) + eps).sqrt(), prefix)

    # --- layers made of layers ----------------------------------------------------------------------------

    def _residual(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        y = self.run(options["layers"], x, prefix + "layers.")
        return y + self.run(options.get("shortcut") or [], x, prefix + "shortcut.")

    def _branches(self, options: Mapping[str, Any], x: Tensor, prefix: str) -> Tensor:
        parts = [self.run(p, x, f"{prefix}branches.{i}.") for i, p in enumerate(options["paths"])]
        merge = options.get("merge", "add")
        if merge == "concat":
            return torch.cat(parts, 1)
        y = parts[0]
        for part in parts[1:]:
            y = y * part if merge == "mul" and not self.opened else y + part
        return y
