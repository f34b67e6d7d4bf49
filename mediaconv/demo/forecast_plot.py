"""The forecast lesson drawn: what each stack reads and foretells, and how wrong it is. Trains nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mediaconv.filesystem import write_made

if TYPE_CHECKING:
    from mediaconv.demo.forecast import Errors, Lesson

TRUTH, STANDARD, CAUSAL = "#3d4451", "#d55e00", "#0072b2"
PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
FIRST_DAY, DAYS = 400, 45


def plot_lesson(lesson: Lesson, path: Path, *, overwrite: bool = False) -> None:
    """Write the picture as PNG; the same lesson gives the same bytes. Raises UsageError, WriteError."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(11, 8.2), layout="constrained", facecolor="white")
        top, middle, bottom = figure.subplots(3, 1, height_ratios=[0.9, 1.6, 1.3])
        _windows(top, lesson)
        _days(middle, lesson)
        _bars(bottom, lesson)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    write_made(path, content.getvalue(), overwrite=overwrite)


def _windows(axes: Any, lesson: Lesson) -> None:
    """Which days a forecast for tomorrow reads."""
    axes.set_title("Which days the forecast for day 6 reads", loc="left", fontweight="bold")
    rows = (("standard", lesson.standard, STANDARD, 1.0), ("causal", lesson.causal, CAUSAL, 0.0))
    for name, errors, colour, y in rows:
        ahead = errors.lookahead
        back = 8 - ahead
        for day in range(-2, 12):
            read = 5 - back <= day <= 5 + ahead
            future = day > 5
            face = "none" if not read else colour
            axes.add_patch(
                _box(day, y, face, "#c9ced6" if not read else colour, 0.55 if read and future else 1.0)
            )
            inside = ("black" if future else "white") if read else "#6b7280"
            axes.text(
                day, y, "…" if day == -2 else f"{day}", ha="center", va="center", color=inside, fontsize=9
            )
        axes.text(-3.2, y, name, ha="right", va="center", color=colour, fontweight="bold")
    axes.annotate("", xy=(6, -0.52), xytext=(6, -0.85), arrowprops={"arrowstyle": "->", "color": TRUTH})
    axes.text(6, -0.95, "the answer: the standard stack reads it", ha="center", va="top", color=TRUTH)
    axes.plot([5.5, 5.5], [-0.45, 1.75], color=TRUTH, lw=1, ls=":")
    axes.text(5.4, 1.62, "known today", ha="right", color=TRUTH, fontsize=9)
    axes.text(5.6, 1.62, "the future", ha="left", color=TRUTH, fontsize=9)
    axes.set(xlim=(-6, 14), ylim=(-1.4, 1.9))
    axes.axis("off")


def _box(day: int, y: float, face: str, edge: str, alpha: float) -> Any:
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch(
        (day - 0.38, y - 0.33), 0.76, 0.66, boxstyle="round,pad=0.02,rounding_size=0.12",
        facecolor=face, edgecolor=edge, alpha=alpha,
    )  # fmt: skip


def _days(axes: Any, lesson: Lesson) -> None:
    """Some weeks of a new year: the truth and three forecasts."""
    shown = slice(FIRST_DAY, FIRST_DAY + DAYS)
    days = np.arange(DAYS)
    predictions = lesson.predictions
    lines = (
        (lesson.truth, "what came", {"color": TRUTH, "lw": 2.4}),
        (
            predictions["standard, future seen"],
            "standard, answer in sight",
            {"color": STANDARD, "lw": 1.2, "ls": (0, (2, 1.5))},
        ),
        (predictions["standard, future unknown"], "standard, future unknown", {"color": STANDARD, "lw": 1.7}),
        (predictions["causal, future unknown"], "causal, future unknown", {"color": CAUSAL, "lw": 1.7}),
    )
    for values, label, how in lines:
        axes.plot(days, values[shown], label=label, **how)
    axes.set_title(
        "Forty-five days of a new year, each foretold the day before", loc="left", fontweight="bold"
    )
    axes.set(xlim=(0, DAYS - 1), xlabel="day", ylabel="°C")
    axes.grid(axis="y", color="#e6e8ec")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False, fontsize=9)


def _bars(axes: Any, lesson: Lesson) -> None:
    """Errors of both stacks: in training, on new years, and with the future cut off."""
    names = ("in training", "new years, whole series", "new years, future unknown")
    heights = np.arange(len(names))
    for shift, name, errors, colour in (
        (0.19, "standard", lesson.standard, STANDARD),
        (-0.19, "causal", lesson.causal, CAUSAL),
    ):
        values = _three(errors)
        axes.barh(heights[::-1] + shift, values, height=0.34, color=colour, label=name)
        for height, value in zip(heights[::-1] + shift, values, strict=True):
            axes.text(value + 0.04, height, f"{value:.2f} °C", va="center", fontsize=9, bbox=PLATE, zorder=3)
    axes.axvline(lesson.persistence, color=TRUTH, ls="--", lw=1)
    axes.axvline(lesson.surprise, color=TRUTH, ls=":", lw=1)
    axes.text(lesson.persistence, 2.5, " “as today”", fontsize=8, color=TRUTH, ha="left", va="bottom")
    axes.text(
        lesson.surprise, 2.5, "the day's own surprise ", fontsize=8, color=TRUTH, ha="right", va="bottom"
    )
    axes.set_yticks(heights[::-1], names)
    axes.set_title("Mean error (root mean square)", loc="left", fontweight="bold", pad=16)
    axes.set(xlabel="°C", ylim=(-0.5, 2.5))
    axes.set_xlim(0, max(*_three(lesson.standard), lesson.persistence) * 1.18)
    axes.legend(loc="upper right", frameon=False)


def _three(errors: Errors) -> tuple[float, float, float]:
    return errors.training, errors.seen, errors.unknown
