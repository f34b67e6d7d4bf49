"""Convolution that streams: torch layers, standard and causal, exact in chunks of any size.

    from mediaconv.nn import CausalConv3d, stream

Knows nothing of files or YAML.
"""

from mediaconv.nn.containers import Branches, Residual, Sequential
from mediaconv.nn.conv import CausalConv1d, CausalConv2d, CausalConv3d, Conv1d, Conv2d, Conv3d
from mediaconv.nn.streaming import Stream, stream

__all__ = [
    "Branches",
    "CausalConv1d",
    "CausalConv2d",
    "CausalConv3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Residual",
    "Sequential",
    "Stream",
    "stream",
]
