"""`hold=True`: what no rule streams is computed at the end, exact and told of; refused where it is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.graph.refusal import CaptureError

Way = Callable[[tn.Module, Tensor], Tensor]


class Given(tn.Module):
    def __init__(self, way: Way) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.down = tn.Conv1d(4, 4, 3, padding=1), tn.Conv1d(4, 4, 4, stride=2)
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


def attention(m: tn.Module, x: Tensor) -> Tensor:
    h = m.conv(x).transpose(1, 2)
    return m.down(F.scaled_dot_product_attention(h, h, h).transpose(1, 2)) + m.down(x)


def written_out(m: tn.Module, x: Tensor) -> Tensor:
    """With a bias that follows from the distance of positions, which is a table over pairs of them."""
    h, at = m.conv(x), torch.arange(x.shape[-1])
    far = (at[:, None] - at[None]).abs()
    return m.conv(h @ (h.transpose(1, 2) @ h - far).softmax(-1))


def several_results(m: tn.Module, x: Tensor) -> Tensor:
    """Parts of what is whole, and a table of positions that meets it."""
    first, second = torch.fft.irfft(torch.fft.rfft(m.conv(x)), n=x.shape[-1]).chunk(2, 1)
    return torch.cat([first, second * torch.arange(x.shape[-1]).cos()], 1)


def turned_around(m: tn.Module, x: Tensor) -> Tensor:
    """A constant that is one step long as a stream's, and is written out."""
    return F.pad(m.conv(x), (3, 3), mode="circular") + torch.ones(1, 4, x.shape[-1] + 6)


def blocks(m: tn.Module, x: Tensor) -> Tensor:
    """Segments of the stream as an axis of their own, and a view of it afterwards."""
    h = F.pad(m.conv(x), (0, -x.shape[-1] % 8))
    h = h.reshape(x.shape[0], 4, 8, -1).transpose(2, 3)
    return h.reshape(x.shape[0], 4, -1)[..., : x.shape[-1]]


@pytest.mark.parametrize("way", [attention, written_out, several_results, turned_around, blocks])
@torch.no_grad()
def test_it_equals_the_module_at_any_length_and_for_each_item(way: Way) -> None:
    module = Given(way).double().eval()
    graph = nn.to_streaming(module, example=torch.randn(2, 4, 40, dtype=torch.float64), hold=True)
    assert graph.latency == torch.inf
    assert any("and all that follows from it" in note and "test_whole.py" in note for note in graph.notes)
    for batch, length in ((1, 57), (3, 24), (2, 11)):
        x = torch.randn(batch, 4, length, dtype=torch.float64)
        s = nn.stream(graph)
        y = torch.cat([*map(s.push, x.split([1, 0, 7, length - 8], 2)), s.flush()], 2)
        torch.testing.assert_close(y, module(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_nothing_comes_of_nothing() -> None:
    graph = nn.to_streaming(Given(written_out), example=torch.randn(1, 4, 40), hold=True)
    s = nn.stream(graph)
    assert s.push(torch.zeros(1, 4, 0)).shape == (1, 4, 0)
    assert s.flush().shape == (1, 4, 0)


@pytest.mark.parametrize(
    ("way", "options", "words"),
    [
        (attention, {"hold": False}, r"it reads the whole input, unbounded.*or hold=True"),
        (lambda m, x: attention(m, x + torch.randn_like(x)), {}, "it is random"),
        (lambda m, x: torch.randn_like(attention(m, x)), {}, "it is random"),
        (lambda m, x: attention(m, x - x[:1]), {}, "batch"),
        (lambda m, x: x + torch.ones(torch.nonzero(x[0, 0] > 0).shape[0]).sum(), {}, "values of a tensor"),
        (lambda m, x: attention(m, x).flip(0), {}, "batch"),
    ],
)
def test_what_may_not_be_held_is_refused(way: Way, options: dict, words: str) -> None:
    with pytest.raises(CaptureError, match=words):
        nn.to_streaming(Given(way).eval(), example=torch.randn(2, 4, 40), **{"hold": True, **options})


def test_what_is_held_is_not_causal() -> None:
    with pytest.raises(ValueError, match="causal and hold"):
        nn.to_streaming(Given(attention), example=torch.randn(1, 4, 40), causal=True, hold=True)
