"""The contract's values are checked where they are made."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mediaconv.errors import ReadError
from mediaconv.media.source import Chunk


@pytest.mark.parametrize(
    ("data", "times", "reason"),
    [
        (np.zeros(4, np.uint8), None, r"shape \(4,\)"),
        (np.zeros((4, 1), complex), None, "complex128"),
        (np.array([["a"]]), None, "<U1"),
        (np.zeros((4, 1), np.uint8), [Fraction(0)], "4 steps with 1 times"),
    ],
)
def test_a_chunk_that_no_source_may_give_is_refused(data: np.ndarray, times: object, reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        Chunk(data, times)


def test_a_chunk_prints_its_shape() -> None:
    assert repr(Chunk(np.zeros((4, 2), np.float32))) == "Chunk(shape=(4, 2), dtype=float32)"
