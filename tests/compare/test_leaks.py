"""Planted leaks and causal modules, as two lists to which every new kind is added."""

from __future__ import annotations

import itertools
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mediaconv.nn as mnn
from mediaconv.compare.prove.module_proof.search import prove


def ahead_of(x, steps):
    return F.pad(x, (0, steps))[..., steps:]


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def at(x):
    return torch.arange(x.shape[2])


def only(where, steps=1):
    return lambda x: torch.where(where(at(x)), x + ahead_of(x, steps), x)


LEAKS = {
    "every 97th output": only(lambda t: t % 97 == 50),
    "output 1500 alone": only(lambda t: t == 1500),
    "output 3000 alone, three ahead": only(lambda t: t == 3000, 3),
    "10,000 samples ahead": lambda x: x + 1e-6 * ahead_of(x, 10_000),
    "far and long inputs alone": lambda x: x + ahead_of(x, 20_000) if x.shape[2] > 30_000 else x,
    "later values above 1e5": lambda x: x + (ahead_of(x, 2) > 1e5).double(),
    "later values below -1e5": lambda x: x + (ahead_of(x, 2) < -1e5).double(),
    "present values above 1e5": lambda x: torch.where(x > 1e5, ahead_of(x, 2), x),
    "later values that are NaN": lambda x: x + ahead_of(x, 1).isnan().double(),
    "later values that are infinite": lambda x: x + ahead_of(x, 1).isinf().double(),
    "present values that are NaN": lambda x: torch.where(x.isnan(), ahead_of(x, 1), x),
    "zero times the future": lambda x: x + 0 * ahead_of(x, 1),
    "later values that are zero": lambda x: x + (ahead_of(x, 1) == 0).double() * (at(x) < 20),
    "later values that are tiny": lambda x: x + (ahead_of(x, 1).abs() < 1e-20).double() * (at(x) < 20),
    "a small share": lambda x: x + 1e-12 * ahead_of(x, 1),
}


LEAKS |= {
    "every 97th output from 1,003 on": only(lambda t: (t % 97 == 1003 % 97) & (t > 1000)),
    "output 2,777 alone": only(lambda t: t == 2777),
    "the last but one output alone": lambda x: torch.where(at(x) == x.shape[2] - 2, ahead_of(x, 1), x),
    "the first output alone, 57 ahead": only(lambda t: t == 0, 57),
    "lengths over 5,000 alone": lambda x: x + ahead_of(x, 3) if x.shape[2] > 5000 else x,
    "the mean over all": lambda x: x - x.mean(2, keepdim=True),
    "the largest of all": lambda x: x / x.abs().amax(2, keepdim=True).clamp(min=1e-30),
    "backwards sum": lambda x: x.flip(2).cumsum(2).flip(2),
    "order of values": lambda x: x.sort(2).values,
    "later values squared below a floor": lambda x: x + torch.relu(ahead_of(x, 4) ** 2 - 1e8),
    "later sign alone": lambda x: x + 1e-3 * ahead_of(x, 2).sign(),
    "rounded future": lambda x: x + (ahead_of(x, 1) * 4).round() / 4,
    "one channel of outputs alone": lambda x: torch.cat([x, ahead_of(x, 1)], 1),
    "minus infinity alone": lambda x: x + (ahead_of(x, 1) == -torch.inf).double(),
    "future divided by itself": lambda x: x * (ahead_of(x, 1) / ahead_of(x, 1)),
    "softmax over time": lambda x: x.softmax(2),
    "reversed recurrence": lambda x: torch.cummax(x.flip(2), 2).values.flip(2),
}
LEAKS |= {
    "output 16,000 alone": only(lambda t: t == 16_000),
    "output 3001 alone, for NaN": lambda x: torch.where((at(x) == 3001) & ahead_of(x, 1).isnan(), 1.0, x),
    "odd lengths": lambda x: x * (1 + x.shape[2] % 2),
    "a late half of long inputs": lambda x: x - x.mean() if x.shape[2] > 20_000 else x,
    "present values that are zero": lambda x: torch.where(x == 0, ahead_of(x, 1), x),
    "present values that are one": lambda x: torch.where(x == 1, ahead_of(x, 1), x),
    "later values that are a byte's largest": lambda x: x + (ahead_of(x, 1) == 255).double(),
    "later values between 100 and 200": lambda x: x + ((ahead_of(x, 1) - 150).abs() < 50).double(),
    "equal neighbours": lambda x: x + ((ahead_of(x, 1) == x) & (x != 0)).double(),
    "both loud": lambda x: x + ((x > 1e5) & (ahead_of(x, 1) > 1e5)).double(),
    "a mask of zeros alone": lambda x: x + torch.zeros(x.shape[2]) * ahead_of(x, 1),
    "a filter by FFT and a billionth of the future": lambda x: by_fft(x) + 1e-9 * ahead_of(x, 1),
    "one zero-phase filter": lambda x: torch.fft.irfft(
        torch.fft.rfft(x) * torch.linspace(1, 0, x.shape[2] // 2 + 1), x.shape[2]
    ),
}
LEAKS |= {
    "later values that are zero in float32": lambda x: (
        x + ((ahead_of(x, 1).float() == 0) & (ahead_of(x, 1) != 0))
    ),
    "a filter by FFT, beside NaN": lambda x: by_fft(x.nan_to_num()) + ahead_of(x, 1).isnan(),
    "a filter by FFT, and NaN": lambda x: by_fft(x) + ahead_of(x, 1).isnan(),
    "a filter by FFT, with one later tap, compared": lambda x: F.pad(by_fft(x), (0, 1))[..., 1:].sign(),
    "filters by FFT that cancel, and a millionth": lambda x: cancelled(x) + 1e-6 * ahead_of(x, 1),
}


@pytest.mark.parametrize("name", LEAKS)
def test_planted_leaks_are_found(name):
    found = prove(Of(LEAKS[name]), channels=1, dims=1, seconds=8)
    assert not found.causal
    assert [leak.layer for leak in found.leaks]
    assert not found.structure


TAPS = torch.linspace(1, 0.1, 9).double()


def by_fft(x, taps=TAPS):
    n = x.shape[-1] + len(taps) - 1
    return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(taps.to(x), n), n)[..., : x.shape[-1]]


def cancelled(x):
    """A filter by FFT less the same in place: rounding, and nothing else."""
    return by_fft(x) - F.conv1d(F.pad(x, (8, 0)), TAPS.to(x).flip(0).view(1, 1, -1))


class Attention(nn.Module):
    """Scaled dot-product attention in which nothing later is attended to, masked in one of three ways."""

    def __init__(self, mask):
        super().__init__()
        self.query, self.key, self.value = (nn.Conv1d(1, 4, 1) for _ in range(3))
        self.mask = mask

    def forward(self, x):
        q, k, v = (part(x).transpose(1, 2) for part in (self.query, self.key, self.value))
        n = x.shape[2]
        if self.mask == "own":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        later = torch.full((n, n), -torch.inf, dtype=x.dtype).triu(1)
        if self.mask == "added":
            return F.scaled_dot_product_attention(q, k, v, attn_mask=later).transpose(1, 2)
        weights = (q @ k.transpose(1, 2)).masked_fill(later < 0, -torch.inf).softmax(-1)
        return (weights @ v).transpose(1, 2)


def by_fft_in_blocks(x):
    """Overlap-add: each block of 64 by a transform of its own."""
    taps = torch.linspace(1, 0.1, 9, dtype=x.dtype)
    y = F.pad(torch.zeros_like(x), (0, 128))
    for start in range(0, x.shape[2], 64):
        block = torch.fft.rfft(x[..., start : start + 64], 72) * torch.fft.rfft(taps, 72)
        y[..., start : start + 72] += torch.fft.irfft(block, 72)
    return y[..., : x.shape[2]]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(1, 2, batch_first=True)

    def forward(self, x):
        return self.gru(x.transpose(1, 2))[0].transpose(1, 2)


class Block(nn.Module):
    """A user's own forward: padded on the left, with a skip."""

    def __init__(self, kernel_size=5, dilation=2):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, dilation=dilation)
        self.left = (kernel_size - 1) * dilation

    def forward(self, x):
        return x + torch.tanh(self.conv(F.pad(x, (self.left, 0))))


class MultiheadAttention(nn.Module):
    """torch's own layer, which has a fast operation for itself."""

    def __init__(self):
        super().__init__()
        self.before, self.attention = nn.Conv1d(1, 8, 1), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        y = self.before(x).transpose(1, 2)
        later = torch.ones(y.shape[1], y.shape[1], dtype=torch.bool).triu(1)
        return self.attention(y, y, y, attn_mask=later, need_weights=False)[0].transpose(1, 2)


BY_STRUCTURE = ("layers", "masked", "a block of one's own", "a shift", "a sum of the past")
CAUSAL = {
    "a block of one's own": Block,
    "a shift": lambda: Of(lambda x: F.pad(x, (3, 0))[..., :-3]),
    "every 97th output reads back": lambda: Of(
        lambda x: torch.where(at(x) % 97 == 50, x + F.pad(x, (7, 0))[..., :-7], x)
    ),
    "loud values clipped": lambda: Of(lambda x: x.clamp(-1, 1)),
    "what is not finite made zero": lambda: Of(lambda x: torch.where(x.isfinite(), x, 0.0)),
    "positions of its own": lambda: Of(lambda x: x * at(x).sin()),
    "mean of the past": lambda: Of(lambda x: x.cumsum(2) / (at(x) + 1)),
    "a sum of the past": lambda: Of(lambda x: x.cumsum(2)),
    "a maximum of the past": lambda: Of(lambda x: x.cummax(2).values),
    "a filter": lambda: Of(lambda x: F.conv1d(F.pad(x, (4, 0)), torch.ones(1, 1, 5, dtype=x.dtype))),
    "NaN made zero": lambda: Of(torch.nan_to_num),
    "a recurrence": Recurrent,
    "a filter by FFT": lambda: Of(by_fft),
    "a filter by FFT, squared": lambda: Of(lambda x: by_fft(x) ** 2),
    "a filter by FFT, of loud values": lambda: Of(lambda x: 1e6 * by_fft(x)),
    "a filter by FFT, saturated": lambda: Of(lambda x: F.softsign(1e3 * by_fft(x))),
    "a filter by FFT, of clipped values": lambda: Of(lambda x: by_fft(x.clamp(-3, 3)).clamp(-9, 9).exp()),
    "a filter by FFT, in float32": lambda: Of(lambda x: by_fft(x.float()).double()),
    "a filter by FFT, in blocks": lambda: Of(by_fft_in_blocks),
    "attention": lambda: Attention("own"),
    "attention, with a mask that is added": lambda: Attention("added"),
    "attention, with weights masked": lambda: Attention("filled"),
    "attention of torch": MultiheadAttention,
    "a product with a triangle": lambda: Of(
        lambda x: x @ torch.ones(x.shape[2], x.shape[2], dtype=x.dtype).triu()
    ),
    "a filter in bfloat16": lambda: Of(
        lambda x: F.conv1d(F.pad(x.bfloat16(), (4, 0)), torch.ones(1, 1, 5).bfloat16()).to(x.dtype)
    ),
    "every fourth sample": lambda: Of(lambda x: x[..., ::4]),
    "the middle of the past": lambda: Of(lambda x: F.pad(x, (6, 0)).unfold(2, 7, 1).median(-1).values),
    "a loop over the past": lambda: Of(
        lambda x: torch.stack([*itertools.accumulate(x.unbind(2), lambda a, b: 0.9 * a + 0.1 * b)], 2)
    ),
    "layers": lambda: nn.Sequential(nn.ConstantPad1d((6, 0), 0.0), nn.Conv1d(1, 2, 4, dilation=2), nn.ELU()),
    "masked": lambda: mnn.CausalConv1d(1, 2, 5, mode="mask"),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_modules_pass_and_say_what_was_covered(name):
    torch.manual_seed(0)
    found = prove(CAUSAL[name](), channels=1, dims=1, seconds=0.5)
    assert found.causal
    assert found.structure or name not in BY_STRUCTURE
    assert 1 <= found.covered.positions < found.covered.steps <= found.covered.length
    assert found.rounded == name.startswith("a filter by FFT")


DISCONTINUOUS = {
    "cancelled": cancelled,
    "cancelled and loud": lambda x: 1e12 * cancelled(x),
    "cancelled, its sign": lambda x: cancelled(x).sign(),
    "nearly cancelled": lambda x: by_fft(x) - (1 + 1e-9) * by_fft(x),
    "silence before a long delay": lambda x: by_fft(x, F.pad(torch.ones(1), (200, 0))),
    "its sign": lambda x: by_fft(x).sign(),
    "its sign after two more": lambda x: by_fft(by_fft(by_fft(x))).sign(),
    "its sign, in float32": lambda x: by_fft(x.float()).sign().double(),
    "saturated, in float32": lambda x: by_fft(x.float()).tanh().double(),
    "two compared": lambda x: (by_fft(x) > by_fft(0.5 * x)).double(),
    "an angle": lambda x: torch.atan2(by_fft(x), by_fft(x.square())),
    "made finite after": lambda x: by_fft(x).nan_to_num(),
    "made finite before": lambda x: by_fft(x.nan_to_num()),
}


@pytest.mark.parametrize("name", DISCONTINUOUS)
def test_rounding_of_transforms_that_cancels_or_is_compared_is_not_reading(name):
    found = prove(Of(DISCONTINUOUS[name]), channels=1, dims=1, seconds=0.5)
    assert found.causal
    assert not found.structure


def test_rounding_counts_where_it_is_asked_for():
    found = prove(Of(by_fft), channels=1, dims=1, exact=True)
    assert not found.causal
    found = prove(Of(lambda x: by_fft(x) + 1e-9 * ahead_of(x, 1)), channels=1, dims=1)
    assert (found.causal, found.rounded) == (False, True)


def test_what_a_mask_hides_is_said():
    torch.manual_seed(0)
    found = prove(Attention("own"), channels=1, dims=1)
    assert found.covered.hidden
    assert "weight or mask of zero" in " ".join(found.notes)


def test_every_place_of_a_long_input_is_looked_at_where_memory_is_short():
    by_numpy = Of(lambda x: x * torch.from_numpy(at(x).sin().numpy()))  # no graph proves it, so it is tried
    found = prove(by_numpy, channels=1, dims=1, seconds=3).covered
    assert found.near >= 32
    assert found.near_steps >= 2**14


@pytest.mark.parametrize(("time_axis", "at_row"), [(1, 100), (1, 11), (0, 40)])
def test_leaks_at_one_row_or_column_alone_are_found(time_axis, at_row):
    def leaking(x):
        time = time_axis + 2
        places = torch.arange(x.shape[5 - time]).view((-1, 1) if time == 3 else (-1,))
        ahead = torch.cat([x.narrow(time, 1, x.shape[time] - 1), x.narrow(time, -1, 1)], time)
        return torch.where(places == at_row, ahead, x)

    found = prove(Of(leaking), channels=1, dims=2, order_axes=(time_axis,), seconds=2)
    assert not found.causal
    found = prove(Of(lambda x: x * 2), channels=1, dims=2, order_axes=(time_axis,), seconds=2)
    assert found.causal
    assert found.covered.side == 520


@pytest.mark.parametrize(("dims", "axis", "block"), [(2, 2, 7), (3, 4, 7), (2, 3, 11)])
def test_blocks_of_any_size_along_any_axis_are_taken(dims, axis, block):
    def blocks(x):
        return x.unflatten(axis, (-1, block)).cumsum(axis + 1).flatten(axis, axis + 1)

    assert prove(Of(blocks), channels=1, dims=dims, seconds=0.2).causal
    backwards = Of(lambda x: blocks(x.flip(axis)).flip(axis))
    assert not prove(backwards, channels=1, dims=dims, order_axes=(axis - 2,)).causal


def test_how_far_ahead_is_told_of_what_is_far():
    found = prove(Of(LEAKS["10,000 samples ahead"]), channels=1, dims=1, seconds=8)
    assert found.lookahead == 10_000


def test_masked_taps_are_zero_for_all_that_is_finite():
    torch.manual_seed(0)
    layer = mnn.CausalConv2d(1, 2, 3, mode="raster")
    found = prove(layer, channels=1, dims=2, order_axes=(0, 1), seconds=10)
    assert (found.causal, found.structure) == (True, True)
    assert found.by["perturbation"] == 0  # NaN and infinity pass a tap of zero, which a note says


@pytest.mark.parametrize(
    "module",
    [
        mnn.CausalConv1d(1, 1, 4001),
        mnn.CausalConv1d(1, 1, 3, dilation=10**7),
        mnn.CausalConv1d(1, 1, 100_001),
        Recurrent(),
    ],
    ids=["4,001 taps", "a dilation of 10**7", "100,001 taps", "GRU"],
)
def test_slow_modules_are_judged_in_seconds(module):
    began = time.process_time()
    assert prove(module, channels=1, dims=1).causal
    assert time.process_time() - began < 20  # some seconds on a quiet machine; it was a minute and more


def test_a_forward_of_ones_own_that_takes_long_is_proven_by_its_graph():
    began = time.process_time()
    found = prove(Block(3, 10**7), channels=1, dims=1)
    assert time.process_time() - began < 20  # five on a quiet machine, half of it the capture
    assert (found.causal, found.structure, found.covered.positions) == (True, True, 0)


def test_what_is_too_large_to_run_is_judged_by_its_formula():
    for layer, ahead in (
        (mnn.CausalConv1d(1, 1, 3, dilation=10**7), 0),
        (mnn.Conv1d(1, 1, 3, dilation=10**7, padding="same"), 10**7),
        (mnn.Conv1d(1, 1, 100_001, padding="same"), 50_000),
    ):
        found = prove(layer, channels=1, dims=1)
        assert (found.causal, found.lookahead, found.formula, found.tried) == (
            ahead == 0,
            ahead,
            ahead,
            False,
        )
        assert [leak.lookahead for leak in found.leaks] == [ahead] * (ahead > 0)
        assert "too large to be run" in found.notes[0]


def test_coverage_says_what_was_tried_when_time_ran_out():
    def slowly(x):
        time.sleep(0.005)
        return x.cumsum(2)

    found = prove(Of(slowly), channels=1, dims=1, seconds=0.05).covered
    assert 0 < found.positions <= found.cuts
    assert found.kinds < found.all_kinds
    found = prove(Of(lambda x: x), channels=1, dims=1, seconds=2).covered
    assert (found.positions, found.kinds) == (found.cuts, found.all_kinds)
