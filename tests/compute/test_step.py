"""The general step against the module on the whole input, and how a step is chosen."""

import numpy as np
import pytest
import torch
from torch import nn

from mediaconv.compute.finish import Finisher
from mediaconv.compute.fused import FusedStep
from mediaconv.compute.normalize import make_normalizer
from mediaconv.compute.step import (
    TorchStep,
    choose_chunk,
    pick_device,
    precision_dtype,
    step_maker,
)
from mediaconv.errors import ComputeError, UsageError
from mediaconv.media.samples import SampleFormat
from mediaconv.nn import CausalConv1d, CausalConv3d, Conv1d, Conv2d, Conv3d, GroupNorm, Residual, Sequential
from mediaconv.pipeline import SourceInfo

FLOATS = SampleFormat(32, floating=True)
RNG = np.random.default_rng(5)
FILM = RNG.integers(0, 256, (9, 12, 14, 3), dtype=np.uint8)
IMAGE = RNG.integers(0, 65536, (17, 14, 3), dtype=np.uint16)
SOUND = RNG.integers(-32768, 32768, (500, 2), dtype=np.int16)


def film_stack():
    inner = Sequential(CausalConv3d(4, 4, 3), nn.ReLU(), Conv3d(4, 4, 3, padding="same"))
    return Sequential(
        Conv3d(3, 4, 3, padding="same"), Residual(inner), Conv3d(4, 2, 3, padding="same", stride=(2, 1, 1))
    )


CASES = {
    "film": (film_stack, FILM, 255.0, (0.0, 1.0), SampleFormat(8)),
    "image": (
        lambda: Residual(Conv2d(3, 3, 5, padding="same")),
        IMAGE,
        65535.0,
        (0.0, 1.0),
        SampleFormat(16),
    ),
    "sound": (
        lambda: CausalConv1d(2, 3, 9, dilation=4),
        SOUND,
        32768.0,
        (-1.0, 1.0),
        SampleFormat(24, signed=True),
    ),
}


def outputs(step, raw, chunk):
    return np.concatenate(
        [step.push(raw[i : i + chunk]) for i in range(0, len(raw), chunk)] + [step.flush()], 1
    )


def prepared(case):
    make, raw, scale, signal_range, stored = CASES[case]
    torch.manual_seed(2)
    return make().eval(), raw, scale, make_normalizer("sigmoid", {"gain": 3}, signal_range), stored


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_any_chunks_equal_the_module_on_the_whole(case, chunk):
    module, raw, scale, normalizer, _ = prepared(case)
    x = torch.from_numpy(np.moveaxis(raw, -1, 0)[None].astype(np.float32) / np.float32(scale))
    with torch.no_grad():
        expected = normalizer(module(x)[0]).numpy()
    found = outputs(TorchStep(module, normalizer, FLOATS, scale=scale), raw, chunk)
    assert found.dtype == np.float32
    # another chunk is another shape for oneDNN: float32's usual 1e-6 of the largest value
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_an_input_of_one_chunk_takes_one_step(case):
    module, raw, scale, normalizer, stored = prepared(case)
    expected = TorchStep(module, normalizer, stored, scale=scale)
    first = TorchStep(module, normalizer, stored, scale=scale)
    assert np.array_equal(first.whole(raw), outputs(expected, raw, len(raw)))
    other = first.fresh()
    assert np.array_equal(outputs(other, raw, 4), outputs(expected.fresh(), raw, 4))
    assert first.clipped == expected.clipped


@pytest.mark.parametrize("case", CASES)
def test_stored_samples_are_the_rounded_floats(case):
    module, raw, scale, normalizer, stored = prepared(case)
    floats = outputs(TorchStep(module, normalizer, FLOATS, scale=scale), raw, 4)
    step = TorchStep(module, normalizer, stored, scale=scale)
    samples = outputs(step, raw, 4)
    assert samples.dtype == stored.dtype
    assert step.clipped == 0
    assert np.array_equal(samples, stored.quantize(floats))


@pytest.mark.parametrize("case", ["film", "image"])
def test_pictures_are_the_same_bits_in_any_chunks(case):
    module, raw, scale, normalizer, _ = prepared(case)
    whole, *others = (
        outputs(TorchStep(module, normalizer, FLOATS, scale=scale), raw, n) for n in (9, 1, 2, 5)
    )
    assert all(np.array_equal(whole, other) for other in others)


def test_raw_samples_are_not_written_to():
    raw = np.linspace(-1, 1, 50, dtype=np.float32).reshape(50, 1)
    raw.flags.writeable = False
    before = raw.copy()
    step = TorchStep(nn.Identity(), make_normalizer("sigmoid"), FLOATS)
    outputs(step, raw, 10)
    assert np.array_equal(raw, before)


def test_clipping_is_counted_for_sound():
    raw = np.array([[-1.5], [-1.0], [0.5], [1.0], [1.25]], np.float32)
    step = TorchStep(nn.Identity(), make_normalizer("none", {}, (-1.0, 1.0)), SampleFormat(24, signed=True))
    assert outputs(step, raw, 2).tolist() == [[-(2**23), -(2**23), 2**22, 2**23 - 1, 2**23 - 1]]
    assert step.clipped == 2


@pytest.mark.parametrize("stored", [FLOATS, SampleFormat(8), SampleFormat(24, signed=True)])
def test_nan_is_an_error(stored):
    conv = Conv1d(1, 1, 1)
    with torch.no_grad():
        conv.weight.fill_(float("nan"))
    step = TorchStep(conv, make_normalizer("sigmoid"), stored)
    with pytest.raises(ComputeError, match="NaN or infinite"):
        step.push(np.ones((4, 1), np.float32))


def test_a_whole_input_layer_waits_for_the_end():
    torch.manual_seed(0)
    norm = GroupNorm(1, 3).eval()
    step = TorchStep(norm, make_normalizer("none"), FLOATS, scale=255.0)
    parts = [step.push(FILM[:4]), step.push(FILM[4:]), step.flush()]
    assert [p.shape[1] for p in parts] == [0, 0, 9]
    x = torch.from_numpy(np.moveaxis(FILM, -1, 0)[None] / np.float32(255))
    np.testing.assert_allclose(parts[2], norm(x)[0].detach().numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_is_near_and_leaves_the_module_alone(precision):
    module = Conv2d(3, 3, 3, padding="same").eval()
    args = (make_normalizer("sigmoid"), FLOATS)
    exact = outputs(TorchStep(module, *args, scale=65535.0), IMAGE, 5)
    low = outputs(TorchStep(module, *args, scale=65535.0, precision=precision), IMAGE, 5)
    assert 0 < np.abs(low - exact).max() < 0.02  # bfloat16 has 8 bits
    assert module.weight.dtype == torch.float32


def test_a_module_in_training_mode_is_run_in_eval_mode():
    module = Sequential(Conv2d(3, 3, 1), nn.Dropout(0.9)).train()
    step = TorchStep(module, make_normalizer("none"), FLOATS, scale=65535.0)
    assert np.array_equal(
        outputs(step, IMAGE, 17),
        outputs(TorchStep(module[0], make_normalizer("none"), FLOATS, scale=65535.0), IMAGE, 17),
    )
    assert module.training


def test_errors_of_the_stack_are_compute_errors():
    step = TorchStep(Conv2d(4, 1, 3), make_normalizer("none"), FLOATS)
    with pytest.raises(ComputeError, match="cannot run over this input"):
        step.push(IMAGE)


def test_few_channels_on_a_cpu_are_fused_and_nothing_else():
    few = Conv3d(3, 4, 3, padding="same")
    args = (make_normalizer("sigmoid"), SampleFormat(8))
    assert isinstance(step_maker(few, *args)(), FusedStep)
    assert isinstance(step_maker(few, *args, precision="bfloat16")(), TorchStep)
    assert isinstance(step_maker(film_stack(), *args)(), TorchStep)
    assert isinstance(step_maker(Conv1d(1, 1, 3), *args)(), TorchStep)


def test_device_and_precision_names_are_checked():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "cuda:99"):
        with pytest.raises(UsageError, match="use auto or cpu"):
            pick_device(name)
    with pytest.raises(UsageError, match="did you mean 'float16'"):
        precision_dtype("flaot16")


@pytest.mark.parametrize("module", [Conv3d(3, 4, 3, padding="same"), film_stack()])
def test_chunks_shrink_as_frames_grow_and_follow_the_budget(module):
    def chosen(length, height, width, budget):
        info = SourceInfo(channels=3, shape=(length, height, width), scale=255.0)
        return choose_chunk(module, info, memory_budget_bytes=budget)

    small, large, huge = (chosen(None, h, 2 * h, 2**28) for h in (90, 720, 8000))
    assert small > large >= huge == 1
    assert chosen(None, 720, 1280, 2**30) > chosen(None, 720, 1280, 2**26)
    assert chosen(2, 90, 160, 2**28) == 2


def test_chunks_of_sound_are_long():
    assert choose_chunk(Conv1d(2, 8, 9), SourceInfo(channels=2, shape=(None,), scale=1.0)) >= 2**16


@pytest.mark.parametrize("stored", [SampleFormat(8), SampleFormat(10), SampleFormat(24, signed=True)])
def test_rounding_as_a_gpu_does_it_equals_the_format(stored):
    low = -1.0 if stored.signed else 0.0
    finisher = Finisher(make_normalizer("none", {}, (low, 1.0)), stored)
    values = torch.rand(3, 50) * (1.4 - low) + low - 0.2
    scaled = values.double().numpy() * stored.factor
    expected = int(((scaled < low * stored.factor - 0.5) | (scaled > stored.factor + 0.5)).sum())
    samples = finisher._rounded(values.clone())
    assert np.array_equal(samples, stored.quantize(values.numpy()))
    assert samples.dtype == stored.dtype
    assert finisher.clipped == expected > 0
