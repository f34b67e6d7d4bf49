"""The figure of a run: an image's channels, a sound's waveforms and spectrograms, a film's frames. PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mediaconv.run.plots.gather import Gathered
from mediaconv.run.report.formatting import escaped

DPI = 100
WIDTH = 14.0
"""Inches: 1400 pixels, as wide as a page."""
MOST_CHANNELS = 16
COLUMNS = 6
"""Frames of a film that are drawn at most: every one, or every other one, of those gathered."""
_FLOOR_DB = -90.0
Row = tuple[str, Any]


def draw(
    target: Path | IO[bytes],
    input: Gathered,
    outputs: Gathered,
    *,
    title: str,
    names: Sequence[str],
    axes: int,
    rate: float | None,
    ratio: float,
    merged: bool,
) -> None:
    """Write the figure, a PNG.

    names: of the output channels. rate: of the input's steps a second. ratio: output steps an input step.
    merged: the three outputs are colours of one picture.
    """
    from matplotlib.figure import Figure

    shown = list(names[:MOST_CHANNELS])
    if axes == 1:
        figure = Figure(
            figsize=(WIDTH, 1.0 + 1.9 * (_inputs(input) + len(shown))), dpi=DPI, layout="constrained"
        )
        sounds(figure, input, outputs, shown, rate or 1.0, ratio)
    elif axes == 2:
        count = 1 + (1 if merged else len(shown))
        columns = 2 if count == 4 else min(count, 3 if count <= 6 else 4)
        height, width = outputs.values.shape[1:]
        tall = WIDTH / columns * min(2.0, max(0.2, height / max(1, width))) + 0.5
        figure = Figure(figsize=(WIDTH, 0.7 + tall * -(-count // columns)), dpi=DPI, layout="constrained")
        _images(figure, input, outputs, shown, columns, merged)
    else:
        figure = films(input, outputs, shown, rate, merged)
    more = f", the first {MOST_CHANNELS} of {len(names)} channels" if len(names) > MOST_CHANNELS else ""
    figure.suptitle(escaped(f"{title}{more}"), fontsize=13, parse_math=False)
    figure.savefig(target, format="png", facecolor="white", metadata={"Software": None})


def _inputs(input: Gathered) -> int:
    return min(2, len(input.low))


def _range(name: str, gathered: Gathered, channel: int) -> str:
    return _ranged(name, gathered.low[channel], gathered.high[channel])


def _whole_range(name: str, gathered: Gathered) -> str:
    return _ranged(name, gathered.low.min(), gathered.high.max())


def _ranged(name: str, low: float, high: float) -> str:
    """A name and a range, with minus signs as axes have them."""
    return f"{name}   " + f"{low:.3g} to {high:.3g}".replace("-", "−")


def sounds(
    figure: Any, input: Gathered, outputs: Gathered, names: Sequence[str], rate: float, ratio: float
) -> None:
    """A row a channel: waveform on the scale of all outputs (the input on its own), spectrogram beside it."""
    rows = [(f"input {c}" if _inputs(input) > 1 else "input", input, c, rate) for c in range(_inputs(input))]
    rows += [(name, outputs, c, rate * ratio) for c, name in enumerate(names)]
    axes = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(1.2, 1))
    for (wave, picture), (name, gathered, channel, hz) in zip(axes, rows, strict=True):
        values = gathered.values[channel]
        high = max(1e-6, float(np.abs(gathered.values).max(initial=0.0)))
        time = np.arange(len(values)) / hz
        wave.plot(*_envelope(time, values), color="#2f6f9f", linewidth=0.7)
        wave.set_ylim(-1.05 * high, 1.05 * high)
        wave.margins(x=0)
        rms = 20 * np.log10(max(1e-9, float(np.sqrt(np.mean(values**2)))))
        wave.set_title(
            f"{_range(name, gathered, channel)}   {rms:.0f} dB RMS".replace(" -", " −"),
            loc="left",
            fontsize=10,
            parse_math=False,
        )
        _spectrogram(picture, values, hz)
        wave.tick_params(labelsize=9)
        picture.tick_params(labelsize=9)
    scale = f"spectrograms, −{-_FLOOR_DB:.0f} dB (black) to 0 dB"
    axes[0, 1].set_title(scale, loc="left", fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("seconds", fontsize=9)
    if input.steps > input.values.shape[1]:
        axes[0, 0].set_xlabel(f"the first {input.values.shape[1] / rate:.0f} s", fontsize=9)


def _envelope(time: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve of at most 4000 points that touches every peak."""
    if len(values) <= 4000:
        return time, values
    starts = np.arange(2000) * len(values) // 2000
    ends = np.stack([np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)], 1)
    return np.repeat(time[starts], 2), ends.reshape(-1)


def _spectrogram(ax: Any, values: np.ndarray, rate: float) -> None:
    window = 1024
    if len(values) < window:
        values = np.pad(values, (0, window - len(values)))
    hop = max(window // 4, (len(values) - window) // 1200 + 1)
    frames = np.lib.stride_tricks.sliding_window_view(values, window)[::hop] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=1)) / (window / 4)
    decibels = 20 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 20))).T
    extent = (0, len(values) / rate, 0, rate / 2000)
    ax.imshow(decibels, aspect="auto", origin="lower", cmap="magma", vmin=_FLOOR_DB, vmax=0, extent=extent)
    ax.set_ylabel("kHz", fontsize=9)


def _images(
    figure: Any, input: Gathered, outputs: Gathered, names: Sequence[str], columns: int, merged: bool
) -> None:
    pictures = [(_whole_range("input", input), _coloured(input.values))]
    pictures += [(_whole_range("output", outputs), _coloured(outputs.values))] if merged else [
        (_range(name, outputs, c), _gray(outputs.values[c], outputs.low[c], outputs.high[c]))
        for c, name in enumerate(names)
    ]  # fmt: skip
    for i, (title, picture) in enumerate(pictures):
        ax = figure.add_subplot(-(-len(pictures) // columns), columns, i + 1)
        _show(ax, picture, title)


def _coloured(values: np.ndarray) -> np.ndarray:
    """(C, H, W) in [0, 1] as what a viewer shows: RGB of three channels or more, else gray."""
    values = np.clip(values, 0, 1)
    return np.moveaxis(values[:3], 0, -1) if len(values) in (3, 4) else values.mean(0)


def _gray(values: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Values of a channel's own range as 0 to 1."""
    return (values - low) / (high - low) if high > low else np.full_like(values, 0.5)


def _show(ax: Any, picture: np.ndarray, title: str = "") -> None:
    ax.imshow(
        picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if max(picture.shape) < 64 else "auto"
    )
    ax.set_title(title, loc="left", fontsize=10, parse_math=False)
    ax.set_xticks([])
    ax.set_yticks([])


def films(input: Gathered, outputs: Gathered, names: Sequence[str], rate: float | None, merged: bool) -> Any:
    """A row for the input and each channel, a column a time that both have."""
    from matplotlib.figure import Figure

    both = sorted(input.frames.keys() & outputs.frames.keys()) or sorted(outputs.frames)
    picked = both[:: -(-len(both) // COLUMNS)]
    rows: list[Row] = [(_whole_range("input", input), None)]
    rows += [("output", "merged")] if merged else [
        (_range(name, outputs, c), c) for c, name in enumerate(names)
    ]  # fmt: skip
    height, width = next(iter(outputs.frames.values())).shape[1:]
    tall = WIDTH / len(picked) * min(2.0, height / max(1, width)) + 0.3
    figure = Figure(figsize=(WIDTH, 0.8 + tall * len(rows)), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(rows), len(picked), squeeze=False)
    for row, (title, channel) in enumerate(rows):
        for column, step in enumerate(picked):
            if channel is None:
                picture = _coloured(input.frames[step]) if step in input.frames else np.zeros((height, width))
            elif channel == "merged":
                picture = _coloured(outputs.frames[step])
            else:
                picture = _gray(outputs.frames[step][channel], outputs.low[channel], outputs.high[channel])
            time = f"frame {step}" + ("" if rate is None else f" · {step / rate:.2f} s")
            words = [title] * (column == 0) + [time] * (row == 0)
            _show(axes[row, column], picture, "\n".join(words))
    return figure
