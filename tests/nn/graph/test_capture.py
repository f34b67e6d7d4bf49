"""Captured modules against themselves: nodes of each kind, state, types, gradients, refusals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.graph.capture.torch_functions.replaced import replaced
from mediaconv.nn.graph.refusal import CaptureError
from tests.nn.contract import verify_contract

PLAN = [1, 0, 5, 1, 7, 2]


class Net(tn.Module):
    """A module whose forward is a function of its convolutions and the input."""

    def __init__(self, forward: Callable[[Net, Tensor], Any], channels: int = 4, dims: int = 1) -> None:
        super().__init__()
        conv = (tn.Conv1d, tn.Conv2d, tn.Conv3d)[dims - 1]
        self.a = conv(channels, channels, 3, padding=1)
        self.b = conv(channels, channels, 5, padding=2)
        self.down = conv(channels, channels, 3, 2, 1)
        self.linear = tn.Linear(channels, channels)
        self.norm = tn.LayerNorm(channels)
        self.lstm = tn.LSTM(channels, channels, 2, batch_first=True)
        self.gru = tn.GRU(channels, channels)
        self.bi = tn.GRU(channels, channels, bidirectional=True, batch_first=True)
        self.up = tn.ConvTranspose1d(channels, channels, 4, 2, 1)
        self.attend = tn.MultiheadAttention(channels, 1 + (channels % 2 == 0), batch_first=True)
        self.table = tn.Parameter(torch.randn(64, channels))
        self.way = forward

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


def heads(m: Net, x: Tensor) -> Tensor:
    """Attention over four tokens of each position."""
    n, c, t = x.shape
    y = x.permute(0, 2, 1).reshape(n * t, c, 1) * torch.ones(4)
    weights = torch.softmax(y @ y.transpose(1, 2), -1)
    return (weights @ y).mean(-1).reshape(n, t, c).permute(0, 2, 1)


def frames(m: Net, x: Tensor) -> Tensor:
    """A 2D convolution over each frame, time folded into the batch."""
    n, c, t, h, w = x.shape
    y = F.conv2d(x.transpose(1, 2).reshape(n * t, c, h, w), m.a.weight[:, :, 1], padding=1)
    return m.b(y.unflatten(0, (n, t)).transpose(1, 2))


def shifted(m: Net, x: Tensor) -> Tensor:
    """A temporal shift: a channel from the next step, one from the step before."""
    y = torch.zeros_like(x)
    y[:, :1, :-1] = x[:, :1, 1:]
    y[:, 1:2, 1:] = x[:, 1:2, :-1]
    y[:, 2:] = m.a(x)[:, 2:]
    return y


def rotated(m: Net, x: Tensor) -> Tensor:
    """Rotary position embedding of two pairs of channels."""
    angles = torch.outer(torch.arange(x.shape[2]).to(x), torch.tensor([1.0, 0.01], dtype=x.dtype)).T
    a, b = m.a(x).chunk(2, 1)
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], 1)


def attended(m: Net, x: Tensor, mask: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Attention over time with a mask of distances; by default a causal one."""
    y = m.a(x).transpose(1, 2)
    i = torch.arange(x.shape[2])
    table = torch.full((x.shape[2], x.shape[2]), -torch.inf, dtype=x.dtype).triu(1)
    table = table if mask is None else ~mask(i[:, None] - i[None])
    return x + m.attend(y, y, y, attn_mask=table, need_weights=False)[0].transpose(1, 2)


BOUNDED: dict[str, Callable[[Net, Tensor], Any]] = {
    "skips": lambda m, x: m.b(torch.relu(m.a(x))) + m.a(x) * x.sigmoid(),
    "fan-out": lambda m, x: torch.cat([h := m.a(x), m.b(h), h * m.b(h)], 1),
    "replicated": lambda m, x: F.conv1d(torch.cat([x[:, :, :1].repeat(1, 1, 4), x], 2), m.b.weight),
    "replicated at the end": lambda m, x: F.conv1d(
        torch.cat([x[:, :, :1].expand(-1, -1, 2), x, x[:, :, -1:].expand(-1, -1, 2)], 2), m.b.weight
    ),
    "zeros in front": lambda m, x: F.conv1d(torch.cat([x.new_zeros(x.shape[0], 4, 4), x], 2), m.b.weight),
    "first apart": lambda m, x: torch.cat([m.a(x)[:, :, :1] * 2, m.b(x)[:, :, 1:]], 2),
    "second twice": lambda m, x: torch.cat([x[:, :, 1:2], m.a(x)[:, :, 1:]], 2),
    "batch in channels": lambda m, x: F.conv1d(
        x.reshape(1, -1, x.shape[2]), m.a.weight[:1, :1].repeat(x.shape[0] * 4, 1, 1), groups=x.shape[0] * 4
    ).reshape(x.shape[0], 4, -1),
    "trimmed": lambda m, x: m.a(x)[:, :, 2:-1] + x[..., 2:-1],
    "every second": lambda m, x: m.a(x)[:, :, ::2] + m.down(x),
    "reflect": lambda m, x: F.conv1d(F.pad(x, (2, 2), mode="reflect"), m.b.weight),
    "replicate": lambda m, x: F.conv1d(F.pad(x, (4, 0), mode="replicate"), m.b.weight),
    "channels": lambda m, x: (
        m.norm(m.linear(x.transpose(1, 2))).transpose(1, 2) / x.norm(dim=1, keepdim=True)
    ),
    "softmax": lambda m, x: torch.softmax(m.a(x), 1) + x.mean(1, keepdim=True).expand(-1, 4, -1),
    "einsum": lambda m, x: torch.einsum("nct,dc->ndt", m.a(x), m.linear.weight),
    "tokens": heads,
    "split": lambda m, x: torch.cat([p * (i + 1) for i, p in enumerate(m.a(x).chunk(2, 1))][::-1], 1),
    "upsampled": lambda m, x: m.a(F.interpolate(x, scale_factor=2)) + m.up(x),
    "linear": lambda m, x: F.interpolate(m.a(x), scale_factor=2, mode="linear"),
    "shuffled": lambda m, x: m.a(x).unflatten(1, (2, 2)).mT.flatten(2).repeat_interleave(2, 1),
    "pooled": lambda m, x: F.max_pool1d(m.a(x), 3, 2, 1) + F.avg_pool1d(x, 3, 2, 1),
    "attention in a window": lambda m, x: attended(m, x, lambda d: (d >= 0) & (d < 5)),
    "attention both ways": lambda m, x: attended(m, x, lambda d: d.abs() < 4),
    "difference": lambda m, x: torch.diff(m.a(x), dim=2, prepend=x[:, :, :1]),
    "assigned": shifted,
    "end past the end": lambda m, x: m.up(m.down(x))[:, :, : x.shape[2]],
    "halved": lambda m, x: F.interpolate(
        F.interpolate(m.a(x), scale_factor=0.5, mode="linear"), scale_factor=2
    ),
    "every fourth": lambda m, x: m.a(F.interpolate(x, scale_factor=0.25, mode="nearest")),
    "codebook": lambda m, x: m.linear.weight[torch.cdist(x.mT, m.linear.weight[None]).argmin(-1)].mT + m.a(x),
    "spectrum": lambda m, x: torch.stft(
        x.mean(1), 8, 4, window=torch.hann_window(8, dtype=x.dtype), return_complex=True
    ).abs(),
    "windows": lambda m, x: F.pad(x, (3, 0)).unfold(2, 4, 1).mean(-1),
}
PAST: dict[str, Callable[[Net, Tensor], Any]] = {
    "lstm": lambda m, x: m.lstm(x.transpose(1, 2))[0].transpose(1, 2) + m.a(x),
    "gru": lambda m, x: m.gru(x.permute(2, 0, 1))[0].permute(1, 2, 0),
    "gru from the first": lambda m, x: m.gru(x.permute(2, 0, 1), m.linear(x[:, :, 0])[None])[0].permute(
        1, 2, 0
    ),
    "attention": attended,
    "cumsum": lambda m, x: m.a(x).cumsum(2),
    "positions": lambda m, x: x + torch.arange(x.shape[2]).to(x),
    "rotated by position": rotated,
    "table of positions": lambda m, x: m.down(x) + m.table[2 : 2 + m.down(x).shape[2]].T,
    "running mean": lambda m, x: x.cumsum(2) / torch.ones(x.shape[2], dtype=x.dtype).cumsum(0),
    "running mean of a column": lambda m, x: (
        x[..., None].cumsum(2) / torch.arange(1, x.shape[2] + 1).to(x)[:, None]
    ).squeeze(3),
    "cumprod": lambda m, x: m.a(x).cumprod(2),
    "logcumsumexp": lambda m, x: m.a(x).logcumsumexp(2),
    "cummax": lambda m, x: torch.cat([*m.a(x).cummax(2)], 1),
    "cummin of equals": lambda m, x: torch.cat([*(x * 2).round().cummin(2)], 1),
    "first subtracted": lambda m, x: m.a(x - x[:, :, :1]),
}
WHOLE: dict[str, Callable[[Net, Tensor], Any]] = {
    "mean": lambda m, x: m.a(x) * torch.sigmoid(m.b(x).mean(2, keepdim=True)),
    "softmax": lambda m, x: torch.softmax(m.a(x), 2),
    "group norm": lambda m, x: m.b(F.group_norm(m.a(x), 2)),
    "both ways": lambda m, x: m.bi(x.transpose(1, 2))[0].transpose(1, 2),
    "last state": lambda m, x: x * m.lstm(x.transpose(1, 2))[1][0][-1][:, :, None],
    "last": lambda m, x: x - m.a(x)[:, :, -1:],
    "late and positions": lambda m, x: x + torch.arange(x.shape[2]).to(x) * x.mean(2, keepdim=True),
    "flipped": lambda m, x: x.flip(2) + x,
}


def captured(
    forward: Callable[[Net, Tensor], Any], shape: tuple[int, ...] = (2, 4, 24), **more: Any
) -> tn.Module:
    torch.manual_seed(0)
    net = Net(forward, shape[1], len(shape) - 2).double().eval()
    return nn.to_streaming(net, example=torch.randn(shape, dtype=torch.float64), **more)


@pytest.mark.parametrize("name", BOUNDED)
def test_what_reads_a_window_keeps_the_contract(name: str) -> None:
    graph = captured(BOUNDED[name])
    assert graph.latency < 24
    ends = name in (
        "first apart",
        "replicated at the end",
        "trimmed",
        "assigned",
        "end past the end",
        "difference",
        "halved",
        "every fourth",
        "spectrum",
        "codebook",
    )  # known late, or read otherwise
    measure = "bound" if name in ("pooled", "first apart") else "exact"
    if not ends:
        verify_contract(graph, (2, 4, 24), PLAN, measure=measure)
    else:
        assert streamed(graph, torch.randn(2, 4, 24, dtype=torch.float64)) < 1e-12


@pytest.mark.parametrize("name", PAST)
def test_what_reads_all_the_past_streams_at_once(name: str) -> None:
    graph = captured(PAST[name])
    assert graph.lookback == graph.receptive_field == torch.inf
    assert graph.latency <= 1
    verify_contract(graph, (2, 4, 24), PLAN, measure="no")


@pytest.mark.parametrize(
    ("forward", "latency"),
    [
        (lambda m, x: F.conv1d(F.pad(x, (4, 0), mode="reflect"), m.b.weight), 4),
        (lambda m, x: m.a(x) - x[:, :, 3:5].mean(2, True), 4),
        (lambda m, x: torch.cat([x[:, :, :3].flip(2), x[:, :, 3:]], 2), 2),
    ],
    ids=["reflect", "first apart", "flipped"],
)
def test_what_the_beginning_alone_reads_ahead_is_told(forward: Any, latency: int) -> None:
    graph = captured(forward)
    assert graph.latency == latency
    verify_contract(graph, (2, 4, 24), PLAN, measure="no")


def test_an_input_that_is_longer_than_a_table_of_positions_is_refused() -> None:
    s = nn.stream(captured(PAST["table of positions"]))
    x = torch.randn(1, 4, 130, dtype=torch.float64)
    assert s.push(x[..., :120]).shape[2] >= 59
    with pytest.raises(ValueError, match="a table of 62 positions, and the input is longer"):
        s.push(x[..., 120:])


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_the_whole_is_held_with_a_note_or_refused(name: str) -> None:
    graph = captured(WHOLE[name])
    assert graph.latency == torch.inf
    assert "held to the end" in graph.notes[0]
    verify_contract(graph, (2, 4, 24), PLAN, measure="no")
    with pytest.raises(CaptureError, match="causal=True"):
        captured(WHOLE[name], causal=True)


def test_hooks_are_told_of_but_for_those_that_torch_puts_on_its_own_programs() -> None:
    module, x = Net(lambda m, x: m.b(m.a(x))), torch.zeros(1, 4, 16)
    program = torch.export.export(module, (x,), dynamic_shapes=({2: torch.export.Dim.AUTO},))
    assert nn.to_streaming(program).notes == []
    module.a.register_forward_hook(lambda m, args, output: 2 * output)
    graph = nn.to_streaming(module, example=x)
    assert "on a" in graph.notes[0]
    assert streamed(graph, torch.randn(1, 4, 20)) < 1e-5


def streamed(graph: tn.Module, x: Tensor, axis: int = 0) -> float:
    """The largest difference between a stream in ragged chunks and the call on the whole."""
    s, start, out, length = nn.stream(graph, axis=axis), 0, [], x.shape[axis + 2]
    for size in [*PLAN, length]:
        out.append(s.push(x.narrow(axis + 2, start, min(size, length - start))))
        start += min(size, length - start)
    out.append(s.flush())
    with torch.no_grad():
        return float((torch.cat(out, axis + 2) - graph(x)).abs().max())


def test_frames_folded_into_the_batch() -> None:
    graph = captured(frames, (2, 3, 7, 6, 8))
    verify_contract(graph, (2, 3, 7, 6, 8), [1, 0, 3])
    verify_contract(graph, (3, 3, 7, 5, 9), [1, 0, 3], axis=1)


def test_any_batch_other_sizes_and_types_are_as_the_module() -> None:
    graph = captured(BOUNDED["skips"])
    for dtype in (torch.float32, torch.bfloat16):
        verify_contract(graph, (3, 4, 30), PLAN, dtype=dtype, measure="no")


def test_parameters_are_shared_and_gradients_flow() -> None:
    net = Net(BOUNDED["skips"]).double().eval()
    graph = nn.to_streaming(net, example=torch.randn(1, 4, 20, dtype=torch.float64))
    assert list(graph.state_dict()) == list(net.state_dict())
    assert all(a is b for a, b in zip(graph.parameters(), net.parameters(), strict=True))
    x = torch.randn(2, 4, 20, dtype=torch.float64)
    s = nn.stream(graph)
    torch.cat([s.push(x[..., :7]), s.push(x[..., 7:]), s.flush()], 2).square().sum().backward()
    ours = net.a.weight.grad
    net.zero_grad()
    net(x).square().sum().backward()
    torch.testing.assert_close(ours, net.a.weight.grad, rtol=1e-10, atol=1e-10)
    twin = copy.deepcopy(graph)
    with torch.no_grad():
        net.a.weight.mul_(2)
    assert streamed(graph, x) < 1e-12
    assert not torch.equal(graph(x), twin(x))


def test_weight_norm_is_taken_by_its_value() -> None:
    net = tn.Sequential(tn.utils.parametrizations.weight_norm(tn.Conv1d(2, 2, 3)), tn.Sigmoid()).double()
    graph = nn.to_streaming(net, example=torch.randn(1, 2, 16, dtype=torch.float64))
    verify_contract(graph, (1, 2, 16), PLAN)
    with torch.no_grad():
        net[0].parametrizations.weight.original0.mul_(3)
    assert streamed(graph, torch.randn(1, 2, 16, dtype=torch.float64)) < 1e-12
    tn.utils.parametrize.remove_parametrizations(net[0], "weight")
    with pytest.raises(ValueError, match=r"no 'parametrizations' any more.*capture it again"):
        nn.stream(graph).push(torch.randn(1, 2, 16, dtype=torch.float64))


def test_items_are_reset_one_by_one() -> None:
    graph = captured(PAST["lstm"])
    x = torch.randn(2, 4, 20, dtype=torch.float64)
    s = nn.stream(graph)
    before = s.push(x[..., :9])
    s.reset([1])
    after = torch.cat([before, s.push(x[..., 9:]), s.flush()], 2)
    with torch.no_grad():
        torch.testing.assert_close(after[:1], graph(x[:1]), rtol=0, atol=1e-12)
        torch.testing.assert_close(after[1:, :, 9:], graph(x[1:, :, 9:]), rtol=0, atol=1e-12)


def test_all_reasons_are_told_at_once_with_their_places() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        y = torch.matmul(m.a(x).transpose(1, 2), m.b(x))
        return x.triu() + y.sum() + torch.fft.fft(x).abs()

    with pytest.raises(CaptureError) as error:
        captured(forward)
    assert len(error.value.reasons) == 3
    for word in ("triu", "sum", "test_capture.py", "attention over the stream axis"):
        assert word in str(error.value), word


def test_reasons_behind_a_refused_part_are_told_with_it() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        for _ in range(2):
            x = x + m.attend(x.mT, x.mT, x.mT, need_weights=False)[0].mT
        return F.glu(torch.fft.fft(x.flip(2), dim=2).real, dim=2)

    with pytest.raises(CaptureError) as error:
        captured(forward)
    told = iter(error.value.reasons)  # in the order of the module
    for word in ("attention over the stream axis", "a Fourier transform", "halves the stream axis"):
        assert any(word in reason for reason in told), str(error.value)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (lambda d: (d >= 0) & (-d > -20000), "numbers of more than"),
        (lambda d: d < 3, "reads? the whole future"),
        (lambda d: (d >= 0) & (torch.arange(d.shape[0]) < d.shape[0] - 2), "not the same at every distance"),
        (lambda d: (d >= 0) & (d < d.shape[0] // 3), "changes with the length"),
    ],
)
def test_attention_without_a_bound_is_refused(mask: Any, reason: str) -> None:
    with pytest.raises(CaptureError, match=reason):
        captured(lambda m, x: attended(m, x, mask))


def test_attention_without_a_mask_is_refused() -> None:
    with pytest.raises(CaptureError, match="unbounded"):
        captured(lambda m, x: m.attend(x.mT, x.mT, x.mT, need_weights=False)[0].mT)


def test_an_output_is_chosen_by_name_and_one_of_several_is_not_guessed() -> None:
    def forward(m: Net, x: Tensor) -> Any:
        return {"low": m.a(x), "high": m.b(x)}

    assert streamed(captured(forward, output="high"), torch.randn(1, 4, 20, dtype=torch.float64)) < 1e-12
    with pytest.raises(CaptureError, match="by output, of low, high"):
        captured(forward)


def test_an_exported_program_streams() -> None:
    net = Net(BOUNDED["skips"]).eval()
    x = torch.randn(2, 4, 20)
    program = torch.export.export(net, (x,), dynamic_shapes=({2: torch.export.Dim.AUTO},))
    graph = nn.to_streaming(program)
    assert float(streamed(graph, x)) < 1e-5


def test_a_length_that_is_written_into_the_module_is_refused() -> None:
    with pytest.raises(CaptureError):
        captured(lambda m, x: m.a(x) + torch.ones(24).to(x))


def test_training_mode_is_refused() -> None:
    net = tn.Sequential(Net(BOUNDED["skips"]), tn.Dropout())
    with pytest.raises(CaptureError, match=r"eval\(\)"):
        nn.to_streaming(net, example=torch.randn(1, 4, 20))


def test_what_is_replaced_while_capturing_is_as_before_also_after_an_error() -> None:
    class Owner:
        own = staticmethod(len)

    before = dict(vars(Owner))
    with replaced(Owner, own=max, other=1):
        assert (Owner.own, Owner.other) == (max, 1)  # type: ignore[attr-defined]
    assert dict(vars(Owner)) == before
    with pytest.raises(ZeroDivisionError), replaced(Owner, own=max, other=1):
        1 / 0  # noqa: B018
    assert dict(vars(Owner)) == before
