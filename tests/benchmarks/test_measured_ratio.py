"""A difference of two runs is told only where it is larger than their scatter; a row says so otherwise."""

from __future__ import annotations

import math

import pytest

from benchmarks.measured_ratio import UNTOLD, Ratio, Spent, further, in_turn, told


def test_what_a_further_thing_takes_is_the_median_of_differences() -> None:
    short, long = [Spent(100, 50), Spent(900, 60), Spent(110, 55)], [Spent(300, 150), Spent(1100, 155)]
    found = further(short, [*long, Spent(330, 900)], 100)
    assert found == Spent(processor=2.0, clock=1.0)


@pytest.mark.parametrize("differences", [[-0.07], [1.0, -1.0, 0.2], [100.0, 10.0, 30.0], [0.0, 0.0]])
def test_one_that_is_lost_in_its_scatter_is_not_told(differences: list[float]) -> None:
    assert math.isnan(told(differences))
    untold = Ratio("work", told(differences), "other", 1.0, limit=2.0, goal=1.0, most=1.0)
    assert untold.cells() == ["work", "processor", UNTOLD, "other", "1", UNTOLD, "ratio 1.00, 1 ms", "", "2"]
    assert not untold.met
    assert not untold.value > untold.limit


def test_the_compared_may_be_untold_alone() -> None:
    row = Ratio("work", 0.5, "other", math.nan, most=1.0)
    assert row.cells()[2:] == ["0.5", "other", UNTOLD, UNTOLD, "1 ms", "yes", ""]


def test_runs_come_in_turn() -> None:
    order: list[str] = []
    columns = in_turn(lambda: order.append("a"), lambda: order.append("b"), turns=3)
    assert order == ["a", "b"] * 3
    assert [len(column) for column in columns] == [3, 3]
