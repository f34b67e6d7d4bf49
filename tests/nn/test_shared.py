"""One module in several places of a model: each use counts, parameters are shared, states are not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch import nn as tn

from mediaconv import nn
from mediaconv.nn.copying import copy_module
from mediaconv.nn.summary.trace import trace
from tests.nn.contract import verify_contract


def conv(dims: int = 1, kind: type | None = None, **options: object) -> tn.Module:
    return (kind or getattr(tn, f"Conv{dims}d"))(2, 2, 3, padding=options.pop("padding", 1), **options)


def stacks() -> dict[str, tuple[tn.Module, int]]:
    """Name, a model in which a module stands twice, and the inputs that each output reads."""
    c, r = conv(), tn.Tanh()
    ours = conv(kind=nn.Conv1d)
    inner = nn.Sequential(ours, tn.Tanh())
    down = conv(stride=2)
    gated = nn.Gated(nn.CausalConv1d(2, 4, 2))
    return {
        "torch's": (tn.Sequential(c, r, c, r), 5),
        "ours": (nn.Sequential(ours, r, ours, r), 5),
        "nested": (tn.Sequential(tn.Sequential(c, r), c, tn.Sequential(c, tn.Sequential(c))), 9),
        "one container twice": (nn.Sequential(inner, inner, ours), 7),
        "strided": (tn.Sequential(down, r, down), 7),
        "branches": (nn.Branches([ours, nn.Sequential(ours, ours)], "concat"), 5),
        "the same branch": (nn.Branches([inner, inner], "mul"), 3),
        "residual": (nn.Sequential(nn.Residual(ours), nn.Residual(nn.Sequential(ours, r), ours)), 5),
        "residual twice": (nn.Sequential(*[nn.Residual(inner)] * 3), 7),
        "gated": (nn.Sequential(gated, gated), 3),
        "torch's in ours": (nn.Sequential(c, nn.Residual(tn.Sequential(c, r, c))), 7),
    }


@pytest.mark.parametrize("name", stacks())
def test_every_use_of_a_module_counts(name: str) -> None:
    torch.manual_seed(0)
    model, field = stacks()[name]
    model.double()
    x = torch.randn(2, 2, 16, dtype=torch.float64)
    twin = nn.to_streaming(model)
    torch.testing.assert_close(twin(x), model(x), rtol=0, atol=1e-12)
    assert nn.geometry(model).receptive_field == field
    assert list(twin.state_dict()) == list(model.state_dict())
    assert len(list(twin.parameters())) == len(list(model.parameters()))
    for module in model, twin, copy.deepcopy(twin):
        running = nn.stream(module)
        parts = [running.push(x[:, :, a:b]) for a, b in ((0, 1), (1, 1), (1, 6), (6, 16))]
        torch.testing.assert_close(torch.cat([*parts, running.flush()], 2), model(x), rtol=0, atol=1e-12)
    verify_contract(twin, x.shape, [1, 0, 3, 5])


def test_a_trace_has_a_row_for_every_use() -> None:
    c = nn.Conv1d(2, 2, 3, 2, padding=1)
    made = trace(nn.Sequential(c, tn.ReLU(), c), (2, 64))
    assert [row.name for row in made.rows] == ["0", "1", "2"]
    assert [row.after for row in made.rows] == [(2, 32), (2, 32), (2, 16)]
    assert [row.activation_bytes for row in made.rows] == [(256, 256), (256, 256), (128, 128)]
    assert made.total.parameters == sum(p.numel() for p in c.parameters())
    assert made.total.receptive_field == (7,)


class Twice(tn.Module):
    """A residual block whose forward calls each of its layers twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv()
        self.same = self.conv
        self.act = tn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.conv(self.act(self.conv(x))))
        return self.act(self.same(y) + x)


def test_a_declared_block_may_call_a_layer_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.convert, "CONVERTERS", dict(nn.convert.CONVERTERS))
    nn.register_residual(Twice, layers=("conv", "act", "conv", "act", "same"), after=("act",))
    block = Twice()
    model = tn.Sequential(block, tn.ReLU(), block).double()
    twin = nn.to_streaming(model)
    x = torch.randn(1, 2, 20, dtype=torch.float64)
    torch.testing.assert_close(twin(x), model(x), rtol=0, atol=1e-12)
    assert twin.receptive_field == 13
    assert [n for n, _, _ in nn.noncausal_layers(twin[0])] == ["conv", "conv", "same"]
    verify_contract(twin, x.shape, [1, 0, 3, 5])


class Doubling(tn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@pytest.mark.parametrize("wrong", [tn.Identity(), nn.Conv1d(2, 2, 1)], ids=["same shape", "other values"])
def test_a_conversion_that_gives_other_values_is_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: tn.Module
) -> None:
    monkeypatch.setattr(nn.convert, "CONVERTERS", dict(nn.convert.CONVERTERS))
    if isinstance(wrong, nn.Conv1d):
        monkeypatch.setattr(Doubling, "forward", lambda self, x: x[..., 1:])
    nn.register_converter(Doubling, lambda block, path: tn.Identity())
    with pytest.raises(TypeError, match=r"conversion, on the whole, gives (other values|shape)"):
        nn.to_streaming(tn.Sequential(conv(), Doubling()))
    with pytest.raises(TypeError, match="conversion"):
        nn.stream(tn.Sequential(conv(), Doubling()))


class Chunky(nn.CausalConv1d):
    """Right on the whole, wrong in chunks."""

    def step(self, x: Tensor, state: nn.State, *, axis: int, last: bool) -> Tensor:
        return super().step(x, state, axis=axis, last=last) + len(state.counts)


def test_a_conversion_that_is_wrong_in_chunks_is_refused() -> None:
    with pytest.raises(TypeError, match="in chunks, gives other values"):
        nn.to_streaming(tn.Sequential(Chunky(2, 2, 3)))


def test_the_check_leaves_everything_as_it_was() -> None:
    model = tn.Sequential(conv(), tn.BatchNorm1d(2), tn.Dropout(), tn.Sequential(tn.ReLU()))
    model[3].eval()
    buffers = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(5)
    numbers = torch.get_rng_state()
    twin = nn.to_streaming(model)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert [m.training for m in model.modules()] == [True, True, True, True, False, False]
    assert [m.training for m in twin.modules()] == [True, True, True, True, False, False]
    assert all(torch.equal(v, buffers[k]) for k, v in model.state_dict().items())


def test_an_input_for_the_check_may_be_given() -> None:
    class Odd(tn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[1] != 77:
                raise ValueError("takes 77 channels")
            return x

    def known(monkey: pytest.MonkeyPatch) -> None:
        monkey.setattr(nn.convert, "CONVERTERS", dict(nn.convert.CONVERTERS))
        nn.register_converter(Odd, lambda block, path: tn.Identity())

    with pytest.MonkeyPatch.context() as monkey:
        known(monkey)
        with pytest.raises(TypeError, match=r"takes 77 channels.*example="):
            nn.to_streaming(Odd())
        assert isinstance(nn.to_streaming(Odd(), example=torch.zeros(1, 77, 4)), tn.Identity)


@pytest.mark.parametrize(
    "model",
    [
        tn.Conv1d(2, 2, 8, 480),
        tn.Sequential(tn.PixelUnshuffle(7), tn.Conv2d(49, 98, 3), tn.ChannelShuffle(7), tn.PixelShuffle(7)),
        tn.Sequential(tn.GLU(1), tn.Softmax2d()),
        tn.Conv1d(1, 1, 3, dilation=10**5),
        tn.Sequential(tn.ReflectionPad2d(9), tn.Conv2d(3, 3, 3)),
        tn.Conv3d(1, 1, 3, padding=2, padding_mode="circular"),
        tn.Conv2d(3, 3, 3).half(),
        tn.Conv2d(3, 3, 3, device="meta"),
        tn.Sequential(tn.PReLU(5), tn.Conv1d(5, 5, 3, bias=False)).requires_grad_(False),
    ],
    ids=lambda model: type(model).__name__,
)
def test_an_input_is_found_for_models_of_every_kind(model: tn.Module) -> None:
    assert list(nn.to_streaming(model).state_dict()) == list(model.state_dict())


def test_a_module_that_keeps_a_computed_tensor_is_copied() -> None:
    model = tn.Sequential(tn.utils.weight_norm(tn.Conv1d(2, 2, 3)), tn.ReLU())
    with pytest.raises(RuntimeError):
        copy.deepcopy(model)
    twin = copy_module(model).double()
    x = torch.randn(1, 2, 9)
    torch.testing.assert_close(twin(x.double()).float(), model(x))
    assert twin[0].weight is not model[0].weight
