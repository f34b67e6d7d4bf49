"""What every kind of convolution is made of: torch's parameters under torch's names. Computes nothing."""

from __future__ import annotations

import torch
from torch import nn

from mediaconv.counted import counted
from mediaconv.nn.geometry import per_axis
from mediaconv.nn.layers.padding_rules import Ints
from mediaconv.nn.streaming.protocol import Streamable


class ConvParameters(Streamable, nn.modules.conv._ConvNd):
    """Base of convolutions, standard, causal, transposed and deformable. torch pads nothing: windows do."""

    def _make_parameters(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        dilation: Ints,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
        *,
        transposed: bool = False,
        output_padding: Ints = 0,
    ) -> None:
        sizes = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        kernel, steps, dilations = (per_axis(value, self.dims, name) for name, value in sizes.items())
        none = (0,) * self.dims
        extra = per_axis(output_padding, self.dims, "output_padding")
        nn.modules.conv._ConvNd.__init__(
            self, in_channels, out_channels, kernel, steps, none, dilations,
            transposed, extra, groups, bias, padding_mode, device, dtype,  # type: ignore[arg-type]
        )  # fmt: skip

    def output_channels(self, channels: int) -> int:
        if channels != self.in_channels:
            raise ValueError(f"got {counted(channels, 'channel')}, this layer takes {self.in_channels}")
        return self.out_channels
