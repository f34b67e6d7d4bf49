"""The lesson holds: a standard stack's training error is false, a causal one's is true."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from mediaconv.demo.forecast import (
    make_stack,
    predict_with_future,
    predict_without_future,
    run_lesson,
    temperatures,
)


@pytest.fixture(scope="module", params=[0, 7])
def lesson(request):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield run_lesson(seed=request.param)
    torch.set_num_threads(before)


def test_the_standard_stack_looks_good_only_while_it_sees_the_answer(lesson):
    standard, causal = lesson.standard, lesson.causal
    assert standard.lookahead > 0 == causal.lookahead
    assert standard.training < 0.3
    assert standard.seen < 0.3
    assert standard.unknown > 1.5 * lesson.persistence
    assert lesson.surprise * 0.95 < causal.training < lesson.persistence
    assert causal.unknown == pytest.approx(causal.training, rel=0.1)
    assert causal.unknown == pytest.approx(causal.seen, rel=0.01)


def test_the_series_is_seasonal_and_the_same_each_time():
    series = temperatures(3, seed=4)
    assert np.array_equal(series, temperatures(3, seed=4))
    assert not np.array_equal(series, temperatures(3, seed=5))
    months = series[: 365 * 3].reshape(3, 365)
    assert months[:, 180:210].mean() > months[:, :30].mean() + 10


def test_without_the_future_is_the_last_output_of_the_days_so_far():
    series = temperatures(1, seed=1)[:60]
    for causal in (False, True):
        stack = make_stack(causal=causal, seed=0)
        told = predict_without_future(stack, series)
        for day in (30, 45, 59):
            so_far = predict_with_future(stack, series[: day + 1])[-1]
            # the same sums over windows of another length
            assert told[day] == pytest.approx(so_far, abs=1e-5)


def test_both_stacks_begin_with_the_same_numbers():
    a, b = (make_stack(causal=causal, seed=3).state_dict() for causal in (True, False))
    assert all(torch.equal(a[key], b[key]) for key in b)


@pytest.mark.long
def test_the_command_tells_it_and_draws_it(tmp_path, mediaconv):
    done = mediaconv("demo", "forecast", "--output", tmp_path / "f")
    assert "must not have seen day six" in done.stdout
    picture = cv2.imread(str(tmp_path / "f/forecast.png"))
    assert picture.shape[0] > 600
    assert picture.shape[1] > 900
    told = json.loads(mediaconv("demo", "forecast", "--output", tmp_path / "g", "--json").stdout)
    assert told["standard"]["training"] < told["causal"]["training"] < told["standard"]["unknown"]
    assert (tmp_path / "f/forecast.png").read_bytes() == (tmp_path / "g/forecast.png").read_bytes()
