"""What makes a captured model's steps quick changes no values: joined pads, kept weights, chained steps."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.nn.backends import packed_weight
from mediaconv.nn.backends.packed_recurrence import PackedLSTM
from mediaconv.nn.graph.steps.graph_step import Local
from mediaconv.nn.graph.steps.window_steps import Sliding


class Padded(nn.Module):
    """A convolution behind a pad of its own, and operations at one position."""

    def __init__(self, left: int, right: int, mode: str = "constant", own: int = 0) -> None:
        super().__init__()
        self.amounts, self.mode = (left, right), mode
        self.conv = nn.Conv1d(64, 64, 7, stride=2, padding=own)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(nn.functional.pad(x, self.amounts, self.mode))
        return torch.sigmoid(y.abs() + 1) * y


def streamed(graph: nn.Module, x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    s = mnn.stream(graph)
    return torch.cat([*map(s.push, x.split(sizes, 2)), s.flush()], 2)


@pytest.mark.parametrize(
    ("left", "right", "mode", "own"),
    [
        (6, 0, "constant", 0), (3, 2, "constant", 2), (-3, 1, "constant", 0), (-3, 1, "constant", 4),
        (5, 3, "reflect", 0), (5, 3, "replicate", 1), (4, -2, "replicate", 0),
    ],
)  # fmt: skip
def test_a_pad_before_a_convolution_is_done_by_one_step_where_both_are_the_same(
    left: int, right: int, mode: str, own: int
) -> None:
    module = Padded(left, right, mode, own).double().eval()
    x = torch.randn(2, 64, 403, dtype=torch.float64)
    graph = mnn.to_streaming(module, example=x)
    with torch.no_grad():
        y, whole = streamed(graph, x, (1, 0, 2, 100, 300)), module(x)
    assert y.shape == whole.shape
    assert float((y - whole).abs().max()) <= 1e-12
    program = graph.program(0, x.shape, x.dtype)
    joined = (min(left, right) >= 0 and mode == "constant") or own == 0
    assert sum(isinstance(step, Sliding) for step in program.steps) == (1 if joined else 2)
    assert sum(isinstance(step, Local) for step in program.chained) == 1


def test_weights_in_another_order_follow_the_modules_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded, written in place, assigned or replaced is seen by the next chunk."""
    made: list[int] = []
    real = packed_weight.PackedWeight.get

    def counted(self: packed_weight.PackedWeight, *given: object) -> Tensor:
        made.append(id(self))
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(packed_weight.PackedWeight, "get", counted)
    module = Padded(6, 0).eval()
    x = torch.randn(1, 64, 800)
    graph = mnn.to_streaming(module, example=x)
    other = nn.Conv1d(64, 64, 7, stride=2)

    def assert_agrees() -> None:
        with torch.no_grad():
            y, whole = streamed(graph, x, (400, 300, 100)), module(x)
        # float32 summed in another order
        assert float((y - whole).abs().max()) <= 1e-5 * float(whole.abs().max())

    assert_agrees()
    module.conv.load_state_dict(other.state_dict())
    assert_agrees()
    with torch.no_grad():
        module.conv.weight.mul_(2)
    assert_agrees()
    module.conv.weight = nn.Parameter(torch.randn_like(module.conv.weight))
    assert_agrees()
    module.conv = nn.Conv1d(64, 64, 7, stride=2)
    assert_agrees()
    if torch.backends.mkldnn.is_available():
        assert len(set(made)) >= 2
    kept = copy.deepcopy(graph)
    with torch.no_grad():
        assert torch.equal(streamed(kept, x, (400, 400)), streamed(graph, x, (400, 400)))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_kernel_of_one_takes_what_the_layer_before_it_gives(dims: int) -> None:
    """Without a copy into another layout: nothing is made contiguous between the two."""
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    module = nn.Sequential(conv(32, 64, 3, padding=1), nn.ELU(), conv(64, 96, 1)).eval()
    x = torch.randn(1, 32, *((6000,), (40, 40), (12, 12, 12))[dims - 1])
    graph = mnn.to_streaming(Whole(module), example=x)
    sizes = (x.shape[2] // 2, x.shape[2] - x.shape[2] // 2)
    with torch.no_grad():
        y, whole = streamed(graph, x, sizes), module(x)
        s = mnn.stream(graph)
        s.push(x.narrow(2, 0, sizes[0]))
        with torch.profiler.profile() as profile:
            s.push(x.narrow(2, sizes[0], sizes[1]))
    # float32 summed in another order
    assert float((y - whole).abs().max()) <= 1e-5 * float(whole.abs().max())
    called = [event.key for event in profile.key_averages()]
    assert "mkldnn::_convolution_pointwise" in called
    assert not {f"aten::conv{dims}d", "aten::mkldnn_convolution", "aten::convolution"} & set(called)


class Whole(nn.Module):
    """A module that is captured as it is, none of whose layers is known."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


class Decoder(nn.Module):
    """A recurrence and transposed convolutions, of sizes at which weights are kept in another order."""

    def __init__(self, *, bias: bool = True, batch_first: bool = False) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.lstm = nn.LSTM(64, 64, 2, bias=bias, batch_first=batch_first)
        self.up = nn.ConvTranspose1d(64, 64, 8, 4, 2, bias=bias)
        self.image = nn.ConvTranspose2d(64, 64, (4, 3), (2, 1), (1, 1), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2) if self.batch_first else x.permute(2, 0, 1)
        y = self.lstm(x)[0]
        y = y.transpose(1, 2) if self.batch_first else y.permute(1, 2, 0)
        return self.image(self.up(y).unsqueeze(3).expand(-1, -1, -1, 4).contiguous())[..., 0]


@pytest.mark.parametrize(
    ("bias", "batch_first", "batch"), [(True, False, 1), (True, True, 2), (False, False, 2)]
)
def test_kept_weights_of_recurrences_and_transposed_convolutions_give_the_modules_values(
    bias: bool, batch_first: bool, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after other weights came; oneDNN adds as torch's own call does, in another order at most."""
    kinds: list[str] = []
    lstm, transposed = PackedLSTM.run, packed_weight.PackedTransposedWeight.get
    monkeypatch.setattr(
        PackedLSTM, "run", lambda *given, **named: (kinds.append("lstm"), lstm(*given, **named))[1]
    )
    monkeypatch.setattr(
        packed_weight.PackedTransposedWeight,
        "get",
        lambda *given: (kinds.append(f"transposed {len(given[2][0])}d"), transposed(*given))[1],
    )
    module = Decoder(bias=bias, batch_first=batch_first).eval()
    x = torch.randn(batch, 64, 300)
    graph = mnn.to_streaming(module, example=x)

    def assert_agrees() -> None:
        with torch.no_grad():
            y, whole = streamed(graph, x, (150, 1, 0, 149)), module(x)
        # float32 summed in another order
        assert float((y - whole).abs().max()) <= 1e-5 * float(whole.abs().max())

    assert_agrees()
    module.load_state_dict(Decoder(bias=bias).state_dict())
    assert_agrees()
    with torch.no_grad():
        module.lstm.weight_hh_l1.mul_(2)
        module.up.weight.mul_(2)
    assert_agrees()
    if torch.backends.mkldnn.is_available():
        assert set(kinds) == {"lstm", "transposed 2d"}
    streamed(graph, x, (150, 150)).sum().backward()
    ours, module.lstm.weight_hh_l1.grad = module.lstm.weight_hh_l1.grad, None
    module(x).sum().backward()
    expected = module.lstm.weight_hh_l1.grad
    assert ours is not None
    assert expected is not None
    assert float((ours - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


def test_gradients_reach_the_weights_of_a_stream_that_ran_without_them() -> None:
    module = Padded(6, 0).eval()
    x = torch.randn(1, 64, 800)
    graph = mnn.to_streaming(module, example=x)
    with torch.no_grad():
        streamed(graph, x, (400, 400))
    streamed(graph, x, (400, 400)).sum().backward()
    ours = module.conv.weight.grad
    assert ours is not None
    ours, module.conv.weight.grad = ours.clone(), None
    module(x).sum().backward()
    expected = module.conv.weight.grad
    assert expected is not None
    assert float((ours - expected).abs().max()) <= 1e-4 * float(expected.abs().max())
