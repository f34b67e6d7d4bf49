"""Sound as one product of matrices over its windows, and weights in the order of each size of input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mediaconv.nn.backends import packed_weight
from mediaconv.nn.backends.memory_layout import is_packed
from mediaconv.nn.backends.window_product import product_pays, rows_of_weight, window_product

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch"
)


def whole_numbers(*shape: int) -> Tensor:
    """Small ones, whose sums are exact in any order."""
    return torch.randint(-4, 5, shape).float()


@pytest.mark.parametrize(
    ("taps", "stride", "dilation"), [(1, 1, 1), (1, 3, 1), (3, 1, 1), (8, 4, 1), (3, 2, 5)]
)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("bias", [False, True])
def test_the_product_is_torchs_convolution(
    batch: int, channels: int, taps: int, stride: int, dilation: int, bias: bool
) -> None:
    weight, b = whole_numbers(5, channels, taps), whole_numbers(5) if bias else None
    x = whole_numbers(batch, channels, 31)
    packed = x.transpose(1, 2).contiguous().transpose(1, 2)
    for given in (x, packed, packed[:, :, 2:], x[:, :, :-3]):
        y = window_product(given, rows_of_weight(weight), b, stride, dilation)
        assert torch.equal(y, F.conv1d(given, weight, b, stride, 0, dilation))
        assert is_packed(y)


def test_the_product_pays_where_there_are_few_outputs_and_never_where_sums_are_long() -> None:
    assert product_pays(1, (256, 128, 12))
    assert product_pays(13, (64, 128, 3))
    assert product_pays(3840, (32, 16, 1))
    assert not product_pays(4, (512, 256, 16))
    assert not product_pays(192, (128, 64, 10))
    assert not product_pays(3840, (16, 32, 3))


@needs_onednn
@torch.no_grad()
@pytest.mark.parametrize("outputs", [1, 2, 8, 300])
def test_a_kept_weight_gives_torchs_values_at_any_number_of_outputs(outputs: int) -> None:
    weight, bias = whole_numbers(64, 32, 3), whole_numbers(64)
    kept = packed_weight.PackedWeight(weight)
    x = whole_numbers(2, 32, outputs + 2)
    y = packed_weight.convolve_packed(x, weight, bias, kept, [1], [0], [1], 1)
    assert torch.equal(y, F.conv1d(x, weight, bias))


@needs_onednn
@torch.no_grad()
@pytest.mark.parametrize("kind", ["plain", "transposed"])
def test_a_weight_is_kept_in_the_order_of_each_size_of_input(kind: str) -> None:
    """In another one it is changed in every call: 30 ms of 512 channels, of which the sums take 0.3."""
    slides = ([1, 8 if kind == "transposed" else 1], [0, 0], [1, 1], 1)
    shape, make = {
        "plain": ((512, 512, 1), packed_weight.PackedWeight),
        "transposed": ((512, 64, 16), packed_weight.PackedTransposedWeight),
    }[kind]
    weight = torch.randn(shape)
    kept = make(weight)
    orders = []
    for outputs in (1, 2, 15, 16, 64, 120):
        x = torch.zeros(1, 512, 1, outputs)
        expected = packed_weight._order(make(weight).get(x, slides))
        assert torch.equal(packed_weight._order(kept.get(x, slides)), expected)
        assert kept.get(x, slides) is kept.get(x, slides)
        orders.append(bytes(expected.tolist()))
    held = {id(t) for sizes in kept._packed.values() for t in sizes.values()}
    assert len(held) == len(set(orders))


@needs_onednn
@torch.no_grad()
def test_chunks_that_all_differ_do_not_ask_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_weight, "SIZES", 3)
    weight = whole_numbers(64, 64, 3)
    kept = packed_weight.PackedWeight(weight)
    for length in range(400, 410):
        x = whole_numbers(1, 64, length)
        y = packed_weight.convolve_packed(x, weight, None, kept, [1], [0], [1], 1)
        assert torch.equal(y, F.conv1d(x, weight))
    assert [len(sizes) for sizes in kept._packed.values()] == [3]
