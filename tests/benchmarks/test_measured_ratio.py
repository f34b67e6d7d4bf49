"""A difference of two runs is told only where it is larger than their scatter; a row says so otherwise."""

from __future__ import annotations

import math

import pytest

from benchmarks.measured_ratio import UNTOLD, Ratio, Spent, further, further_beside, in_turn, told


def test_what_a_further_thing_takes_is_the_median_of_differences() -> None:
    short, long = [Spent(100, 50), Spent(900, 60), Spent(110, 55)], [Spent(300, 150), Spent(1100, 155)]
    found = further(short, [*long, Spent(330, 900)], 100)
    assert found == Spent(processor=2.0, clock=1.0)


def test_kinds_of_a_run_are_compared_in_the_turn_whose_ratio_is_the_middle_one() -> None:
    few = [Spent(10, 5)] * 3
    ours = few, [Spent(130, 25), Spent(110, 65), Spent(310, 45)]  # the last turn is slow for both
    others = few, [Spent(110, 25), Spent(110, 45), Spent(210, 25)]
    one, other = further_beside(ours, others, 10)
    assert (one.processor, other.processor) == (12, 10)  # of ratios 1.2, 1.0, 1.5
    assert (one.clock, other.clock) == (6, 4)  # of ratios 1.0, 1.5, 2.0


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
