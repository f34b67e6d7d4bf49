"""When a further worker is begun: runs played through in numbers, with jobs whose length is known."""

from __future__ import annotations

import pytest

from mediaconv.run.executors.autoscale import Autoscale

START = 4.0


def second_worker_at(jobs: int, seconds: float, *, warm_up: float) -> float | None:
    """When one worker, ready at 0, gets a second while it does equal jobs; looked at ten times a second."""
    autoscale = Autoscale()
    autoscale.started(START)
    clock = 0.0
    for job in range(jobs):
        end = clock + seconds + (warm_up if job == 0 else 0.0)
        look = clock
        while look < end:
            if autoscale.is_worth_another(
                waiting=jobs - job - 1, workers=1, running=[(look - clock, job == 0)]
            ):
                return look
            look += 0.1
        autoscale.ended(end - clock, first=job == 0)
        clock = end
    return None


@pytest.mark.parametrize("warm_up", [0.0, 0.5, 3.5])
@pytest.mark.parametrize(("jobs", "seconds"), [(500, 0.011), (50, 0.043), (2, 3.0), (7, 1.0), (1, 900.0)])
def test_less_work_than_two_starts_stays_with_one(jobs: int, seconds: float, warm_up: float) -> None:
    """However slow the first file is, which loads what later ones find loaded."""
    assert second_worker_at(jobs, seconds, warm_up=warm_up) is None


@pytest.mark.parametrize("warm_up", [0.0, 0.5, 3.5])
@pytest.mark.parametrize(("jobs", "seconds"), [(5000, 0.011), (50, 1.0), (4, 60.0), (2, 900.0)])
def test_more_work_gets_another_soon(jobs: int, seconds: float, warm_up: float) -> None:
    """While there is far more left than the start costs."""
    at = second_worker_at(jobs, seconds, warm_up=warm_up)
    assert at is not None
    assert at < 4 * START
    assert jobs * seconds - at > 2 * START


def test_nothing_is_known_before_a_worker_is_ready() -> None:
    assert not Autoscale().is_worth_another(waiting=1000, workers=1, running=[(500.0, True)])


def test_each_further_one_must_be_worth_it_for_what_is_left_to_each() -> None:
    autoscale = Autoscale()
    autoscale.started(START)
    autoscale.ended(1.0, first=False)
    assert autoscale.is_worth_another(waiting=20, workers=2, running=[])
    assert not autoscale.is_worth_another(waiting=20, workers=3, running=[])


def test_what_a_first_file_loads_belongs_to_the_start() -> None:
    """The second worker would load it, too."""
    slow, quick = Autoscale(), Autoscale()
    for autoscale, first in ((slow, 4.0), (quick, 0.1)):
        autoscale.started(START)
        autoscale.ended(first, first=True)
        autoscale.ended(0.1, first=False)
    assert quick.is_worth_another(waiting=100, workers=1, running=[])
    assert not slow.is_worth_another(waiting=100, workers=1, running=[])
