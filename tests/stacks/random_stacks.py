"""Random stacks as a configuration writes them: plain lists and dictionaries, valid by construction."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from tests.stacks.interpreter import ACTIVATIONS, AXES

Layer = str | dict[str, Any]
MOST_CHANNELS = 16
POINTWISE = ("batch_norm", "layer_norm", "rms_norm")


class StackGenerator:
    """Draws stacks for one number of axes; the same seed draws the same ones.

    dims: axes after the channels. causal: the configuration's own key, under which the stack must be valid.
    """

    def __init__(self, random: Random, dims: int, causal: Any) -> None:
        self.random, self.dims, self.causal = random, dims, causal

    def stack(self, channels: int, *, depth: int = 0, strides: bool = True) -> tuple[list[Layer], int]:
        """Layers for an input of `channels`, and the channels that come out."""
        layers: list[Layer] = []
        for _ in range(self.random.randint(1, 5 if depth == 0 else 3)):
            layer, channels = self._layer(channels, depth, strides)
            layers.append(layer)
            if channels > MOST_CHANNELS:
                layers.append({"conv": {"out_channels": 3, "kernel_size": 1}})
                channels = 3
        return layers, channels

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _numbers(self, low: int, high: int) -> int | list[int]:
        """One number, or one for each axis."""
        if self._chance(0.5):
            return self.random.randint(low, high)
        return [self.random.randint(low, high) for _ in range(self.dims)]

    def _divisor(self, channels: int) -> int:
        return self.random.choice([n for n in range(1, channels + 1) if channels % n == 0])

    def _layer(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        kinds = ["conv", "conv", "conv", "pool", "pointwise", "pointwise", "gate", "channel_shuffle"]
        kinds += ["conv_transpose", "upsample", "shuffle", "unshuffle"] if strides else []
        kinds += ["residual", "branches"] if depth < 2 else []
        kinds += ["reshape"] if strides and not self.causal else []
        return getattr(self, f"_{self.random.choice(kinds)}")(channels, depth, strides)

    def _convolution(self, channels: int, strides: bool) -> dict[str, Any]:
        """Keys that `conv` and `gated` take."""
        groups = self._divisor(channels) if self._chance(0.3) else 1
        options: dict[str, Any] = {
            "out_channels": groups * self.random.randint(1, max(1, 4 // groups)),
            "kernel_size": self._numbers(1, 4 if self.dims < 3 else 3),
            "groups": groups,
            "bias": self._chance(0.8),
        }
        if strides and self._chance(0.3):
            options["stride"] = self._numbers(1, 3)
        if self._chance(0.3):
            options["dilation"] = self._numbers(1, 3)
        causal = self.causal
        if self._chance(0.3):
            raster = ["raster", {"raster": "B"}] if self.dims > 1 else []
            causal = options["causal"] = self.random.choice([False, "pad", "mask", *raster])
        in_order = causal == "raster" or isinstance(causal, dict) or (causal is True and self.dims == 2)
        if causal and not in_order and self._chance(0.2):
            options["padding_mode"] = "replicate"
        if causal == "pad" and self._chance(0.2):
            options["alignment"] = "block"
        if not causal and self._chance(0.3):
            options["padding"] = self.random.choice([0, 1, 2, ["same", *[1] * (self.dims - 1)]])
        elif not causal and self._chance(0.2):
            options["padding_mode"] = self.random.choice(["reflect", "replicate"])
        return options

    def _conv(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        options = self._convolution(channels, strides)
        return {"conv": options}, options["out_channels"]

    def _gate(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        if channels % 2 == 0:
            return self.random.choice(["gated", "glu"]), channels // 2
        options = self._convolution(channels, strides)
        return {"gated": options}, options["out_channels"]

    def _conv_transpose(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        options = {
            "out_channels": self.random.randint(1, 4),
            "kernel_size": self._numbers(1, 4 if self.dims < 3 else 3),
            "stride": self._numbers(1, 2),
        }
        return {"conv_transpose": options}, options["out_channels"]

    def _pool(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        kind = self.random.choice(["max_pool", "avg_pool"])
        options: dict[str, Any] = {
            "kernel_size": self._numbers(1, 3),
            "stride": self._numbers(1, 3) if strides else 1,
        }
        if strides and self._chance(0.3):
            options["ceil_mode"] = True
        if kind == "avg_pool" and self._chance(0.3):
            options["count_include_pad"] = False
        if kind == "max_pool" and self._chance(0.3):
            options["dilation"] = self._numbers(1, 2)
        return {kind: options}, channels

    def _pointwise(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        kinds: list[Layer] = [*ACTIVATIONS, "prelu", {"dropout": {"p": 0.3}}]
        kinds += [{norm: {"affine": self._chance(0.5)}} for norm in POINTWISE]
        return self.random.choice(kinds), channels

    def _channel_shuffle(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        return {"channel_shuffle": {"groups": self._divisor(channels)}}, channels

    def _upsample(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        mode = self.random.choice(["nearest", "linear"])
        return {"upsample": {"scale_factor": self._numbers(1, 2), "mode": mode}}, channels

    def _shuffle(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        factors = [f for f in (2, 3) if channels % f**self.dims == 0]
        if not factors:
            return self._conv(channels, depth, strides)
        factor = self.random.choice(factors)
        return {"pixel_shuffle": {"upscale_factor": factor}}, channels // factor**self.dims

    def _unshuffle(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        if channels > 2:
            return self._conv(channels, depth, strides)
        factors = [self.random.randint(1, 2) for _ in range(self.dims)]
        return {"pixel_unshuffle": {"downscale_factor": factors}}, channels * math.prod(factors)

    def _reshape(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        axes = AXES[self.dims]
        folded = axes.replace(axes[0], f"({axes[0]} k)", 1)
        unfold = {"reshape": {"pattern": f"n (c k) {axes} -> n c {folded}", "sizes": {"k": 2}}}
        if channels % 2 == 0:
            return unfold, channels // 2
        fold = {"reshape": {"pattern": f"n c {folded} -> n (k c) {axes}", "sizes": {"k": 2}}}
        doubled = {"upsample": {"scale_factor": [2, *[1] * (self.dims - 1)]}}  # only whole blocks are folded
        return {"branches": {"paths": [[doubled, fold]]}}, channels * 2

    def _residual(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        length_kept = {"padding": "same"} if not self.causal else {}
        options = self._convolution(channels, strides=False) | length_kept
        if options.get("causal", self.causal):
            options.pop("padding", None)
        layers: list[Layer] = [{"conv": options}, *self.stack_of_points(options["out_channels"])]
        out = options["out_channels"]
        if out == channels and self._chance(0.7):
            return {"residual": {"layers": layers}}, out
        kernel = self._numbers(1, 3)
        shortcut = [{"conv": {"out_channels": out, "kernel_size": kernel}}]
        return {"residual": {"layers": layers, "shortcut": shortcut}}, out

    def stack_of_points(self, channels: int) -> list[Layer]:
        """Some layers that change neither lengths nor channels."""
        return [self._pointwise(channels, 2, False)[0] for _ in range(self.random.randint(0, 2))]

    def _branches(self, channels: int, depth: int, strides: bool) -> tuple[Layer, int]:
        merge = self.random.choice(["add", "mul", "concat"])
        stride = self._numbers(1, 2) if strides else 1
        paths, out = [], []
        for _ in range(self.random.randint(1, 3)):
            channels_out = out[0] if out and merge != "concat" else self.random.randint(1, 3)
            options = {"out_channels": channels_out, "kernel_size": self._numbers(1, 3), "stride": stride}
            paths.append([{"conv": options}, *self.stack_of_points(channels_out)])
            out.append(channels_out)
        return {"branches": {"paths": paths, "merge": merge}}, sum(out) if merge == "concat" else out[0]
