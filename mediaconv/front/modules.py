"""What a torch module says of the inputs that it takes: by its first convolution or its first features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mediaconv.errors import UsageError

FEATURES = ("input_size", "embed_dim", "in_features")
"""Of the layers of torch.nn: recurrent, attention, linear."""
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


def takes(model: nn.Module) -> Takes:
    """What the first convolution of a module takes; where it has none, as many channels over time as its
    first recurrent, attention or linear layer has features. Raises UsageError where it has none of these.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            return Takes(module.in_channels, module.weight.ndim - 2)
    for module in model.modules():
        for name in FEATURES:
            if isinstance(features := getattr(module, name, None), int):
                return Takes(features, 1)
    raise UsageError(
        f"{type(model).__name__}: no layer in it tells the shape of its input; "
        "give one: shape=(1, 16000) is a channel of 16,000 samples"
    )


def taken_shape(shape: Sequence[int]) -> Takes:
    """The same of a shape (C, ...) without the batch. Raises UsageError for fewer axes or more than four."""
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        raise UsageError(f"shape: got {list(shape)}, expected channels and one to three lengths, each >= 1")
    return Takes(shape[0], len(shape) - 1)


def streaming(model: nn.Module, shape: Sequence[int]) -> nn.Module:
    """A module as one that streams: layer by layer where all are known, else captured on an input of `shape`,
    (C, ...). Raises UsageError with all reasons where it cannot.
    """
    import torch

    from mediaconv.nn import to_streaming

    try:
        return to_streaming(model).eval()
    except (TypeError, ValueError):
        example = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
        try:
            return to_streaming(model, example=example).eval()
        except (TypeError, ValueError) as error:
            raise UsageError(f"model: {error}") from error
