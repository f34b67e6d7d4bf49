"""The lesson behind causality, as a program: who predicts day five must not have seen day six.

A series of daily temperatures is made, and two tiny stacks learn to tell tomorrow's temperature from the days
they see. They differ in one thing: the standard convolution's window reaches past today, the causal one's
ends with it. Knows no files; `forecast_plot` draws what is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mediaconv.nn import CausalConv1d, Conv1d, Sequential

DAYS_A_YEAR = 365
TRAINING_YEARS = 12
TEST_YEARS = 4
KERNEL_SIZE = 5
CHANNELS = 16
STEPS = 400
SPREAD = 8.0
"""Degrees that a series is divided by before it is learnt."""


def temperatures(years: int, *, seed: int) -> np.ndarray:
    """Daily mean temperatures in degrees Celsius: seasons, weather that lasts some days, and noise.

    The weather is an autoregressive process: each day keeps three quarters of what yesterday was off the
    season's normal, and adds a surprise of 2 degrees. No forecast can know the surprise.

    Shape: (years * 365,), float32.

    >>> temperatures(1, seed=0).shape
    (365,)
    """
    days = years * DAYS_A_YEAR
    random = np.random.default_rng(seed)
    season = 10 - 9 * np.cos(2 * np.pi * (np.arange(days) - 15) / DAYS_A_YEAR)
    weather = np.zeros(days)
    surprises = random.normal(0, 2.0, days)
    for day in range(1, days):
        weather[day] = 0.75 * weather[day - 1] + surprises[day]
    return (season + weather + random.normal(0, 0.3, days)).astype(np.float32)


def make_stack(*, causal: bool, seed: int) -> Sequential:
    """Three layers, 1,700 numbers to learn; the same first weights in both kinds."""
    torch.manual_seed(seed)
    conv = CausalConv1d if causal else Conv1d
    return Sequential(
        conv(1, CHANNELS, KERNEL_SIZE, padding="same"),
        nn.ReLU(),
        conv(CHANNELS, CHANNELS, KERNEL_SIZE, padding="same"),
        nn.ReLU(),
        conv(CHANNELS, 1, 1, padding="same"),
    )


def train(stack: nn.Module, series: np.ndarray, *, steps: int = STEPS) -> float:
    """Learn tomorrow from the days up to today, and from as many later ones as the stack's window holds.

    Returns the root mean square error over the training days, in degrees.
    """
    x = _scaled(series)
    today, tomorrow = x, x[:, :, 1:]
    optimizer = torch.optim.Adam(stack.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(stack(today)[:, :, :-1], tomorrow)
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return degrees(stack(today)[:, :, :-1] - tomorrow)


def predict_with_future(stack: nn.Module, series: np.ndarray) -> np.ndarray:
    """Tomorrow for every day, with the whole series in front of the stack, as in training. Degrees."""
    with torch.no_grad():
        return _unscaled(stack(_scaled(series)))


def predict_without_future(stack: Sequential, series: np.ndarray) -> np.ndarray:
    """Tomorrow for every day, the series cut off after today: what a forecast really has. Degrees.

    Day by day the stack runs over the days up to it, and its last output is the forecast.
    """
    back = int(stack.receptive_field)
    x = nn.functional.pad(_scaled(series), (back, 0))
    windows = x[0, 0].unfold(0, back + 1, 1)[:, None, :]
    with torch.no_grad():
        return _unscaled(stack(windows)[:, :, -1].T[None])


def _scaled(series: np.ndarray) -> Tensor:
    return ((torch.from_numpy(series) - 10) / SPREAD)[None, None]


def _unscaled(y: Tensor) -> np.ndarray:
    return (y[0, 0] * SPREAD + 10).numpy()


def degrees(difference: Tensor) -> float:
    """Root mean square of a difference of scaled series, in degrees."""
    return float(difference.square().mean().sqrt()) * SPREAD


@dataclass(frozen=True)
class Errors:
    """Root mean square errors of one stack, in degrees.

    training: as training reports it. seen: on new years, the series whole. unknown: on new years, the series
    cut off after today.
    """

    lookahead: int
    training: float
    seen: float
    unknown: float


@dataclass(frozen=True)
class Lesson:
    """The two stacks' errors, what doing nothing gives, and the series behind them.

    persistence: error of saying that tomorrow will be as today. surprise: the least that any honest forecast
        can have, the day's own surprise and noise.
    truth: tomorrow's temperatures of the test years. predictions: by stack and whether it saw the future.
    """

    standard: Errors
    causal: Errors
    persistence: float
    surprise: float
    truth: np.ndarray
    predictions: dict[str, np.ndarray]


def run_lesson(*, seed: int = 0, steps: int = STEPS) -> Lesson:
    """Make the series, train both stacks, and measure each with and without the future. About 10 seconds."""
    training = temperatures(TRAINING_YEARS, seed=seed)
    test = temperatures(TEST_YEARS, seed=seed + 1)
    truth = test[1:]
    errors, predictions = {}, {}
    for name, causal in (("standard", False), ("causal", True)):
        stack = make_stack(causal=causal, seed=seed)
        learnt = train(stack, training, steps=steps)
        seen = predict_with_future(stack, test)[:-1]
        unknown = predict_without_future(stack, test)[:-1]
        predictions[f"{name}, future seen"] = seen
        predictions[f"{name}, future unknown"] = unknown
        errors[name] = Errors(int(stack.latency), learnt, _rms(seen - truth), _rms(unknown - truth))
    return Lesson(
        standard=errors["standard"],
        causal=errors["causal"],
        persistence=_rms(test[:-1] - truth),
        surprise=float(np.hypot(2.0, 0.3)),
        truth=truth,
        predictions=predictions,
    )


def _rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))
