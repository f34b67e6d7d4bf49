"""conv1d of few output channels, several neighbouring outputs at a time."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mediaconv.nn.backends import algorithms
from mediaconv.nn.backends.phased_sound import LEAST_OUTPUTS, phased_conv1d


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("channels", "out_channels", "taps"), [(1, 1, 9), (1, 2, 9), (2, 3, 5), (4, 4, 2), (1, 2, 64)]
)
@pytest.mark.parametrize("outputs", [1, 15, 16, 100])
def test_phases_give_torchs_convolution(
    batch: int, channels: int, out_channels: int, taps: int, outputs: int
) -> None:
    """Small whole numbers, whose sums are exact in any order."""
    x = torch.randint(-4, 5, (batch, channels, outputs + taps - 1)).float()
    weight = torch.randint(-4, 5, (out_channels, channels, taps)).float()
    for bias in (None, torch.arange(out_channels).float()):
        y = phased_conv1d(x, weight, bias)
        assert torch.equal(y, F.conv1d(x, weight, bias))
        assert y.is_contiguous()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch")
@torch.no_grad()
def test_long_sound_of_few_channels_is_computed_so(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        calls.append(x.shape[2])
        return phased_conv1d(x, *rest)

    monkeypatch.setattr(algorithms, "phased_conv1d", counted)
    weight, bias = torch.randn(2, 1, 9), torch.randn(2)
    for length, slides in (
        (LEAST_OUTPUTS + 9, ([1], [0], [1], 1)),
        (LEAST_OUTPUTS, ([1], [0], [1], 1)),
        (LEAST_OUTPUTS + 9, ([2], [0], [1], 1)),
        (LEAST_OUTPUTS + 9, ([1], [4], [1], 1)),
        (LEAST_OUTPUTS + 9, ([1], [0], [2], 1)),
    ):
        x = torch.randn(1, 1, length)
        y = algorithms.convolve(x, weight, bias, *slides)
        # float32 summed in another order
        assert torch.allclose(y, F.conv1d(x, weight, bias, *slides), atol=1e-6 * float(y.abs().max()))
    assert calls == [LEAST_OUTPUTS + 9]


@torch.no_grad()
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_reaches_the_outputs_that_read_it_and_no_others(value: float) -> None:
    x = torch.randn(1, 1, LEAST_OUTPUTS + 100)
    x[0, 0, 5000] = value
    y = algorithms.convolve(x, torch.randn(2, 1, 9), None, [1], [0], [1], 1)
    assert (~y.isfinite()).nonzero()[:, 2].unique().tolist() == list(range(4992, 5001))
