"""Events in known places, and pre-echo against closed forms of known kernels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

import mediaconv.nn as mnn
from mediaconv.compare.measure.events import EventFinder
from mediaconv.compare.measure.preecho import Margins, Piece, piece_around, pre_echo, reaction, without_event
from mediaconv.compare.measure.reactions import cut
from mediaconv.compute.normalize import make_normalizer
from mediaconv.compute.step import TorchStep
from mediaconv.media.samples import SampleFormat
from mediaconv.pipeline import Chunk

RNG = np.random.default_rng(2)


def find(x, *, rate=None, fine=False, block=1000):
    finder = EventFinder(rate=rate, fine=fine)
    for start in range(0, len(x), block):
        finder.add(x[start : start + block])
    return finder.result()


@pytest.mark.parametrize("at", [5, 20, 99])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_a_flash_in_noisy_film_is_found_at_its_frame(at, block):
    film = 0.1 + 0.01 * RNG.standard_normal((120, 6, 8, 3))
    film[at:] += 0.5
    events = find(film, rate=Fraction(24), block=block)
    assert [e.step for e in events] == [at]


@pytest.mark.parametrize("at", [700, 22050, 30000, 43999])
@pytest.mark.parametrize("block", [977, 100000])
def test_a_click_after_silence_is_found_at_its_sample(at, block):
    sound = np.zeros((44100, 2))
    sound[at:] = RNG.uniform(-0.5, 0.5, (44100 - at, 2)) * np.exp(-np.arange(44100 - at) / 500)[:, None]
    events = find(sound, rate=44100, fine=True, block=block)
    assert events[0].step == at


def test_still_and_steady_inputs_have_no_event():
    assert find(np.full((50, 4, 4, 1), 0.3), rate=25) == []
    assert find(RNG.standard_normal((20000, 1)), rate=8000, fine=True) == []
    assert find(np.zeros((0, 3))) == []


def test_of_many_events_the_strongest_are_kept_in_order():
    film = np.zeros((400, 2, 2, 1))
    for i in range(20):
        film[10 + 19 * i :] += 0.1 + 0.01 * i
    events = EventFinder(rate=24, fine=False)
    events.add(film)
    found = events.result(most=3)
    assert [e.step for e in found] == [10 + 19 * i for i in (17, 18, 19)]


def step_of(module):
    return lambda: TorchStep(
        module, make_normalizer("none", signal_range=(-1e9, 1e9)), SampleFormat(32, floating=True)
    )


def conv(kernel, *, causal, **options):
    kernel = torch.tensor(kernel, dtype=torch.float32)
    kind = mnn.CausalConv1d if causal else mnn.Conv1d
    layer = kind(1, 1, len(kernel), bias=False, padding="same", **options)
    layer.load_state_dict({"weight": kernel[None, None]})
    return layer


def echo(module, x, at, **options):
    margins = Margins.of(module)
    piece = piece_around(at, [margins])
    data = x[piece.start : piece.stop]
    return reaction(
        step_of(module), data, piece, stride=margins.stride, width=margins.receptive_field, **options
    )


@pytest.mark.parametrize("chunk", [0, 1, 4])
@pytest.mark.parametrize("kernel", [[1, 2, 4], [1, 2, 4, 8, 16], [0.5, 0.25, 0.5, 1]])
def test_an_impulse_before_a_kernel_reacts_by_its_future_taps(kernel, chunk):
    x = np.zeros((60, 1), np.float32)
    x[30] = 1
    found = echo(conv(kernel, causal=False), x, 30, chunk=chunk)
    ahead = len(kernel) - 1 - (len(kernel) - 1) // 2
    taps = np.array(kernel, float) ** 2
    future, rest = taps[len(kernel) - ahead :].sum(), taps[: len(kernel) - ahead].sum()
    assert found.before[0] == pytest.approx(future, rel=1e-6)  # float32 sums
    assert found.after[0] == pytest.approx(rest, rel=1e-6)
    assert found.offsets[np.flatnonzero(found.energy[0])[0]] == -ahead


def test_a_step_before_a_box():
    x = np.zeros((60, 1), np.float32)
    x[30:] = 1
    found = echo(conv([1 / 3] * 3, causal=False), x, 30)
    assert pre_echo(found.before[0], found.after[0]) == pytest.approx((1 / 9) / (4 / 9 + 1 + 1), rel=1e-6)


@pytest.mark.parametrize("mode", ["pad", "mask"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_causal_stack_has_exactly_none_whatever_goes_on(mode, stride):
    torch.manual_seed(0)
    stack = mnn.Sequential(
        mnn.CausalConv1d(2, 4, 5, dilation=3, mode=mode),
        torch.nn.ReLU(),
        mnn.CausalConv1d(4, 3, 4, stride=stride, mode=mode),
    )
    x = RNG.standard_normal((400, 2)).astype(np.float32)
    found = echo(stack, x, 201)
    assert found.before.tolist() == [0.0, 0.0, 0.0]
    assert (found.after > 0).all()
    standard = mnn.Sequential(
        mnn.Conv1d(2, 4, 5, dilation=3, padding="same"), mnn.Conv1d(4, 3, 4, stride, padding="same")
    )
    assert (echo(standard, x, 201).before > 0).all()


def test_what_was_there_goes_on_without_the_event():
    x = np.arange(5)[:, None]
    assert without_event(x, 3)[:, 0].tolist() == [0, 1, 2, 2, 2]
    assert without_event(x + 1, 0)[:, 0].tolist() == [0] * 5


def test_pieces_are_cut_from_chunks_of_any_size():
    x = RNG.standard_normal((100, 2))
    pieces = [Piece(3, 5, 9), Piece(8, 20, 40), Piece(90, 95, 130)]
    for size in (1, 7, 200):
        chunks = (Chunk(x[i : i + size]) for i in range(0, 100, size))
        found = list(cut(chunks, pieces))
        assert [p for p, _ in found] == pieces
        for piece, data in found:
            assert np.array_equal(data, x[piece.start : piece.stop])
