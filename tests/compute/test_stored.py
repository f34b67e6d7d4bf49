"""The exported end of a stack against the end that `mediaconv run` uses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mediaconv.compute.finish import Finisher
from mediaconv.compute.normalize import make_normalizer
from mediaconv.compute.stored import Stored
from mediaconv.errors import UsageError
from mediaconv.media.samples import SampleFormat


@pytest.mark.parametrize(("name", "options"), [
    ("sigmoid", {"gain": 3.0, "bias": 0.2}), ("tanh", {"gain": 2.0}), ("clip", {"low": -0.5}), ("none", {}),
])  # fmt: skip
@pytest.mark.parametrize("format", [
    SampleFormat(8), SampleFormat(16), SampleFormat(24, signed=True), SampleFormat(16, signed=True),
    SampleFormat(32, floating=True),
])  # fmt: skip
def test_stored_samples_are_those_of_a_run(name: str, options: dict, format: SampleFormat) -> None:
    range_ = (-1.0, 1.0) if format.signed or format.floating else (0.0, 1.0)
    values = torch.randn(3, 4001, generator=torch.Generator().manual_seed(0))
    normalizer = make_normalizer(name, options, range_)
    expected = Finisher(normalizer, format)(values.clone())
    module = Stored(normalizer, format)
    found = module(values).numpy()
    if format.floating:
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=3e-7
        )  # two libraries' tanh: a last bit or two
        return
    apart = np.abs(found.astype(np.int64) - expected.astype(np.int64))
    # the last bit of the two libraries' sigmoid and tanh: 2**-24 of the range, in units of 24 bits
    assert apart.max() <= max(1, 2 ** (format.bits - 22))
    assert float(module.difference(torch.from_numpy(expected.astype(np.int64)), values)) <= 1e-6


def test_a_difference_of_a_sample_is_measured() -> None:
    module = Stored(make_normalizer("none", {}, (0.0, 1.0)), SampleFormat(8))
    values = torch.full((1, 4), 0.4)  # 102
    assert float(module.difference(torch.full((1, 4), 102), values)) == 0
    assert float(module.difference(torch.full((1, 4), 103), values)) > 1e-3


def test_minmax_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="minmax needs the whole output"):
        Stored(make_normalizer("minmax", {}, (0.0, 1.0)), SampleFormat(8))
