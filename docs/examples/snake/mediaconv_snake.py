"""A layer of one's own: the Snake activation of audio codecs, its module and what YAML may say of it."""

from typing import ClassVar

import torch
from pydantic import Field

from mediaconv.config.values import Positive
from mediaconv.layers import BuildContext, LayerSpec
from mediaconv.nn.streaming.protocol import Pointwise


class Snake(Pointwise, torch.nn.Module):
    """x + sin(a x)^2 / a with one learned a a channel. Shape: (N, C, ...) to the same."""

    def __init__(self, channels: int, alpha: float) -> None:
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.full((channels,), alpha))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        alpha = self.alpha.view(-1, *[1] * (x.ndim - 2))
        return x + torch.sin(alpha * x).square() / alpha


class SnakeLayer(LayerSpec):
    """x + sin(a x)^2 / a, for periodic signals (Ziyin et al. 2020)."""

    name: ClassVar[str] = "snake"
    alpha: Positive = Field(default=1.0, description="the first value of a, which weights replace")

    def build(self, context: BuildContext) -> torch.nn.Module:
        return Snake(context.channels, self.alpha)
