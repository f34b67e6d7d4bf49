"""Random layers, stacks and captured modules, streamed: `python -m tests.nn.fuzz [SECONDS]`.

Without a number it goes on until it is stopped or finds a fault; the seed that repeats it is printed.
"""

from __future__ import annotations

import sys
import time

import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.nn.graph.random_search import searched
from tests.nn.strategies import LAYERS, Case, single_layers, stacks
from tests.nn.test_contract import verify
from tests.stacks.test_random_stacks import check as check_stack

BATCH, STACKS, MODULES = 500, 50, 50
"""Cases of the contract, stacks by the interpreter, and captured modules, between two lines of output."""


def any_case() -> st.SearchStrategy[Case]:
    """Any layer or stack."""
    return st.one_of(*(single_layers(kind) for kind in LAYERS), *(stacks(dims) for dims in (1, 2, 3)))


def main(seconds: float) -> int:
    """Batches of cases, each with a seed of its own, until the time is over; the number of cases."""
    begin, cases = time.monotonic(), 0
    number = int(time.time())
    while time.monotonic() - begin < seconds:
        number += 1

        @seed(number)
        @settings(max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.data(), any_case(), st.integers(0, 9999))
        def check(data: st.DataObject, case: Case, seed: int) -> None:
            nonlocal cases
            cases += 1
            verify(data, case, seed)

        try:
            check()
        except BaseException:
            print(f"seed {number}, after {cases} cases", file=sys.stderr)
            raise
        for case in range(number * STACKS, (number + 1) * STACKS):
            check_stack(case)
            cases += 1
        for module in range(number * MODULES, (number + 1) * MODULES):
            searched(module)
            cases += 1
        print(f"{cases} cases in {time.monotonic() - begin:.0f} s", flush=True)
    return cases


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else float("inf"))
