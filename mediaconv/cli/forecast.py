"""`mediaconv demo forecast`: the lesson about seeing the future, told on the terminal and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediaconv.cli.options import JsonOption, OverwriteOption, QuietOption, tell

if TYPE_CHECKING:
    from mediaconv.demo.forecast import Lesson

LESSON = """\
Day five must not have seen day six
===================================

A model shall say each evening how warm tomorrow will be. We make {train} years of daily temperatures:
seasons, weather that lasts some days, and noise. Every day brings a surprise that no one can foresee, so no
honest forecast errs by less than {surprise:.2f} °C on average. "As today" errs by {persistence:.2f} °C.

Two stacks learn the task: the same three layers, the same first weights, the same data.
The STANDARD one centres its window on today: it reads {ahead} days past it, and tomorrow is one of them.
The CAUSAL one moves its window back: it ends with today.

  mean error, in °C                            standard   causal
  in training                                  {st:8.2f} {ct:8.2f}
  on {test} new years, the whole series before it   {ss:8.2f} {cs:8.2f}
  on {test} new years, the future not yet there     {su:8.2f} {cu:8.2f}

1. In training the standard stack looks {times} times better, and below what is possible ({surprise:.2f} °C).
   It has not learnt the weather. It copies the answer, which lies inside its window.
2. New years do not unmask it, as long as the whole series lies before it: the answer is still in sight.
3. Cut the series off after today, as life does, and it errs by {su:.2f} °C{verdict}.
4. The causal stack's training error was true: {ct:.2f} °C then, {cu:.2f} °C with the future unknown.

A training error is worth something only if the model cannot see what it is asked for. For your own stack:
  mediaconv prove CONFIG"""


def forecast(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="folder for the picture, made where it is missing")
    ] = Path("out/forecast"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the series and of the first weights")] = 0,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Train a standard and a causal stack to foretell temperatures, and see whose error was true."""
    from mediaconv.filesystem import check_made

    picture = output / "forecast.png"
    check_made(picture, overwrite=overwrite)

    import torch

    from mediaconv.demo.forecast import run_lesson
    from mediaconv.demo.forecast_plot import plot_lesson

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        lesson = run_lesson(seed=seed)
    finally:
        torch.set_num_threads(threads)
    plot_lesson(lesson, picture, overwrite=overwrite)
    if json:
        tell(_as_json(lesson, seed, picture))
    elif not quiet:
        tell(f"{_text(lesson)}\n\nThe picture: {picture}")
    return 0


def _text(lesson: Lesson) -> str:
    from mediaconv.demo.forecast import TEST_YEARS, TRAINING_YEARS

    standard, causal = lesson.standard, lesson.causal
    worse = standard.unknown > lesson.persistence
    return LESSON.format(
        train=TRAINING_YEARS, test=TEST_YEARS, surprise=lesson.surprise, persistence=lesson.persistence,
        ahead=standard.lookahead, times=max(2, round(causal.training / standard.training)),
        st=standard.training, ss=standard.seen, su=standard.unknown,
        ct=causal.training, cs=causal.seen, cu=causal.unknown,
        verdict=', more than by saying "as today"' if worse else "",
    )  # fmt: skip


def _as_json(lesson: Lesson, seed: int, picture: Path) -> str:
    from mediaconv.web.json_values import dumps

    return dumps(
        {
            "seed": seed,
            "unit": "degrees Celsius, root mean square",
            "standard": lesson.standard,
            "causal": lesson.causal,
            "persistence": lesson.persistence,
            "surprise": lesson.surprise,
            "picture": picture,
        }
    )
