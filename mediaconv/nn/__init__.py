"""Convolution that streams: torch layers, standard and causal, exact in chunks of any size.

    from mediaconv.nn import CausalConv3d, stream

Knows nothing of files or YAML.
"""

import importlib
import typing

from mediaconv.nn.convert import (
    for_length,
    register_chain,
    register_converter,
    register_pointwise,
    register_residual,
    to_streaming,
)
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.graph.opaque import opaque
from mediaconv.nn.layers.containers import Branches, Residual, Sequential
from mediaconv.nn.layers.convolution import CausalConv1d, CausalConv2d, CausalConv3d, Conv1d, Conv2d, Conv3d
from mediaconv.nn.layers.deformable import CausalDeformConv2d, CausalDeformConv3d, DeformConv2d, DeformConv3d
from mediaconv.nn.layers.gates import Gate, Gated
from mediaconv.nn.layers.norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    ChannelLayerNorm,
    FrameGroupNorm,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    RMSNorm,
)
from mediaconv.nn.layers.padding import Pad
from mediaconv.nn.layers.pooling import (
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
from mediaconv.nn.layers.resample import Resample
from mediaconv.nn.layers.reshape import Reshape
from mediaconv.nn.layers.resize import Upsample1d, Upsample2d, Upsample3d, UpsampleNearest
from mediaconv.nn.layers.shuffle import (
    ChannelShuffle,
    PixelShuffle1d,
    PixelShuffle2d,
    PixelShuffle3d,
    PixelUnshuffle1d,
    PixelUnshuffle2d,
    PixelUnshuffle3d,
)
from mediaconv.nn.layers.transposed import (
    CausalConvTranspose1d,
    CausalConvTranspose2d,
    CausalConvTranspose3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from mediaconv.nn.streaming.protocol import Streamable
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.stream import Stream, stream
from mediaconv.nn.summary.dependence import geometry, noncausal_layers

if typing.TYPE_CHECKING:
    from mediaconv.nn.export.export_step import export_step
    from mediaconv.nn.export.step_files import write_step

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
    "CausalConvTranspose1d",
    "CausalConvTranspose2d",
    "CausalConvTranspose3d",
    "CausalDeformConv2d",
    "CausalDeformConv3d",
    "CausalMaxPool1d",
    "CausalMaxPool2d",
    "CausalMaxPool3d",
    "ChannelLayerNorm",
    "ChannelShuffle",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DeformConv2d",
    "DeformConv3d",
    "FrameGroupNorm",
    "Gate",
    "Gated",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Pad",
    "PixelShuffle1d",
    "PixelShuffle2d",
    "PixelShuffle3d",
    "PixelUnshuffle1d",
    "PixelUnshuffle2d",
    "PixelUnshuffle3d",
    "RMSNorm",
    "Resample",
    "Reshape",
    "Residual",
    "Sequential",
    "State",
    "Stream",
    "Streamable",
    "Upsample1d",
    "Upsample2d",
    "Upsample3d",
    "UpsampleNearest",
    "export_step",
    "for_length",
    "geometry",
    "noncausal_layers",
    "opaque",
    "register_chain",
    "register_converter",
    "register_pointwise",
    "register_residual",
    "stream",
    "to_streaming",
    "write_step",
]

_LATER = {
    "export_step": "mediaconv.nn.export.export_step",
    "write_step": "mediaconv.nn.export.step_files",
}
"""Where what is loaded when it is first used lies: it brings SymPy, whose import takes a fifth of torch's."""


def __getattr__(name: str) -> typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module 'mediaconv.nn' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)
