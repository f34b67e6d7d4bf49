"""Which input channel each output channel of a stack is made of, where it is made of one alone.

Told from the layers and their weights: depthwise convolutions, filter banks, pools, activations, resampling.
Anything else counts as mixing.
"""

from __future__ import annotations

import torch
from torch import nn

import mediaconv.nn as mnn

CHANNELWISE: tuple[type[nn.Module], ...] = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish),
    *(nn.Dropout, nn.AlphaDropout, nn.modules.batchnorm._BatchNorm),
    *(mnn.Resample, mnn.MaxPool1d, mnn.AvgPool1d, mnn.CausalMaxPool1d, mnn.CausalAvgPool1d, mnn.Upsample1d),
)


def channel_origins(module: nn.Module, channels: int) -> tuple[int, ...] | None:
    """The input channel of each output channel; None where one is made of several, or that is not known.

    >>> channel_origins(mnn.Conv1d(2, 4, 3, groups=2), 2)
    (0, 0, 1, 1)
    >>> channel_origins(mnn.Conv1d(2, 4, 3), 2) is None
    True
    """
    origins: tuple[int, ...] | None = tuple(range(channels))
    for layer in _chain(module):
        if origins is None:
            return None
        if isinstance(layer, nn.modules.conv._ConvNd):
            read = _inputs_read(layer)
            origins = None if read is None else tuple(origins[c] for c in read)
        elif not isinstance(layer, CHANNELWISE):
            return None
    return origins


def _chain(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [layer for part in module for layer in _chain(part)]
    return [module]


@torch.no_grad()
def _inputs_read(conv: nn.modules.conv._ConvNd) -> list[int] | None:
    """The one input channel that each output channel has weights for."""
    each = conv.in_channels // conv.groups
    weight = conv.weight
    if conv.transposed:  # (in, out of a group, ...)
        parts = weight.reshape(conv.groups, each, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    else:
        parts = weight
    used = parts.flatten(2).ne(0).any(2)
    if bool((used.sum(1) != 1).any()):
        return None
    outputs = conv.out_channels // conv.groups
    return [o // outputs * each + int(used[o].nonzero()[0]) for o in range(conv.out_channels)]
