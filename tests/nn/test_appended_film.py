"""Film that is channels last and comes in chunks shorter than a window: appended, each frame copied once."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.nn.backends import appended_film, large_pages
from mediaconv.nn.streaming import stream as stream_module
from mediaconv.nn.streaming import window as window_module
from mediaconv.testing import run, split

FILM = 1, 3, 14, 36, 40


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one frame of 36x40 take the way of long ones."""
    monkeypatch.setattr(window_module, "LARGE_BYTES", 1)
    monkeypatch.setattr(large_pages, "LARGE_BYTES", 2**12)
    monkeypatch.setattr(stream_module, "SHORT_BYTES", 1)


def film(*, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(FILM, dtype=dtype).contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_appended_film_has_the_bits_of_joined(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    x = film(dtype=dtype)
    for kernel, stride, dilation, causal in itertools.product((2, 3, 5), (1, 2), (1, 2), (False, True)):
        cls = nn.CausalConv3d if causal else nn.Conv3d
        module = cls(3, 4, (kernel, 3, 3), (stride, 1, 1), "same", (dilation, 1, 1)).to(dtype).eval()
        for plan in ((1,) * 14, (2,) * 7, (1, 0, 2, 1, 5, 1, 1, 1), (6, 1, 1, 1, 1, 2)):
            with torch.inference_mode():
                ours = run(nn.stream(module), split(x, plan, 0))
                with monkeypatch.context() as m:
                    m.setattr(window_module, "appended", lambda *rest: None)
                    joined = run(nn.stream(module), split(x, plan, 0))
            assert torch.equal(ours, joined)
    before = 2 * (kernel - 1), 0
    padded = F.pad(x.double(), (1, 1, 1, 1, *before))
    weights = module.weight.detach().double(), module.bias.detach().double()
    theirs = F.conv3d(padded, *weights, (2, 1, 1), 0, (2, 1, 1))
    limit = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 2**-6}[dtype]  # rounded to the type
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=limit * float(theirs.abs().max()))


def test_a_frame_is_copied_once_and_the_tail_where_room_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    copied, places = [], set()
    copy, appended = appended_film._copy, window_module.appended

    def counted(held: torch.Tensor, part: torch.Tensor, first: int) -> None:
        copied.append(part.shape[2])
        copy(held, part, first)

    def placed(*arguments: object) -> torch.Tensor | None:
        held = appended(*arguments)  # type: ignore[arg-type]
        places.add(held.untyped_storage().data_ptr())
        return held

    monkeypatch.setattr(appended_film, "_copy", counted)
    monkeypatch.setattr(window_module, "appended", placed)
    s = nn.stream(nn.CausalConv3d(3, 2, 3))
    with torch.inference_mode():
        for frame in torch.cat([film()] * 4, 2).split(1, 2):
            s.push(frame)
    assert len(places) == 1
    assert sum(copied) < 2.1 * 56, "one frame a push, and two where four frames of room are full"


def test_states_and_copies_do_not_see_what_is_appended_later() -> None:
    x = film()
    module = nn.Sequential(nn.CausalConv3d(3, 4, 3), torch.nn.ReLU(), nn.Conv3d(4, 3, 3, padding=1)).eval()
    with torch.inference_mode():
        whole = run(nn.stream(module), x.split(1, 2))
        for middle in range(1, 10):
            s = nn.stream(module)
            start = [s.push(frame) for frame in x[:, :, :middle].split(1, 2)]
            state, duplicate = s.get_state(), s.copy()
            for other in film().flip(2)[:, :, :5].split(1, 2):
                s.push(other)  # another film, in the memory that the state was taken from
            rest = x[:, :, middle:].split(1, 2)
            assert torch.equal(torch.cat([*start, run(duplicate, rest)], 2), whole)
            s.set_state(state)
            assert torch.equal(torch.cat([*start, run(s, rest)], 2), whole)


def test_a_stream_goes_on_outside_inference_mode_and_with_gradients() -> None:
    x, module = film(), nn.CausalConv3d(3, 2, 3)
    parts = x.split(1, 2)
    whole = module(x)
    s = nn.stream(module)
    with torch.inference_mode():
        outputs = [s.push(part) for part in parts[:4]]
    with torch.no_grad():
        outputs += [s.push(part) for part in parts[4:8]]
    recorded = nn.stream(module)
    y = torch.cat([recorded.push(part) for part in parts], 2)
    weights = torch.randn_like(y)
    pair = [torch.autograd.grad((v * weights).sum(), module.weight)[0] for v in (y, whole)]
    torch.testing.assert_close(*pair, rtol=1e-5, atol=1e-3)  # sums of 20,160 products
    torch.testing.assert_close(torch.cat(outputs, 2), whole[:, :, :8].detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-5)
