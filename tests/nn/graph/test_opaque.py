"""Modules of a known or measured reach, run by overlapping windows, against themselves."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from mediaconv.nn import opaque, stream
from mediaconv.nn.graph.refusal import CaptureError
from tests.nn.contract import verify_contract


class Hidden(nn.Module):
    """A stack whose forward leaves the graph: numpy in the middle."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.layers(x).detach().numpy())


@pytest.mark.parametrize(
    ("layers", "reach"),
    [
        ([nn.Conv1d(2, 3, 5, padding=2), nn.Conv1d(3, 2, 3, padding=1)], (3, 3, 1)),
        ([nn.Conv1d(2, 3, 4, 2, 1), nn.Conv1d(3, 2, 3, padding=1)], (3, 4, 2)),
        ([nn.Conv1d(2, 2, 3, padding=1), nn.ConvTranspose1d(2, 2, 4, 2, 1)], (2, 2, Fraction(1, 2))),
    ],
)
def test_the_reach_is_measured_and_the_stream_is_exact(layers: list[nn.Module], reach: tuple) -> None:
    torch.manual_seed(0)
    example = torch.randn(2, 2, 48, dtype=torch.float64)
    made = opaque(Hidden(*layers).double(), example=example)
    along = made.axis_map(0)
    assert (along.lookback, along.latency, along.total_stride) == reach
    assert made.cost(6) == (6 + reach[0] + reach[1]) / 6
    verify_contract(made, (2, 2, 41), [1, 0, 7, 2, 11], measure="no")


def test_a_reach_that_is_too_short_is_refused() -> None:
    hidden = Hidden(nn.Conv1d(2, 2, 9, padding=4)).double()
    example = torch.randn(1, 2, 40, dtype=torch.float64)
    assert stream(opaque(hidden, 4, 4, 1, example=example)).latency == 4
    with pytest.raises(CaptureError, match="differs"):
        opaque(hidden, 2, 2, 1, example=example)


def test_what_reads_everything_has_no_window() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(2, keepdim=True)

    with pytest.raises(CaptureError, match="reads all"):
        opaque(Mean(), example=torch.randn(1, 2, 30))
