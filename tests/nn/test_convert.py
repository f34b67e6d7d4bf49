"""torch models made to stream: same keys, same parameters, same values; the unknown is named."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch import nn as tn

from mediaconv import nn
from mediaconv.nn import convert
from tests.nn.contract import verify_contract


class Block(tn.Module):
    """ResNet's basic block, as users have it: its forward is its own."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = tn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = tn.BatchNorm2d(out)
        self.relu = tn.ReLU(inplace=True)
        self.conv2 = tn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = tn.BatchNorm2d(out)
        short = tn.Sequential(tn.Conv2d(channels, out, 1, stride, bias=False), tn.BatchNorm2d(out))
        self.downsample = short if stride > 1 or channels != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "CONVERTERS", dict(convert.CONVERTERS))
    nn.register_residual(
        Block, layers=("conv1", "bn1", "relu", "conv2", "bn2"), shortcut="downsample", after=("relu",)
    )


def trained(model: tn.Module) -> tn.Module:
    """The model after a few batches, so that its statistics are not the initial ones; in eval mode."""
    for _ in range(3):
        model(torch.randn(4, 3, 24, 16) + 0.5)
    return model.eval()


@pytest.mark.usefixtures("_registered")
def test_a_residual_network_streams_with_its_own_keys() -> None:
    torch.manual_seed(0)
    model = trained(
        tn.Sequential(
            tn.Conv2d(3, 4, 7, 2, 3),
            tn.BatchNorm2d(4),
            tn.ReLU(inplace=True),
            tn.MaxPool2d(3, 2, 1),
            Block(4, 4, 1),
            Block(4, 8, 2),
            tn.ConvTranspose2d(8, 4, 4, 2, 1),
            tn.Upsample(scale_factor=2, mode="bilinear"),
            tn.Dropout(),
            tn.PixelShuffle(2),
        )
    ).double()
    twin = nn.to_streaming(model)
    assert list(twin.state_dict()) == list(model.state_dict())
    assert all(a is b for a, b in zip(twin.parameters(), model.parameters(), strict=True))
    x = torch.randn(1, 3, 24, 16, dtype=torch.float64)
    torch.testing.assert_close(twin(x), model(x), rtol=0, atol=1e-12)
    verify_contract(twin, x.shape, [3, 1, 0, 5, 1], measure="no")
    verify_contract(copy.deepcopy(twin), x.shape, [24], measure="no")


@pytest.mark.parametrize(
    "layer",
    [
        tn.Conv1d(3, 6, 3, 2, 1, 2, 3, False, "replicate"),
        tn.Conv1d(3, 3, 4, padding="same", dilation=3),
        tn.Conv1d(3, 3, 4, padding="valid"),
        tn.ConvTranspose1d(3, 6, 5, 3, 1, 1, 3),
        tn.BatchNorm1d(3),
        tn.BatchNorm1d(3, affine=False),
        tn.InstanceNorm1d(3, affine=True),
        tn.InstanceNorm1d(3, track_running_stats=True),
        tn.GroupNorm(3, 3),
        tn.MaxPool1d(3, 2, 1, 2, ceil_mode=True),
        tn.AvgPool1d(3, 2, 1, True, False),
        tn.Upsample(scale_factor=3),
        tn.Upsample(scale_factor=2, mode="linear"),
        tn.ConstantPad1d((4, -2), 0.5),
        tn.ZeroPad1d((-1, 3)),
        tn.ReplicationPad1d((2, 1)),
        tn.ReflectionPad1d((2, 5)),
        tn.PReLU(),
        tn.Softmax(1),
        tn.LocalResponseNorm(2),
        tn.ChannelShuffle(3),
        tn.Dropout1d(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_known_layers(layer: tn.Module) -> None:
    layer.double().eval()
    for parameter in layer.parameters():
        tn.init.normal_(parameter)
    twin = nn.to_streaming(tn.Sequential(layer))
    assert list(twin.state_dict()) == list(tn.Sequential(layer).state_dict())
    x = torch.randn(2, 3, 14, dtype=torch.float64)
    torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=1e-12)
    verify_contract(twin, x.shape, [1, 1, 4, 0, 2], measure="no")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (tn.Sequential(tn.ReLU(), tn.Sequential(tn.Linear(3, 3))), r"1\.0: Linear is not a layer"),
        (tn.LSTM(1, 1), "LSTM is not a layer"),
        (tn.LayerNorm(3), "LayerNorm is not a layer"),
        (tn.Sequential(Block(1, 1, 1)), "0: Block is not a layer"),
        (tn.Upsample(size=3), "Upsample cannot stream.*whole factor"),
        (tn.Upsample(scale_factor=1.5), "whole factor"),
        (tn.Upsample(scale_factor=2, mode="bicubic"), "bicubic"),
        (tn.Upsample(scale_factor=2, mode="linear", align_corners=True), "align_corners"),
        (tn.MaxPool1d(2, return_indices=True), "return_indices"),
        (tn.Softmax(2), "Softmax is not a layer"),
        (tn.utils.parametrizations.weight_norm(tn.Conv1d(1, 1, 1)), "not a layer|parametrizations"),
    ],
)
def test_the_unknown_is_named(model: tn.Module, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        nn.to_streaming(model)


@pytest.mark.usefixtures("_registered")
def test_a_registration_names_every_layer() -> None:
    nn.register_residual(Block, layers=("conv1", "bn1"), shortcut="downsample")
    with pytest.raises(TypeError, match="does not name: bn2, conv2, relu"):
        nn.to_streaming(Block(1, 1, 1))


@pytest.mark.usefixtures("_registered")
def test_a_converter_keeps_the_keys() -> None:
    nn.register_converter(Block, lambda block, path: nn.Sequential())
    with pytest.raises(TypeError, match="changed the keys"):
        nn.to_streaming(Block(1, 1, 1))


def test_a_model_that_pads_before_it_convolves_is_causal() -> None:
    padded = tn.Sequential(tn.ConstantPad2d((1, 1, 4, 0), 0.0), tn.Conv2d(1, 2, 3, dilation=(2, 1))).double()
    twin = nn.to_streaming(padded)
    assert [twin.axis_map(axis).latency for axis in (0, 1)] == [0, 1]
    x = torch.randn(1, 1, 9, 6, dtype=torch.float64)
    causal = nn.CausalConv2d(1, 2, 3, dilation=(2, 1))
    causal.load_state_dict(padded[1].state_dict())
    torch.testing.assert_close(twin(x), causal.double()(x), rtol=0, atol=1e-12)
    verify_contract(twin, x.shape, [1, 0, 4], causal=True)


def test_our_own_containers_are_converted_inside() -> None:
    model = nn.Residual(tn.Conv1d(1, 1, 3, padding=1))
    twin = nn.to_streaming(model)
    assert list(twin.state_dict()) == ["layers.weight", "layers.bias"]
    verify_contract(twin, (1, 1, 6), [2, 1])


class Chained(tn.Module):
    """A convolution and an activation of its own, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.act = Snake()
        self.conv = tn.Conv1d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x))


class Snake(tn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + x.sin() ** 2


def test_chains_and_pointwise_modules_are_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "CONVERTERS", dict(convert.CONVERTERS))
    monkeypatch.setattr(convert, "POINTWISE", convert.POINTWISE)
    monkeypatch.delitem(convert.POINTWISE, Snake, raising=False)
    with pytest.raises(TypeError, match="Chained"):
        nn.to_streaming(Chained())
    nn.register_chain(Chained, layers=("conv", "act"))
    with pytest.raises(TypeError, match="Snake"):
        nn.to_streaming(Chained())
    nn.register_pointwise(Snake)
    model = Chained().double()
    twin = nn.to_streaming(model)
    assert set(twin.state_dict()) == set(model.state_dict())
    verify_contract(twin, (1, 2, 20), [1, 0, 5])
    del convert.POINTWISE[Snake]
