"""Weights in oneDNN's order are kept from stream to stream of a captured model, and no change is missed."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.nn.backends import packed_weight
from mediaconv.nn.backends.packed_recurrence import PackedLSTM

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch"
)
X = torch.randn(1, 64, 300)


class Decoder(nn.Module):
    """Each kind of weight that is kept: an LSTM's, a transposed and a normed convolution's."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(64, 64, 2)
        self.up = nn.ConvTranspose1d(64, 64, 8, 4, 2)
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(64, 64, 7, padding=3))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.up(self.lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)))


def streamed(graph: nn.Module, x: Tensor = X) -> Tensor:
    s = mnn.stream(graph)
    return torch.cat([*map(s.push, x.split((150, 1, 149), 2)), s.flush()], 2)


def assert_agrees(graph: nn.Module, module: nn.Module) -> None:
    y, whole = streamed(graph), module(X)
    # float32 summed in another order
    assert float((y - whole).abs().max()) <= 1e-5 * float(whole.abs().max())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of weights that were put in another order, one entry each time."""
    kinds: list[str] = []
    for kind in (packed_weight.PackedWeight, packed_weight.PackedTransposedWeight):
        real = kind._reordered
        name = kind.__name__
        monkeypatch.setattr(
            kind, "_reordered", lambda *given, n=name, f=real: (kinds.append(n), f(*given))[1]
        )
    note = PackedLSTM.note
    monkeypatch.setattr(PackedLSTM, "note", lambda self: (kinds.append("PackedLSTM"), note(self))[1])
    return kinds


@torch.no_grad()
def test_a_second_stream_puts_no_weight_in_another_order(made: list[str]) -> None:
    module = Decoder().eval()
    graph = mnn.to_streaming(module, example=X)
    made.clear()
    assert_agrees(graph, module)
    first = sorted(made)
    assert set(first) <= {"PackedLSTM", "PackedTransposedWeight", "PackedWeight"}
    streamed(graph, torch.cat([X, X]))  # oneDNN is asked for the order of these sizes, too
    made.clear()
    assert torch.equal(streamed(graph), streamed(copy.deepcopy(graph)))
    assert torch.equal(streamed(graph, torch.cat([X, X])), streamed(graph, torch.cat([X, X])))
    assert made == []


@torch.no_grad()
@pytest.mark.parametrize(
    "name", ["lstm.weight_hh_l1", "lstm.bias_ih_l0", "up.weight", "conv.parametrizations.weight.original1"]
)
def test_what_data_writes_into_a_kept_weight_is_seen_by_the_next_stream(name: str, made: list[str]) -> None:
    """`.data` leaves the counter of versions as it is. Signs and the order of values count, not a sum."""
    module = Decoder().eval()
    graph = mnn.to_streaming(module, example=X)
    assert_agrees(graph, module)
    assert made
    weight: Any = module.get_parameter(name)
    for change in (torch.neg, lambda v: v.flip(0), lambda v: v * (1 + 1e-3)):
        before = streamed(graph)
        weight.data.copy_(change(weight.data.clone()))
        assert not torch.equal(streamed(graph), before)
        assert_agrees(graph, module)


@torch.no_grad()
def test_a_copy_with_weights_of_its_own_and_the_model_stream_in_turn() -> None:
    module = Decoder().eval()
    graph = mnn.to_streaming(module, example=X)
    other = copy.deepcopy(graph)
    other.load_state_dict(mnn.to_streaming(Decoder().eval(), example=X).state_dict())
    expected = streamed(graph), streamed(other)
    assert not torch.equal(*expected)
    for _ in range(2):
        assert torch.equal(streamed(graph), expected[0])
        assert torch.equal(streamed(other), expected[1])


def test_a_step_of_training_is_seen_by_a_stream_that_goes_on() -> None:
    module = Decoder().eval()
    graph = mnn.to_streaming(module, example=X)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    with torch.no_grad():
        before = streamed(graph)
    streamed(graph).square().mean().backward()
    optimizer.step()
    with torch.no_grad():
        assert not torch.equal(streamed(graph), before)
        assert_agrees(graph, module)


@torch.no_grad()
def test_streams_in_several_threads_share_what_is_kept() -> None:
    """Each has the weights of its own call: of an LSTM's two layers put in order at once by all, too."""
    module = Decoder().eval()
    graph = mnn.to_streaming(module, example=X)
    expected = streamed(graph)
    for _ in range(5):
        module.lstm.weight_ih_l0.add_(0)  # what was kept is looked at again
        graph.a_capture()[1].keepers.clear()
        results: list[Tensor] = []
        threads = [threading.Thread(target=lambda r=results: r.append(_ungraded(graph))) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(results) == 4
        assert all(torch.equal(y, expected) for y in results)


@torch.no_grad()
def _ungraded(graph: nn.Module) -> Tensor:
    """In a thread, where the context of the test does not hold."""
    return streamed(graph)


@torch.no_grad()
def test_calls_of_few_outputs_use_the_weight_that_is_kept(made: list[str]) -> None:
    """Where sums are long oneDNN computes a call of any size: it would put the weight in order each time."""
    weight, bias = torch.randn(512, 256, 7), torch.randn(512)
    kept = packed_weight.PackedWeight(weight)
    for _ in range(2):
        for outputs in (2, 5):
            x = torch.randn(1, 256, 6 + outputs)
            y = packed_weight.convolve_packed(x, weight, bias, kept, [1], [0], [1], 1)
            # float32 summed in another order: 1,792 products
            assert torch.allclose(y, nn.functional.conv1d(x, weight, bias), atol=1e-3)
    assert made == ["PackedWeight"] * 2  # each size is asked for once
