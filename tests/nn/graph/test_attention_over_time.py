"""Attention over time in a stream: torch's own in blocks of queries, and written out as products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.graph.refusal import CaptureError

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


class MaskOfItsType(Attending):
    """The mask is made in the type of what it attends over, and the result put into that of queries of
    another shape, as Cosmos does: both take a tensor for its type alone.
    """

    def __init__(self, mask: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__(mask, HEADS, None)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(1, (-1, WIDTH)).transpose(2, 3) for part in self.mix(x).chunk(3, 1))
        mask = self.mask(x, x.shape[2])  # type: ignore[operator]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return y.transpose(1, 2).flatten(2, 3).type_as(q).transpose(1, 2)


@pytest.mark.parametrize(
    "mask",
    [
        lambda x, t: torch.tril(x.new_ones(t, t)).bool(),
        lambda x, t: x.new_full((t, t), -torch.inf).triu(1),
        lambda x, t: torch.full((t, t), -torch.inf).triu(1).type_as(x),
        lambda x, t: torch.full((t, t), -torch.inf).triu(1).to(x),
    ],
)
def test_tensors_that_are_taken_for_their_type_alone(mask: Callable[[Tensor, int], Tensor]) -> None:
    torch.manual_seed(0)
    module = MaskOfItsType(mask).double().eval()
    graph = nn.to_streaming(module, example=torch.randn(1, 2, 50, dtype=torch.float64))
    x = torch.randn(2, 2, 300, dtype=torch.float64)
    s = nn.stream(graph)
    with torch.no_grad():
        y = torch.cat([*(s.push(part) for part in x.split([1, 250, 2, 47], 2)), s.flush()], 2)
        # float64 has 2e-16; sums of a block run in another order
        torch.testing.assert_close(y, module(x), rtol=0, atol=1e-13)


class Counted(tn.Module):
    """The number of each position, put into the type of the stream."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.arange(x.shape[2]).type_as(x)


def test_positions_in_the_type_of_a_stream() -> None:
    module = Counted()
    graph = nn.to_streaming(module, example=torch.randn(1, 2, 30))
    x = torch.randn(2, 2, 70)
    s = nn.stream(graph)
    assert torch.equal(
        torch.cat([*(s.push(part) for part in x.split([1, 40, 29], 2)), s.flush()], 2), module(x)
    )


class WrittenOut(tn.Module):
    """Attention of two heads as products and a softmax, with a mask of its own."""

    def __init__(self, attend: Callable[[WrittenOut, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.mix = tn.Conv1d(2, 3 * 2 * WIDTH, 1)
        self.register_buffer("past", torch.tril(torch.ones(200, 200)))
        self.attend, self.scale = attend, tn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p.unflatten(1, (2, WIDTH)).transpose(2, 3) for p in self.mix(x).chunk(3, 1))
        return self.attend(self, q, k, v).transpose(2, 3).flatten(1, 2)


def distances(q: Tensor) -> Tensor:
    i = torch.arange(q.shape[-2])
    return i[:, None] - i[None]


def by_buffer(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n = q.shape[2]
    weights = (q @ k.transpose(-2, -1) / WIDTH**0.5).masked_fill(m.past[:n, :n] == 0, -torch.inf)
    return F.dropout(F.softmax(weights, -1), 0.1, False) @ v


def by_table(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n = q.shape[2]
    return torch.softmax(q @ k.mT + torch.full((n, n), -1e9, dtype=q.dtype).triu(1), -1) @ v


def by_letters(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (torch.einsum("bhid,bhjd->bhij", q, k) * m.scale).masked_fill(distances(q) < 0, -torch.inf)
    return torch.einsum("bhij,bhjd->bhid", weights.softmax(-1), v)


def both_ways(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    d = distances(q)
    return torch.where((d >= -2) & (d < 9), 5 * torch.tanh(q @ k.mT / 5), -torch.inf).softmax(-1) @ v


def in_blocks(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    block = torch.arange(q.shape[2]) // 4
    behind = block[:, None] - block[None]
    return (q @ k.mT).masked_fill((behind < 0) | (behind > 2), -torch.inf).softmax(-1) @ v


def folded(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (t.flatten(0, 1) for t in (q, k, v))
    scores = torch.bmm(q, k.mT).unflatten(0, (-1, 2)).masked_fill(distances(q) < 0, -torch.inf)
    return torch.bmm(scores.softmax(-1).flatten(0, 1), v).unflatten(0, (-1, 2))


def without_softmax(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    d = distances(q)
    return (torch.relu(q @ k.mT) * ((d >= 0) & (d < 6)).to(q)) @ v


def normed_by_hand(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(distances(q) < 0, -torch.inf)
    e = torch.exp(scores - scores.max(-1, keepdim=True)[0])
    return (e / e.sum(-1, keepdim=True)) @ v


def in_blocks_by_one_call(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    block = torch.arange(q.shape[2]) // 5
    return F.scaled_dot_product_attention(q, k, v, attn_mask=block[:, None] >= block[None])


@pytest.mark.parametrize(
    ("attend", "lookback", "latency"),
    [
        (by_buffer, torch.inf, 0),
        (by_table, torch.inf, 0),
        (by_letters, torch.inf, 0),
        (both_ways, 8, 2),
        (in_blocks, 11, 3),
        (folded, torch.inf, 0),
        (without_softmax, 5, 0),
        (normed_by_hand, torch.inf, 0),
        (in_blocks_by_one_call, torch.inf, 4),
    ],
)
def test_attention_written_out_streams_as_its_mask_allows(attend: Any, lookback: float, latency: int) -> None:
    torch.manual_seed(0)
    module = WrittenOut(attend).double().eval()
    graph = nn.to_streaming(module, example=torch.randn(1, 2, 40, dtype=torch.float64))
    assert (graph.lookback, graph.latency) == (lookback, latency)
    x = torch.randn(2, 2, 199, dtype=torch.float64)
    s = nn.stream(graph)
    with torch.no_grad():
        y = torch.cat([*(s.push(part) for part in x.split([1, 9, 2, 150, 37], 2)), s.flush()], 2)
        torch.testing.assert_close(y, module(x), rtol=0, atol=1e-13)  # sums run in another order


def test_a_mask_that_is_a_buffer_has_an_end_and_may_be_another_later() -> None:
    torch.manual_seed(0)
    module = WrittenOut(by_buffer).double().eval()
    graph = nn.to_streaming(module, example=torch.randn(1, 2, 40, dtype=torch.float64))
    x = torch.randn(1, 2, 220, dtype=torch.float64)
    with pytest.raises(ValueError, match="a mask for 200 positions of attention, and the input is longer"):
        nn.stream(graph).push(x)
    module.past.copy_(module.past.triu(-3))
    s = nn.stream(graph)
    with torch.no_grad():
        y = torch.cat([s.push(x[..., :50]), s.push(x[..., 50:99]), s.flush()], 2)
        torch.testing.assert_close(y, module(x[..., :99]), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (None, "it reads the whole input, unbounded"),
        (lambda d: d > 0, "reads the whole future"),
        (lambda d: d % 7 == 0, "reads the whole future"),
    ],
)
def test_attention_written_out_without_a_bound_is_refused(mask: Any, reason: str) -> None:
    def attend(m: WrittenOut, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT
        return (scores if mask is None else scores.masked_fill(mask(distances(q)), -torch.inf)).softmax(
            -1
        ) @ v

    with pytest.raises(CaptureError, match=reason):
        nn.to_streaming(WrittenOut(attend).double().eval(), example=torch.randn(1, 2, 40).double())
