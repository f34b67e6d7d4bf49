"""Recurrent layers of captured modules where other axes lie in their batch, or the stream does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch import nn as tn

from mediaconv import nn
from mediaconv.nn.graph.capture.export_failure import frames_of, place_of
from mediaconv.nn.graph.refusal import CaptureError
from tests.nn.contract import verify_contract

SHAPE = (2, 3, 7, 4, 2)


class Net(tn.Module):
    """A film through recurrent layers, by a function of them and the film."""

    def __init__(self, forward: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.lstm = tn.LSTM(3, 3, 2, batch_first=True)
        self.gru = tn.GRU(3, 3)
        self.bi = tn.GRU(3, 3, batch_first=True, bidirectional=True)
        self.first = tn.Parameter(torch.randn(1, 8, 3))
        self.way = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


def pixels(x: Tensor) -> Tensor:
    """(N, C, T, H, W) as (N H W, T, C)."""
    return x.permute(0, 3, 4, 2, 1).reshape(-1, x.shape[2], x.shape[1])


def film(y: Tensor, x: Tensor) -> Tensor:
    """The inverse of `pixels`, with any channels."""
    return y.reshape(x.shape[0], x.shape[3], x.shape[4], x.shape[2], -1).permute(0, 4, 3, 1, 2)


def inmost(m: Net, x: Tensor) -> Tensor:
    """The batch varies fastest: (T, H W N, C)."""
    y = m.gru(x.permute(2, 3, 4, 0, 1).flatten(1, 3))[0]
    return y.reshape(x.shape[2], *x.shape[3:], x.shape[0], -1).permute(3, 4, 0, 1, 2)


def rows(m: Net, x: Tensor) -> Tensor:
    """Over the rows of each column of each frame, both ways, then over time with a first state of its own."""
    n, c, t, h, w = x.shape
    x = m.bi(x.permute(0, 2, 4, 3, 1).reshape(n * t * w, h, c))[0].reshape(n, t, w, h, -1)[..., :3]
    y = m.gru(x.permute(1, 0, 3, 2, 4).reshape(t, n * h * w, c), m.first.repeat(1, n, 1))[0]
    return y.reshape(t, n, h, w, -1).permute(1, 4, 0, 2, 3)


def summary(m: Net, x: Tensor) -> Tensor:
    """Each frame's last state after its rows, from a first state that follows from the frame."""
    n, c, t, h = x.shape[:4]
    start = x.mean((3, 4)).mT.reshape(1, n * t, c)
    state = m.gru(x.permute(3, 0, 2, 4, 1)[..., 0, :].reshape(h, n * t, c), start)[1][-1]
    return x + state.reshape(n, t, c).mT[..., None, None]


PAST: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "each pixel": lambda m, x: film(m.lstm(pixels(x))[0], x),
    "each pixel, time first": lambda m, x: film(m.gru(pixels(x).transpose(0, 1))[0].transpose(0, 1), x),
    "from the third frame": lambda m, x: film(
        m.gru(pixels(x).transpose(0, 1), pixels(x)[:, 2][None])[0].transpose(0, 1), x
    ),
    "batch inmost": inmost,
    "rows and frames": rows,
    "sum": lambda m, x: film(pixels(x).cumsum(1), x),
    "largest": lambda m, x: film(pixels(x).cummax(1)[0], x),
}


def captured(forward: Callable[[Net, Tensor], Tensor], axis: int = 0) -> tn.Module:
    torch.manual_seed(0)
    net = Net(forward).double().eval()
    return nn.to_streaming(net, example=torch.randn(SHAPE, dtype=torch.float64), axis=axis)


@pytest.mark.parametrize("name", PAST)
def test_a_recurrence_over_time_at_each_pixel_keeps_a_state_for_each(name: str) -> None:
    graph = captured(PAST[name])
    assert graph.lookback == torch.inf
    assert graph.latency == (2 if "third" in name else 0)
    verify_contract(graph, SHAPE, [1, 0, 4], measure="no")


def test_a_recurrence_over_another_axis_is_at_one_position_of_the_stream() -> None:
    verify_contract(captured(summary), SHAPE, [1, 0, 4], measure="bound")
    verify_contract(captured(PAST["each pixel"], axis=1), SHAPE, [1, 0, 2], axis=1, measure="bound")


def test_both_ways_over_time_is_held() -> None:
    graph = captured(lambda m, x: film(m.bi(pixels(x))[0], x))
    assert graph.latency == torch.inf
    verify_contract(graph, SHAPE, [1, 0, 4], measure="no")


def test_the_state_of_each_pixel_is_saved_and_reset_by_item() -> None:
    graph = captured(PAST["batch inmost"])
    x = torch.randn(SHAPE, dtype=torch.float64)
    s = nn.stream(graph)
    before = s.push(x[:, :, :4])
    twin = nn.stream(graph)
    twin.load_state_dict(s.state_dict())
    s.reset([1])
    with torch.no_grad():
        whole, fresh = graph(x), graph(x[:, :, 4:])
        after = s.push(x[:, :, 4:])
        torch.testing.assert_close(torch.cat([before, twin.push(x[:, :, 4:])], 2), whole, rtol=0, atol=1e-12)
        torch.testing.assert_close(after[:1], whole[:1, :, 4:], rtol=0, atol=1e-12)
        torch.testing.assert_close(after[1:], fresh[1:], rtol=0, atol=1e-12)


def test_a_loop_over_the_steps_is_refused_with_the_ways_out() -> None:
    def smoothed(m: Net, x: Tensor) -> Tensor:
        out = [x[:, :, 0]]
        for i in range(1, x.shape[2]):
            out.append(0.9 * out[-1] + 0.1 * x[:, :, i])
        return torch.stack(out, 2)

    with pytest.raises(CaptureError, match="Python loop runs over the steps") as refused:
        captured(smoothed)
    for way in ("GRU", "register_converter", "opaque"):
        assert way in str(refused.value)
    assert "for i in range(1, x.shape[2])" in str(refused.value)


class Looped(tn.Module):
    """A loop over the steps, as a part of a larger module."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, :, i] * 0.5 for i in range(x.shape[2])], 2)


def test_where_a_number_is_made_of_the_length_is_told() -> None:
    """Each place, with its module and line; what a package beside torch's own does is not torch's."""
    module = tn.Sequential(tn.Conv1d(2, 2, 3), Looped())
    with pytest.raises(CaptureError, match=r"in 1 \(Looped\) at .*range\(x.shape\[2\]\)"):
        nn.to_streaming(module, example=torch.randn(1, 2, 42))
    beside = f"{Path(torch.__file__).parent}audio/models.py"
    code = compile("def forward(self): return frames_of(sys._getframe())", beside, "exec")
    space: dict = {"frames_of": frames_of, "sys": sys}
    exec(code, space)
    path, line = place_of(space["forward"](module[1]), module)
    assert path == "1 (Looped)"
    assert line.startswith(beside)


def test_a_recurrence_over_the_items_of_a_batch_is_refused() -> None:
    with pytest.raises(CaptureError, match="from item to item of the batch"):
        captured(lambda m, x: m.gru(x.permute(0, 2, 3, 4, 1).flatten(1, 3))[0].reshape(x.shape))
