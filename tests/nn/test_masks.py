"""A masked weight stays masked, whatever is done to the layer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn as tn

from mediaconv import nn

LAYERS = {
    "mask": lambda: nn.CausalConv1d(1, 2, 5, mode="mask"),
    "raster A": lambda: nn.CausalConv2d(1, 2, 3, mode="raster", raster_type="A"),
    "raster B": lambda: nn.CausalConv3d(1, 2, 3, mode="raster"),
}


def reads_ahead(module: tn.Module, dims: int) -> bool:
    """Whether the output at the middle position of a signal of 7 reads a later one, by gradient."""
    x = torch.rand((1, 1, *[7] * dims), dtype=next(module.parameters()).dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x)[(0, slice(None), *[3] * dims)].sum(), x)
    middle = sum(3 * 7**i for i in range(dims))
    return bool((gradient.flatten()[middle + 1 :] != 0).any())


@pytest.mark.parametrize("kind", LAYERS)
def test_masks_survive(kind: str) -> None:
    module = LAYERS[kind]()
    dims = module.dims
    full = {k: torch.ones_like(v) for k, v in module.state_dict().items()}
    assert set(full) == {"weight", "bias"}
    module.load_state_dict(full)
    assert not reads_ahead(module, dims)
    assert module.state_dict()["weight"].eq(0).any()
    twin = copy.deepcopy(module).double()
    assert not reads_ahead(twin, dims)
    tn.init.ones_(module.weight)
    assert not reads_ahead(module, dims)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_training_leaves_masked_taps_at_zero(kind: str, optimizer: type) -> None:
    module = LAYERS[kind]()
    more = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    steps = optimizer(module.parameters(), lr=0.1, weight_decay=0.1, **more)
    masked = module.masked_weight() == 0
    for _ in range(4):
        steps.zero_grad()
        module(torch.rand(2, 1, *[5] * module.dims)).square().sum().backward()
        steps.step()
    assert masked.any()
    assert module.weight[masked].abs().max() == 0
    assert module.weight[~masked].abs().min() > 0
    assert not reads_ahead(module, module.dims)


def test_assigned_weights_are_masked_too() -> None:
    module = nn.CausalConv1d(1, 1, 3, mode="mask")
    module.load_state_dict({"weight": torch.ones(1, 1, 3), "bias": torch.zeros(1)}, assign=True)
    assert module.weight.flatten().tolist() == [1, 1, 0]


def test_a_kernel_that_sees_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="raster type A with a kernel of 1"):
        nn.CausalConv2d(1, 1, 1, mode="raster", raster_type="A")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding_mode": "reflect"}, "reads the future"),
        ({"padding_mode": "circular"}, "reads the future"),
        ({"padding": 1}, "follows from the kernel"),
        ({"padding": (1, "same")}, "causal axis 0"),
        ({"mode": "raster", "padding": "valid"}, "causal along every axis"),
        ({"mode": "raster", "padding_mode": "replicate"}, "above the first row.*use zeros"),
        ({"mode": "masked"}, "expected one of pad, mask, raster"),
        ({"time_axis": 2}, "expected 0 to 1"),
        ({"alignment": "loose"}, "expected one of strict, block"),
        ({"alignment": "block", "mode": "mask"}, "mode pad alone"),
        ({"raster_type": "C"}, "expected 'A' or 'B'"),
    ],
)
def test_what_cannot_be_causal_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nn.CausalConv2d(1, 1, 3, **options)


def test_raster_in_one_dimension_points_to_mask() -> None:
    with pytest.raises(ValueError, match="mode='mask'"):
        nn.CausalConv1d(1, 1, 3, mode="raster")
