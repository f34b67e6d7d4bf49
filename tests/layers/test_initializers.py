"""Seeded weights: torch's distributions, the same bytes everywhere, each parameter by its own name."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys

import pytest
import scipy.stats
import torch
from torch import nn

import mediaconv.nn as mnn
from mediaconv.errors import UsageError
from mediaconv.layers.keys.initializers import INITIALIZERS
from mediaconv.layers.keys.random_weights import apply_mask, generator_for, initialize, seed_parameters

pytestmark = pytest.mark.slow

OPTIONS = {"constant": {"val": 0.25}}


def drawn(
    name: str, options: dict | None = None, shape: tuple = (8, 4, 3, 3), seed: int = 0, **how
) -> torch.Tensor:
    parameter = torch.full(shape, math.nan, **how)
    initialize(
        parameter, name, options if options is not None else OPTIONS.get(name), generator_for(seed, "w")
    )
    return parameter


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_draws_what_torch_draws(name):
    made = drawn(name)
    expected = torch.empty(8, 4, 3, 3, dtype=torch.float64)
    arguments = dict(OPTIONS.get(name, {}))
    if name not in ("constant", "ones", "zeros", "dirac"):
        arguments["generator"] = generator_for(0, "w")
    getattr(nn.init, f"{name}_")(expected, **arguments)
    assert torch.equal(made, expected.float())


@pytest.mark.parametrize("name", INITIALIZERS)
def test_a_type_rounds_the_same_numbers(name):
    single = drawn(name)
    assert torch.equal(drawn(name, dtype=torch.float64), single.double())
    assert torch.equal(drawn(name, dtype=torch.bfloat16), single.bfloat16())


def test_options_reach_torch():
    assert drawn("uniform", {"a": 3, "b": 4}).min() >= 3
    assert drawn("normal", {"mean": 100.0, "std": 0.0}).unique().tolist() == [100.0]
    wide = drawn("kaiming_uniform", {"mode": "fan_out", "nonlinearity": "relu"}, shape=(50, 2, 9))
    assert wide.abs().max() == pytest.approx(math.sqrt(2) * math.sqrt(3 / (50 * 9)), rel=0.01)


@pytest.mark.parametrize(
    ("name", "options", "shape", "words"),
    [
        ("kaiming", {}, (2, 2, 3), r"init: got 'kaiming', expected one of uniform, .*did you mean 'kaiming_"),
        ("normal", {"sd": 1}, (2, 2, 3), r"init\.normal\.sd: got an unknown key"),
        ("constant", {}, (2, 2, 3), r"init\.constant\.val: is required"),
        ("normal", {"std": -1}, (2, 2, 3), r"std: got -1, expected a number >= 0"),
        ("xavier_normal", {}, (4,), r"xavier_normal cannot fill a shape of \[4\]"),
        ("uniform", {"a": 2, "b": 1}, (4,), r"uniform cannot fill"),
        ("normal", {"std": 1e300}, (4,), r"not finite"),
    ],
)
def test_errors_name_what_came(name, options, shape, words):
    with pytest.raises(UsageError, match=words):
        drawn(name, options, shape)


def stack() -> nn.Sequential:
    return mnn.Sequential(
        mnn.Conv2d(3, 4, 3, padding="same"),
        nn.PReLU(),
        nn.BatchNorm2d(4),
        mnn.Residual(mnn.Sequential(mnn.CausalConv2d(4, 4, (3, 5), mode="mask"))),
        nn.ConvTranspose2d(4, 2, 3, stride=2),
    )


def seeded(seed: int = 0, module: nn.Module | None = None) -> dict[str, torch.Tensor]:
    module = stack() if module is None else module
    seed_parameters(module, seed)
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
    return [key for key in a if torch.equal(a[key], b[key])]


def test_a_seed_decides_every_random_parameter_whatever_torchs_own_generator_does():
    torch.manual_seed(1)
    first = seeded()
    torch.manual_seed(2)
    second = seeded()
    assert same(first, second) == list(first)
    fixed = [k for k in first if k.startswith(("1.", "2."))]
    assert same(first, seeded(seed=1)) == fixed
    assert first["1.weight"].tolist() == [0.25]
    assert first["2.weight"].tolist() == [1, 1, 1, 1]


def test_no_two_parameters_share_numbers():
    twins = seeded(module=nn.Sequential(nn.Conv1d(2, 2, 3), nn.Conv1d(2, 2, 3)))
    assert not torch.equal(twins["0.weight"], twins["1.weight"])
    assert not torch.equal(twins["0.weight"].flatten()[:2], twins["0.bias"])


def test_a_layer_more_changes_no_other():
    longer = stack()
    longer.append(nn.Conv2d(2, 2, 1))
    after = seeded(module=longer)
    before = seeded()
    assert same(before, after) == list(before)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear])
def test_the_distribution_is_torchs_own(kind):
    ours, theirs = [], []
    shape = (6, 8) if kind is nn.Linear else (6, 8, 3)
    for seed in range(40):
        torch.manual_seed(seed)
        module = kind(*shape)
        theirs.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
        seed_parameters(module, seed)
        ours.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    # seeds are fixed: the same p-value every time
    assert scipy.stats.ks_2samp(torch.cat(ours), torch.cat(theirs)).pvalue > 0.01
    assert float(torch.cat(ours).abs().max()) == pytest.approx(float(torch.cat(theirs).abs().max()), rel=0.01)


@pytest.mark.parametrize("mode", ["pad", "mask", "raster"])
def test_a_causal_twin_has_the_same_numbers_before_its_mask(mode):
    standard = seeded(module=mnn.Conv3d(2, 3, 3))
    causal = mnn.CausalConv3d(2, 3, 3, mode=mode)
    numbers = seeded(module=causal)
    assert torch.equal(numbers["bias"], standard["bias"])
    kept = numbers["weight"] != 0
    assert torch.equal(numbers["weight"], standard["weight"] * kept)
    assert kept.all() == (mode == "pad")


def test_apply_mask_zeroes_what_an_initializer_wrote_on_future_taps():
    conv = mnn.CausalConv1d(1, 1, 5, mode="mask")
    initialize(conv.weight, "ones", None, generator_for(0, "weight"))
    apply_mask(conv)
    assert conv.weight.detach().tolist() == [[[1, 1, 1, 0, 0]]]
    apply_mask(nn.ReLU())


def test_offsets_that_a_layer_sets_to_zero_stay():
    conv = nn.Conv2d(2, 18, 3)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    assert not any(value.any() for value in seeded(module=conv).values())


def test_a_type_and_a_double_seeding_change_nothing():
    single = seeded()
    again = stack()
    seed_parameters(again, 7)
    assert same(single, seeded(module=again)) == list(single)
    half = seeded(module=stack().bfloat16())
    assert all(torch.equal(half[k], single[k].to(half[k].dtype)) for k in single)


SCRIPT = """
import hashlib, sys, torch
sys.path.insert(0, {folder!r})
from test_initializers import fingerprint
print(torch.get_num_threads(), fingerprint())
"""


def fingerprint() -> str:
    digest = hashlib.sha256()
    for value in seeded().values():
        digest.update(value.numpy().tobytes())
    for name in INITIALIZERS:
        digest.update(drawn(name, shape=(64, 32, 5)).numpy().tobytes())
    return digest.hexdigest()


def test_other_processes_with_other_numbers_of_threads_give_the_same_bytes():
    script = SCRIPT.format(folder=os.path.dirname(__file__))
    seen = {}
    for threads in ("1", "2"):
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "PYTHONHASHSEED": threads,
        }
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        count, seen[threads] = done.stdout.split()
        assert count == threads
    assert seen["1"] == seen["2"] == fingerprint()


def test_a_seeds_numbers_are_these_for_ever():
    """Written down on x86-64: another machine, or another release of torch, must give the same."""
    conv = nn.Conv1d(1, 1, 3)
    seed_parameters(conv, 0)
    assert [value.hex() for value in conv.weight.flatten().tolist()] == GOLDEN


GOLDEN = ["-0x1.09ffb20000000p-1", "0x1.f8e98a0000000p-6", "-0x1.bad1340000000p-5"]
