"""Random modules stream as they are, or are refused: a seeded few; `make fuzz` goes on."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.nn.graph.random_search import EXACT, REFUSED, searched


@pytest.mark.slow
def test_random_modules_stream_exactly_or_are_refused() -> None:
    found = Counter(searched(seed) for seed in range(100, 114))
    assert found[EXACT] >= 6
    assert found[REFUSED] >= 1


@pytest.mark.parametrize("seed", [9, 42, 7000591])
def test_modules_that_were_wrong_once(seed: int) -> None:
    """9: a view into pairs of positions that never ended. 42: a cut past the start of a short input.

    7000591: zeros of a size in which the length cancels out.
    """
    assert searched(seed) == EXACT
