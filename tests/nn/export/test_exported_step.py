"""Exported steps, in torch: as fixed shapes and zeros at the start, equal to the call on the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaconv import nn
from mediaconv.nn import geometry
from mediaconv.nn.export.checking import run_flushed
from mediaconv.nn.export.export_step import export_step
from mediaconv.nn.export.exported_step import run_step
from tests.nn.strategies import LAYERS, Case, seeded, single_layers, stacks

FRAME = {1: (), 2: (5,), 3: (4, 5)}
SAME = settings(derandomize=True, deadline=None, database=None, max_examples=70)


def check(case: Case, seed: int, chunks: int, length: int) -> None:
    """One module in steps of fixed shape against itself on the whole, in float64."""
    seeded(case, seed)
    module, found = case.module.double().eval(), geometry(case.module)
    frame = tuple(n + case.shortest for n in FRAME[case.dims])
    chunk = chunks * (1 if found.whole else found.input_period)
    example = torch.zeros(1, case.channels, chunk, *frame, dtype=torch.float64)
    if found.whole:
        with pytest.raises(ValueError, match="reads the whole input"):
            export_step(module, example)
        return
    x = torch.randn(1, case.channels, length + case.shortest, *frame, dtype=torch.float64)
    with torch.no_grad():
        try:
            whole = module(x)
        except (RuntimeError, ValueError):
            return  # an input that this module does not take
        if 0 in whole.shape[:2] + whole.shape[3:]:
            return
        step = export_step(module, example)
        y = run_step(step, step.info, step.start(), x)
    assert y.shape == whole.shape
    largest = float(whole.abs().max()) if whole.numel() else 0.0
    # float64 has 2e-16; windows are summed from other places
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-12 * max(1.0, largest))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_as_a_step_is_the_layer(kind: str) -> None:
    @settings(SAME, max_examples=12)
    @given(single_layers(kind), st.integers(0, 999), st.integers(1, 4), st.integers(1, 20))
    def each(case: Case, seed: int, chunks: int, length: int) -> None:
        check(case, seed, chunks, length)

    each()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_random_stack_as_a_step_is_the_stack(dims: int) -> None:
    @SAME
    @given(stacks(dims), st.integers(0, 999), st.integers(1, 3), st.integers(1, 24))
    def each(case: Case, seed: int, chunks: int, length: int) -> None:
        check(case, seed, chunks, length)

    each()


def test_a_chunk_that_strides_do_not_divide_is_refused_with_what_fits() -> None:
    with pytest.raises(ValueError, match="chunk: got 3, the strides of this stack need a multiple of 2"):
        export_step(nn.CausalConv1d(1, 1, 3, 2), torch.zeros(1, 1, 3))


@pytest.mark.parametrize("layer", [nn.Conv1d(1, 1, 5), nn.ConvTranspose1d(1, 1, 1, 3, padding=1)])
def test_an_input_that_is_too_short_has_no_outputs(layer: torch.nn.Module) -> None:
    module = nn.Sequential(layer, torch.nn.Sigmoid()).double().eval()
    step = export_step(module, torch.zeros(1, 1, 1, dtype=torch.float64))
    for length in (1, 2, 7):
        x = torch.randn(1, 1, length, dtype=torch.float64)
        whole = module(x)
        for run in (run_step, run_flushed):
            y = run(step, step.info, step.start(), x)
            # float64 has 2e-16; windows are summed from other places
            torch.testing.assert_close(y, whole, rtol=0, atol=1e-12)
    assert module(torch.zeros(1, 1, 1, dtype=torch.float64)).shape[2] == 0


def test_a_norm_over_time_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"1: GroupNorm reads the whole input"):
        export_step(nn.Sequential(nn.CausalConv1d(1, 2, 3), nn.GroupNorm(1, 2)), torch.zeros(1, 1, 4))
