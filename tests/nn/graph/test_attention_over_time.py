"""Attention over time in a stream: chunks of more queries than a block, scale, shared keys, bias by head."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn

HEADS, WIDTH = 4, 3


def causal(length: int) -> dict:
    return {"is_causal": True}


def window(length: int) -> dict:
    i = torch.arange(length)
    distance = i[:, None] - i[None]
    return {"attn_mask": (distance >= -2) & (distance < 9)}


def slopes(length: int) -> dict:
    """A bias that falls with the distance, at another rate for each head, in a window of the past."""
    i = torch.arange(length)
    distance = i[:, None] - i[None]
    bias = -distance.abs() * torch.tensor([0.5, 0.25, 0.125, 0.0625], dtype=torch.float64)[:, None, None]
    return {"attn_mask": bias.masked_fill((distance < 0) | (distance >= 20), -torch.inf)}


class Attending(tn.Module):
    """Queries of four heads over the keys and values of `shared`."""

    def __init__(self, mask: object, shared: int, scale: float | None) -> None:
        super().__init__()
        self.mask, self.shared, self.scale = mask, shared, scale
        self.mix = tn.Conv1d(2, (HEADS + 2 * shared) * WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(1, (-1, WIDTH)).transpose(2, 3)
            for part in self.mix(x).split([HEADS * WIDTH, self.shared * WIDTH, self.shared * WIDTH], 1)
        )
        mask = self.mask(x.shape[2])  # type: ignore[operator]
        y = F.scaled_dot_product_attention(q, k, v, scale=self.scale, enable_gqa=self.shared < HEADS, **mask)
        return y.transpose(2, 3).flatten(1, 2)


@pytest.mark.parametrize(
    ("mask", "shared", "scale"), [(causal, 2, 0.7), (window, HEADS, None), (slopes, 2, None)]
)
def test_any_chunks_give_the_call_on_the_whole(mask: object, shared: int, scale: float | None) -> None:
    torch.manual_seed(0)
    module = Attending(mask, shared, scale).double().eval()
    graph = nn.to_streaming(module, example=torch.randn(1, 2, 50, dtype=torch.float64))
    x = torch.randn(2, 2, 900, dtype=torch.float64)
    s = nn.stream(graph)
    with torch.no_grad():
        y = torch.cat([*(s.push(part) for part in x.split([1, 255, 2, 600, 42], 2)), s.flush()], 2)
        whole = module(x)
    # float64 has 2e-16; sums of a block run in another order
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-13)
