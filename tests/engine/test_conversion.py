"""The conversion loop: several steps over one source, times of outputs, the first error, two passes."""

import threading
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from mediaconv.compute.normalize import make_normalizer
from mediaconv.engine.computation import FLOATS, ArraySink, Computation
from mediaconv.engine.conversion import Branch, Passthrough, run_conversion
from mediaconv.errors import ComputeError, ReadError, WriteError
from mediaconv.media.samples import SampleFormat
from mediaconv.nn import CausalConv1d, Conv1d
from mediaconv.pipeline import Chunk, Source, SourceInfo

RANDOM = np.random.default_rng(7)


class Line(Source):
    """A source without a file: (T, C) floats, as a microphone gives them; `times` where it tells them."""

    def __init__(self, data: np.ndarray, times: list[Fraction] | None = None, length: int | None = None):
        self._data, self._times = data, times
        self.info = SourceInfo(data.shape[1], (length,), 1.0, Fraction(10))

    def chunks(self, size):
        for i in range(0, len(self._data), size):
            times = None if self._times is None else self._times[i : i + size]
            yield Chunk(self._data[i : i + size], times)

    def close(self):
        pass


class Kept:
    """A receiver that keeps everything."""

    def __init__(self):
        self.samples, self.times = [], []

    def write(self, samples, times):
        self.samples.append(samples)
        self.times += times or []


def computation(module: nn.Module, normalize: str = "none", **options) -> Computation:
    normalizer = make_normalizer(normalize, signal_range=(-1.0, 1.0))
    return Computation(module, normalizer, channels=2, dims=1, device="cpu", **options)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_several_steps_see_the_same_source_and_give_what_each_gives_alone(size):
    data = RANDOM.standard_normal((50, 2)).astype(np.float32)
    modules = [Conv1d(2, 3, 5, padding="same"), CausalConv1d(2, 1, 4, stride=2)]
    steps = [computation(m).step(Line(data).info, FLOATS) for m in modules]
    kept = [Kept() for _ in range(3)]
    branches = [Branch(Passthrough(), kept[0])]
    branches += [Branch(s, k, Fraction(1 + i)) for i, (s, k) in enumerate(zip(steps, kept[1:], strict=True))]
    assert run_conversion(Line(data), branches, chunk_size=size) == (2, 50)
    assert np.array_equal(np.concatenate(kept[0].samples, 1), data.T)
    for module, branch, receiver in zip(modules, branches[1:], kept[1:], strict=True):
        whole = module(torch.tensor(data.T)[None])[0].detach().numpy()
        joined = np.concatenate(receiver.samples, 1)
        assert branch.output_shape == joined.shape == whole.shape
        # float32: sums of at most 10 products in another order
        assert np.abs(joined - whole).max() <= 1e-6 * np.abs(whole).max()


def test_outputs_carry_the_times_of_the_inputs_that_they_stand_at():
    data = np.zeros((9, 2), np.float32)
    times = [Fraction(i * i, 10) for i in range(9)]
    every, second = Kept(), Kept()
    halved = computation(CausalConv1d(2, 1, 3, stride=2)).step(Line(data).info, FLOATS)
    run_conversion(
        Line(data, times), [Branch(Passthrough(), every), Branch(halved, second, Fraction(2))], chunk_size=4
    )
    assert every.times == times
    assert second.times == times[::2]


def test_progress_tells_steps_their_total_and_seconds():
    told: list[tuple] = []
    run_conversion(
        Line(np.zeros((10, 2), np.float32), length=10),
        [Branch(Passthrough(), Kept())],
        chunk_size=4,
        progress=lambda *news: told.append(news),
    )
    assert told == [(4, 10, 0.4), (8, 10, 0.8), (10, 10, 1.0)]


@pytest.mark.parametrize("kind", [ReadError, ComputeError, WriteError])
def test_the_first_error_is_of_its_stage_and_leaves_no_thread(kind):
    def fail(*args):
        raise ValueError("planted")

    source, step, receiver = Line(np.zeros((1000, 2), np.float32)), Passthrough(), Kept()
    target, name = {
        ReadError: (source, "chunks"),
        ComputeError: (step, "push"),
        WriteError: (receiver, "write"),
    }[kind]
    setattr(target, name, fail)
    before = threading.active_count()
    with pytest.raises(kind, match="planted"):
        run_conversion(source, [Branch(step, receiver)], chunk_size=1)
    assert threading.active_count() == before


def test_a_normalizer_that_needs_the_range_learns_it_anew_for_each_input():
    data = RANDOM.uniform(-3, 5, (40, 2)).astype(np.float32)
    made = computation(nn.Identity(), "minmax", chunk=7)
    for scaled in (data, data / 8):
        made.learn_range(Line(scaled))
        sink = ArraySink()
        made.write(Line(scaled), sink)
        low, high = scaled.min(), scaled.max()
        expected = 2 * (scaled.T - np.float64(low)) / (np.float64(high) - low) - 1
        assert np.allclose(sink.values, expected, atol=1e-6)  # float32 against float64 in [-1, 1]
        assert (sink.values.min(), sink.values.max()) == (-1, 1)


def test_clipped_values_are_counted():
    class Stored(ArraySink):
        format = SampleFormat(16, signed=True)

    data = np.array([[0.5, 2.0], [-3.0, 0.0]], np.float32)
    done = computation(nn.Identity()).write(Line(data), Stored())
    assert (done.input_shape, done.output_shape, done.clipped) == ((2, 2), (2, 2), 2)


class Counting:
    """A step that counts how it is called and gives all that it got."""

    def __init__(self):
        self.calls = []

    def push(self, raw):
        self.calls.append("push")
        return np.moveaxis(raw, -1, 0)

    def flush(self):
        self.calls.append("flush")
        return np.empty((2, 0))

    def whole(self, raw):
        self.calls.append("whole")
        return np.moveaxis(raw, -1, 0)


@pytest.mark.parametrize(
    ("length", "size", "calls"),
    [(6, 6, ["whole"]), (6, 4, ["push", "push", "flush"]), (None, 9, ["push", "flush"])],
)
def test_an_input_that_is_one_chunk_is_computed_in_one_pass(length, size, calls):
    data = RANDOM.standard_normal((6, 2))
    step, kept = Counting(), Kept()
    assert run_conversion(Line(data, length=length), [Branch(step, kept)], chunk_size=size) == (2, 6)
    assert step.calls == calls
    assert np.array_equal(np.concatenate(kept.samples, 1), data.T)


def test_a_source_that_gives_more_chunks_than_it_has_steps_is_pushed():
    class Pieces(Line):
        def chunks(self, size):
            yield from super().chunks(2)

    data = RANDOM.standard_normal((6, 2))
    step, kept = Counting(), Kept()
    run_conversion(Pieces(data, length=6), [Branch(step, kept)], chunk_size=6)
    assert step.calls == ["push", "push", "push", "flush"]
    assert np.array_equal(np.concatenate(kept.samples, 1), data.T)
