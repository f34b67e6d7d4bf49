"""What a torch module says of the inputs that it takes: by its first convolution or its first weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from mediaconv.errors import UsageError

LENGTHS = {1: (16_000,), 2: (64, 64), 3: (16, 64, 64)}


@dataclass(frozen=True)
class Takes:
    """channels: of an input. dims: axes after them."""

    channels: int
    dims: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, ...) of an input of moderate size."""
        return (self.channels, *LENGTHS[self.dims])


def first_convolution(model: nn.Module) -> Takes:
    """What the first convolution of a module takes. Raises UsageError where it has none."""
    for module in model.modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            return Takes(module.in_channels, module.weight.ndim - 2)
    raise UsageError(
        f"{type(model).__name__}: no convolution in it tells the shape of its input; "
        "give a module with one, or the shape"
    )
