"""Random layers and stacks, in random chunks, through the contract: over 2,000 cases a run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediaconv import nn
from tests.nn.contract import verify_contract, verify_numbers
from tests.nn.strategies import LAYERS, Case, seeded, shapes_and_plans, single_layers, stacks
from tests.tally import passed

pytestmark = pytest.mark.slow

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
EXAMPLES_LAYER, EXAMPLES_STACK = 100, 270

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=CHECKS, database=None)
settings.register_profile("fuzz", deadline=None, suppress_health_check=CHECKS, print_blob=True)
if settings.get_current_profile_name() != "fuzz":
    settings.load_profile("ci")


def verify(data: st.DataObject, case: Case, seed: int) -> None:
    """One case through the contract, along any of its axes, in float64, and its values in float32."""
    seeded(case, seed)
    axis = data.draw(st.integers(0, case.dims - 1), label="axis")
    shape, plan = data.draw(shapes_and_plans(case, axis), label="shape, plan")
    case_causal = case.causal and axis == 0
    verify_contract(case.module, shape, plan, axis=axis, causal=case_causal, measure=case.measure, seed=seed)
    verify_numbers(case.module, shape, plan, axis=axis, seed=seed)
    passed["stacks" if isinstance(case.module, nn.Sequential) else "layers"] += 1


@pytest.mark.parametrize("kind", LAYERS)
def test_a_random_layer_keeps_the_contract(kind: str) -> None:
    @settings(settings.default, max_examples=EXAMPLES_LAYER)
    @given(st.data(), single_layers(kind), st.integers(0, 9999))
    def check(data: st.DataObject, case: Case, seed: int) -> None:
        verify(data, case, seed)

    check()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_random_stack_keeps_the_contract(dims: int) -> None:
    @settings(settings.default, max_examples=EXAMPLES_STACK)
    @given(st.data(), stacks(dims), st.integers(0, 9999))
    def check(data: st.DataObject, case: Case, seed: int) -> None:
        verify(data, case, seed)

    check()


def test_a_run_has_over_two_thousand_cases(request: pytest.FixtureRequest) -> None:
    ours = [item for item in request.session.items if item.path == request.path]
    if len(ours) < len(LAYERS) + 4:
        pytest.skip("only some of the cases were asked for")
    assert passed.total() >= 2000
