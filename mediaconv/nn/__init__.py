"""Convolution that streams: torch layers, standard and causal, exact in chunks of any size.

    from mediaconv.nn import CausalConv3d, stream

Knows nothing of files or YAML.
"""

from mediaconv.nn.containers import Branches, Residual, Sequential
from mediaconv.nn.conv import CausalConv1d, CausalConv2d, CausalConv3d, Conv1d, Conv2d, Conv3d
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.layer import Streamable, geometry, noncausal_layers
from mediaconv.nn.norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    ChannelLayerNorm,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    RMSNorm,
)
from mediaconv.nn.pooling import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    CausalAvgPool1d,
    CausalAvgPool2d,
    CausalAvgPool3d,
    CausalMaxPool1d,
    CausalMaxPool2d,
    CausalMaxPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from mediaconv.nn.resize import Upsample1d, Upsample2d, Upsample3d
from mediaconv.nn.shuffle import (
    ChannelShuffle,
    PixelShuffle1d,
    PixelShuffle2d,
    PixelShuffle3d,
    PixelUnshuffle1d,
    PixelUnshuffle2d,
    PixelUnshuffle3d,
)
from mediaconv.nn.streaming import Stream, stream

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "AxisMap",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Branches",
    "CausalAvgPool1d",
    "CausalAvgPool2d",
    "CausalAvgPool3d",
    "CausalConv1d",
    "CausalConv2d",
    "CausalConv3d",
    "CausalMaxPool1d",
    "CausalMaxPool2d",
    "CausalMaxPool3d",
    "ChannelLayerNorm",
    "ChannelShuffle",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "PixelShuffle1d",
    "PixelShuffle2d",
    "PixelShuffle3d",
    "PixelUnshuffle1d",
    "PixelUnshuffle2d",
    "PixelUnshuffle3d",
    "RMSNorm",
    "Residual",
    "Sequential",
    "Stream",
    "Streamable",
    "Upsample1d",
    "Upsample2d",
    "Upsample3d",
    "geometry",
    "noncausal_layers",
    "stream",
]
