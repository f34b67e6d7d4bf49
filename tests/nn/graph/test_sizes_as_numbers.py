"""Lengths that a model computes through Python's numbers, as denoiser's Demucs does."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn import for_length, to_streaming
from mediaconv.nn.streaming.protocol import run_chunks

KERNEL, STRIDE, DEPTH = 8, 4, 2


class SmallDemucs(nn.Module):
    """Pads to a length at which the way back gives as much as came in."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv1d(c, 2 * c, KERNEL, STRIDE) for c in (1, 2))
        self.up = nn.ModuleList(nn.ConvTranspose1d(2 * c, c, KERNEL, STRIDE) for c in (2, 1))

    def valid_length(self, length: int) -> int:
        for _ in range(DEPTH):
            length = max(math.ceil((length - KERNEL) / STRIDE) + 1, 1)
        for _ in range(DEPTH):
            length = (length - 1) * STRIDE + KERNEL
        return int(math.ceil(float(length)))  # noqa: RUF046

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        x = F.pad(x, (0, self.valid_length(length) - length))
        skips = []
        for layer in self.down:
            x = F.relu(layer(x))
            skips.append(x)
        for layer in self.up:
            x = layer(x + skips.pop())
        return x[..., :length]


class Rounded(nn.Module):
    """Pads by what a function of the length says."""

    def __init__(self, frames) -> None:
        super().__init__()
        self.frames = frames
        self.down, self.up = nn.Conv1d(1, 3, 4, 4), nn.ConvTranspose1d(3, 1, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[-1]
        x = F.pad(x, (0, 4 * self.frames(n) - n))
        return self.up(self.down(x))[..., :n]


MODELS = {
    "Demucs": SmallDemucs,
    "int of a quotient": lambda: Rounded(lambda n: int(n / 4) + 1),
    "int of ceil": lambda: Rounded(lambda n: int(math.ceil(n / 4))),  # noqa: RUF046
    "ceil of float": lambda: Rounded(lambda n: math.ceil(float(n) / 4) + 1),
    "a quotient twice": lambda: Rounded(lambda n: 2 * int(math.ceil(n / 2 / 4.0))),  # noqa: RUF046
    "asks for its type": lambda: Rounded(lambda n: n // 4 + (2 if isinstance(3, int) else 1)),
}


@pytest.mark.parametrize("name", MODELS)
def test_lengths_by_pythons_numbers_stream_at_any_length(name) -> None:
    torch.manual_seed(0)
    module = MODELS[name]().eval().double()
    streamed = to_streaming(module, example=torch.zeros(1, 1, 60).double())
    for length in (61, 62, 75):
        x = torch.randn(1, 1, length).double()
        with torch.no_grad():
            # sums in another order
            y = run_chunks(for_length(streamed, length), x.split(7, 2), 0)
            torch.testing.assert_close(y, module(x), rtol=0, atol=1e-12)


def test_a_models_names_are_its_own_after_a_capture() -> None:
    to_streaming(SmallDemucs().eval(), example=torch.zeros(1, 1, 60))
    assert "int" not in globals()
    assert "float" not in globals()
    assert type(SmallDemucs().valid_length(60)) is int
