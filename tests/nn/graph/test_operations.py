"""torch's operations as a stream meets them: at a position, across channels, along the stream.

Each is a module of its own inside one model, so that one capture tells of all: those that stream, those that
are held to the end, and those that are refused, each by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.graph.refusal import CaptureError

Operation = Callable[[Tensor], Tensor]
TABLE = torch.tensor([3, 1, 0, 2])
BOUNDS = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)
MATRIX = torch.eye(4, dtype=torch.float64) + 0.1


def kinds(x: Tensor) -> Tensor:
    """Whole numbers from 0 to 3."""
    return (x * 3).round().long().abs() % 4


STREAMED: dict[str, Operation] = {
    "prelu beside": lambda x: F.prelu(x.mT, x.new_full((1,), 0.2)).mT,
    "pool beside": lambda x: F.max_pool2d(x.mT[:, :, None], (1, 3), 1, (0, 1))[:, :, 0].mT,
    "average beside": lambda x: F.avg_pool2d(x.mT[:, :, None], (1, 3), 1, (0, 1))[:, :, 0].mT,
    "bucketize": lambda x: torch.bucketize(x, BOUNDS).to(x),
    "searchsorted": lambda x: torch.searchsorted(BOUNDS, x).to(x),
    "complex": lambda x: torch.view_as_real(torch.complex(x, x * 2))[..., 1],
    "polar": lambda x: torch.polar(x.abs(), x).real,
    "floor_divide": lambda x: x // 0.3,
    "isin": lambda x: torch.isin(kinds(x), torch.tensor([1, 2])).to(x),
    "empty_like": lambda x: torch.empty_like(x).copy_(x * 2),
    "logsigmoid": F.logsigmoid,
    "rrelu": lambda x: F.rrelu(x, training=False),
    "mse_loss": lambda x: F.mse_loss(x, x * 2, reduction="none"),
    "huber_loss": lambda x: F.huber_loss(x, x * 2, reduction="none"),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy_with_logits(x, x.sigmoid(), reduction="none"),
    "gather": lambda x: torch.gather(x, 1, kinds(x)),
    "gather by a table": lambda x: torch.gather(x, 1, TABLE[None, :, None].expand(x.shape)),
    "select_scatter": lambda x: torch.select_scatter(x, x[:, 0] * 2, 1, -1),
    "select_scatter after": lambda x: torch.select_scatter(x[..., None].tile(3), x * 2, 3, 1).sum(3),
    "select_scatter into zeros": lambda x: torch.select_scatter(x.new_zeros(2, *x.shape), x * 2, 0, 1)[1],
    "scatter": lambda x: torch.scatter(x, 1, kinds(x), x * 2),
    "scatter_add": lambda x: torch.scatter_add(x, 1, kinds(x), x),
    "index_add": lambda x: torch.index_add(x, 1, TABLE[:2], x[:, :2]),
    "index_copy": lambda x: torch.index_copy(x, 1, TABLE[:2], x[:, :2]),
    "index_fill": lambda x: torch.index_fill(x, 1, TABLE[:2], 1.0),
    "masked": lambda x: torch.index_put(x, (x > 0.3,), torch.tensor(0.5).to(x)),
    "cross": lambda x: torch.cross(x[:, :3], x[:, 1:], dim=1).repeat(1, 2, 1)[:, :4],
    "median": lambda x: x.median(1, keepdim=True)[0].expand_as(x),
    "kthvalue": lambda x: x.kthvalue(2, 1, keepdim=True)[0].expand_as(x),
    "mode": lambda x: kinds(x).mode(1, keepdim=True)[0].to(x).expand_as(x),
    "aminmax": lambda x: x.aminmax(dim=1, keepdim=True)[0].expand_as(x),
    "cummax": lambda x: x.cummax(1)[0],
    "count_nonzero": lambda x: (x > 0).count_nonzero(1)[:, None].to(x).expand_as(x),
    "triu": lambda x: x.mT[..., None].expand(-1, -1, -1, 4).triu().sum(-1).mT,
    "diagonal": lambda x: (x.mT[..., None] * MATRIX).diagonal(0, 2, 3).mT,
    "det": lambda x: torch.linalg.det(x.mT[..., None] * MATRIX + MATRIX)[:, None].expand_as(x),
    "inv": lambda x: torch.linalg.inv(x.mT[..., None] * 0.01 + MATRIX).sum(-1).mT,
    "one_hot": lambda x: F.one_hot(kinds(x)[:, 0], 4).mT.to(x),
    "grid_sample": lambda x: sampled(x),
}
HELD: dict[str, Operation] = {
    "sort": lambda x: x.sort(2)[0],
    "argsort": lambda x: x.argsort(2).to(x),
    "topk": lambda x: x.topk(2, 2)[0].sum(2, True) + x,
    "median": lambda x: x.median(2, True)[0] + x,
    "max": lambda x: x + x.max(2, True)[0] + x.max(2, True)[1],
    "aminmax": lambda x: x.aminmax(dim=2, keepdim=True)[0] + x,
    "count_nonzero": lambda x: (x > 0).count_nonzero(2)[..., None] + x,
    "var_mean": lambda x: torch.var_mean(x, 2, keepdim=True)[1] + x,
}
REFUSED: dict[str, tuple[Operation, str]] = {
    "rand_like": (torch.rand_like, "random"),
    "randn": (lambda x: x + torch.randn(x.shape[2]), "random"),
    "bernoulli": (lambda x: torch.bernoulli(x.sigmoid()), "random"),
    "dropout": (lambda x: torch.dropout(x, 0.5, True), "random"),
    "gather": (lambda x: torch.gather(x, 2, kinds(x)), "positions of the stream axis"),
    "roll": (lambda x: x.roll(3), "mixes the items of the batch"),
    "mse_loss": (lambda x: F.mse_loss(x, x * 2) + x, "reduction='none' streams"),
    "triu": (lambda x: x.triu(), "of which an axis is the stream's"),
    "as_strided": (lambda x: torch.as_strided(x, x.shape, x.stride()), "is not known"),
    "indices": (lambda x: F.max_pool1d(x, 3, 1, 1, return_indices=True)[1], "the first alone"),
    "histc": (lambda x: x + x.histc(4).sum(), "is not known"),
    "masked_select": (lambda x: x + x.masked_select(x > 0).sum(), "is not known"),
    "repeat": (lambda x: x.repeat(1, 1, 2)[:, :, ::2], "repeats the stream"),
    "norm": (lambda x: x + torch.linalg.norm(x), "mixes the items of the batch"),
    "fft": (lambda x: torch.fft.fft(x).real, "Fourier transform along the stream axis"),
}


def sampled(x: Tensor) -> Tensor:
    """Frames of two by two, each warped by itself."""
    frames = x.mT.unflatten(2, (1, 2, 2)).flatten(0, 1)
    grid = F.affine_grid(torch.eye(2, 3).to(x).expand(frames.shape[0], 2, 3) * 0.8, list(frames.shape))
    moved = F.grid_sample(frames, grid, align_corners=False)
    return moved.flatten(1).unflatten(0, (x.shape[0], -1)).mT


class Apart(tn.Module):
    """One operation."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return self.operation(x)


class Beside(tn.Module):
    """Operations beside each other in the channels."""

    def __init__(self, operations: list[Operation]) -> None:
        super().__init__()
        self.parts = tn.ModuleList(Apart(operation) for operation in operations)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x).to(x) for part in self.parts], 1)


@pytest.mark.parametrize(("operations", "held"), [(STREAMED, False), (HELD, True)], ids=["streamed", "held"])
def test_operations_give_in_chunks_what_they_give_on_the_whole(
    operations: dict[str, Operation], held: bool
) -> None:
    module = Beside(list(operations.values())).double().eval()
    graph = nn.to_streaming(module, example=torch.randn(2, 4, 24, dtype=torch.float64))
    noted = {int(n) for note in graph.notes for n in re.findall(r"parts\.(\d+)", note)}
    assert noted == (set(range(len(operations))) if held else set())
    for shape, plan in (((3, 4, 25), [1, 0, 5, 2, 17]), ((1, 4, 7), [7])):
        x = torch.randn(shape, dtype=torch.float64)
        s = nn.stream(graph)
        y = torch.cat([*(s.push(part) for part in x.split(plan, 2)), s.flush()], 2)
        for name, ours, theirs in zip(operations, y.split(4, 1), module(x).split(4, 1), strict=True):
            torch.testing.assert_close(
                ours, theirs, rtol=0, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
            )  # sums run in another order


def test_what_is_random_or_of_the_whole_is_refused_by_name_all_at_once() -> None:
    with pytest.raises(CaptureError) as caught:
        nn.to_streaming(
            Beside([o for o, _ in REFUSED.values()]).double(), example=torch.randn(2, 4, 24).double()
        )
    reasons = caught.value.reasons
    for i, (name, (_, words)) in enumerate(REFUSED.items()):
        told = [r for r in reasons if f"parts.{i} " in r]
        assert any(words in r for r in told), (name, told)
