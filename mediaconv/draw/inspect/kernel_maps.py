"""The kernels of a convolution by output and input channel, as they are used: masked taps told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mediaconv.nn.summary.sliding import tap_mask

MAX_CHANNELS = 32
MAX_NUMBERS = 65536


@dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels of the first output channels over the first input channels of their group.

    weight: (out, in, *kernel) float32. mask: (*kernel) bool, False where a tap is masked. bias: (out,) or
    None. inputs: (out, in) number of the input channel. outputs, group_inputs: how many there are in all.
    """

    weight: np.ndarray
    mask: np.ndarray
    bias: np.ndarray | None
    inputs: np.ndarray
    outputs: int
    group_inputs: int


def is_convolution(module: nn.Module) -> bool:
    """Whether a module is a convolution of torch's kind: standard, transposed or deformable."""
    return isinstance(module, nn.modules.conv._ConvNd)


def by_channels(module: nn.Module) -> tuple[Tensor, Tensor]:
    """The used weight as (out, in of the group, *kernel), and the number of the input channel, (out, in).

    A transposed layer stores it the other way round.
    """
    groups, out, inside = int(module.groups), int(module.out_channels), int(module.in_channels)  # type: ignore[arg-type]
    any_module: Any = module
    masked = hasattr(module, "masked_weight")
    weight = (any_module.masked_weight() if masked else any_module.weight).detach()
    if getattr(module, "transposed", False):
        kernel = weight.shape[2:]
        weight = weight.reshape(groups, inside // groups, out // groups, *kernel).transpose(1, 2)
        weight = weight.reshape(out, inside // groups, *kernel)
    group = torch.arange(out) // (out // groups)
    inputs = group[:, None] * (inside // groups) + torch.arange(inside // groups)
    return weight, inputs


def kernels_of(module: nn.Module) -> Kernels:
    """The kernels that are shown; all of them where there are not too many."""
    weight, inputs = by_channels(module)
    outputs, group_inputs = weight.shape[:2]
    taps = weight[0, 0].numel()
    ins = min(group_inputs, MAX_CHANNELS)
    outs = max(1, min(outputs, MAX_CHANNELS, MAX_NUMBERS // max(1, ins * taps)))
    bias: Any = module.bias
    return Kernels(
        weight=weight[:outs, :ins].to(torch.float32).numpy().copy(),
        mask=tap_mask(module).numpy(),
        bias=None if bias is None else bias.detach()[:outs].to(torch.float32).numpy().copy(),
        inputs=inputs[:outs, :ins].numpy(),
        outputs=outputs,
        group_inputs=group_inputs,
    )
