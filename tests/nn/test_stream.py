"""The stream itself: its errors, its state, items that begin anew, gradients, types, the input's ends."""

from __future__ import annotations

import copy
import io
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import nn as tn

from mediaconv import nn
from mediaconv.nn.streaming.protocol import Pointwise
from mediaconv.testing import close, run, split
from tests.nn.contract import verify_contract


def deep(causal: bool = True) -> tn.Module:
    """A stack with strides, a transposed layer and unequal branches."""
    prefix = "Causal" if causal else ""
    conv, transpose = getattr(nn, f"{prefix}Conv1d"), getattr(nn, f"{prefix}ConvTranspose1d")
    return nn.Sequential(
        conv(2, 4, 3, 2, "same"),
        nn.Residual(nn.Sequential(conv(4, 4, 5, 1, "same"), tn.GELU())),
        nn.Branches([conv(4, 4, 2, 1, "same"), conv(4, 4, 3, 1, "same", 3)], "concat"),
        transpose(8, 2, 4, 2, "same"),
    )


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_the_issues_own_example() -> None:
    conv = nn.CausalConv3d(3, 8, kernel_size=(3, 5, 5), dilation=(2, 1, 1))
    conv.load_state_dict(tn.Conv3d(3, 8, (3, 5, 5), dilation=(2, 1, 1)).state_dict())
    x = noise(1, 3, 12, 6, 7, dtype=torch.float32)
    s = nn.stream(conv)
    y = torch.cat([s.push(x[:, :, :7]), s.push(x[:, :, 7:]), s.flush()], dim=2)
    assert y.shape == (1, 8, 12, 6, 7)
    torch.testing.assert_close(y, conv(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [0, 1, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_inputs_of_nothing_one_and_two(length: int, causal: bool) -> None:
    verify_contract(deep(causal), (2, 2, length), [0, 1, 0], causal=causal)


@pytest.mark.parametrize("length", [0, 1])
def test_windows_that_lie_wholly_in_the_padding_wait_for_an_input(length: int) -> None:
    for module in nn.Conv1d(1, 1, 1, padding=2), nn.Conv1d(1, 1, 2, padding=3, padding_mode="replicate"):
        verify_contract(module, (1, 1, length), [0, 0, 1], measure="no")


def test_bfloat16_and_any_batch() -> None:
    verify_contract(deep(), (5, 2, 13), [4, 0, 1, 3], dtype=torch.bfloat16, causal=True)


def test_gradients_in_chunks_are_those_of_the_whole() -> None:
    module = deep(causal=False).double()
    x = noise(2, 2, 14).requires_grad_()
    weights = noise(*module(x).shape)
    wanted = torch.autograd.grad((module(x) * weights).sum(), [x, *module.parameters()])
    y = run(nn.stream(module), split(x, [1, 4, 0, 3, 1], 0))
    got = torch.autograd.grad((y * weights).sum(), [x, *module.parameters()])
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_detach_ends_the_graph() -> None:
    s = nn.stream(nn.CausalConv1d(1, 1, 3))
    x = noise(1, 1, 4, dtype=torch.float32).requires_grad_()
    s.push(x)
    s.detach()
    later = s.push(torch.ones(1, 1, 1))
    (gradient,) = torch.autograd.grad(later.sum(), x, allow_unused=True)
    assert gradient is None


@pytest.mark.parametrize("make", [deep, lambda: nn.Conv1d(2, 2, 4), lambda: nn.GroupNorm(1, 2)])
def test_a_chunk_may_be_overwritten_after_its_push(make: Callable[[], tn.Module]) -> None:
    module, x = make().double(), noise(1, 2, 12)
    s, outputs, buffer = nn.stream(module), [], torch.empty(1, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        for chunk in x.split(3, 2):
            buffer.copy_(chunk)
            outputs.append(s.push(buffer))
            buffer.fill_(float("nan"))
        torch.testing.assert_close(torch.cat([*outputs, s.flush()], 2), module(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_items_that_begin_anew_give_what_a_fresh_stream_gives(causal: bool) -> None:
    module, x = deep(causal).double(), noise(4, 2, 26)
    with torch.no_grad():
        s = nn.stream(module)
        outputs = [s.push(x[..., :3]), s.push(x[..., 3:10])]
        s.reset([1, 3])
        outputs.append(s.push(x[..., 10:13]))
        file = io.BytesIO()
        torch.save(s.state_dict(), file)
        file.seek(0)
        s = nn.stream(module)
        s.load_state_dict(torch.load(file))
        outputs.append(s.push(x[..., 13:20]))
        s.reset(torch.tensor([True, True, False, False]))
        aside = s.copy()
        aside.push(x[..., :5])
        y = torch.cat([*outputs, s.push(x[..., 20:]), s.flush()], 2)
        expected = module(x)
        for item, begins in ((0, (0, 20, 26)), (1, (0, 10, 20, 26)), (3, (0, 10, 26))):
            for start, end in itertools.pairwise(begins):
                alone = module(x[item : item + 1, :, start:end])[0]
                torch.testing.assert_close(y[item, :, start:end], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(y[2], expected[2], rtol=0, atol=1e-12)


def test_items_of_a_layer_that_needs_the_end() -> None:
    module, x = nn.GroupNorm(1, 2).double(), noise(2, 2, 9)
    s = nn.stream(module)
    s.push(x[..., :4])
    s.reset([0])
    y = torch.cat([s.push(x[..., 4:]), s.flush()], 2)
    torch.testing.assert_close(y[:1], torch.cat([module(x[:1, :, :4]), module(x[:1, :, 4:])], 2))
    torch.testing.assert_close(y[1:], module(x[1:]))


@pytest.mark.parametrize(
    ("items", "pushed", "message"),
    [
        ([2], 4, "indices from 0 to 1"),
        ([0], 3, "multiples of 2 inputs"),
        (torch.ones(3).bool(), 4, "mask of shape"),
    ],
)
def test_resets_that_cannot_be(items: Any, pushed: int, message: str) -> None:
    s = nn.stream(nn.CausalConv1d(1, 1, 3, 2))
    s.push(torch.ones(2, 1, pushed))
    with pytest.raises(ValueError, match=message):
        s.reset(items)


def test_a_reset_stream_is_a_fresh_one() -> None:
    module, x = deep(), noise(1, 2, 10, dtype=torch.float32)
    s = nn.stream(module)
    first = run(s, [x])
    s.reset()
    assert torch.equal(run(s, [x]), first)
    with pytest.raises(ValueError, match="begins another for all"):
        s.reset([0])


def test_use_after_the_end_is_refused() -> None:
    s = nn.stream(tn.ReLU())
    with pytest.raises(ValueError, match="nothing was pushed"):
        s.flush()
    s.push(torch.ones(1, 1, 2))
    s.flush()
    with pytest.raises(ValueError, match="call reset"):
        s.push(torch.ones(1, 1, 2))
    with pytest.raises(ValueError, match="call reset"):
        s.flush()


def test_a_whole_input_is_the_first_and_the_last() -> None:
    module, x = deep(), noise(1, 2, 10, dtype=torch.float32)
    s = nn.stream(module)
    s.push(x[..., :4])
    with pytest.raises(ValueError, match="pushed to this stream already"):
        s.whole(x)
    other = s.fresh()
    assert other.whole(x).shape == module(x).shape
    for act in (other.whole, other.push):
        with pytest.raises(ValueError, match="call reset"):
            act(x)
    joined = torch.cat([s.push(x[..., 4:]), s.flush()], 2)  # the other stream left this one alone
    again = nn.stream(module)
    again.push(x[..., :4])
    assert torch.equal(joined, torch.cat([again.push(x[..., 4:]), again.flush()], 2))


@pytest.mark.parametrize(
    "second", [torch.ones(2, 1, 3), torch.ones(1, 2, 3), torch.ones(1, 1, 3).double(), torch.ones(1, 1)]
)
def test_chunks_that_do_not_fit_are_refused(second: Tensor) -> None:
    s = nn.stream(nn.CausalConv1d(1, 1, 2))
    s.push(torch.ones(1, 1, 3))
    with pytest.raises(ValueError, match="chunk"):
        s.push(second)


class Failing(Pointwise, tn.Module):
    """The identity, which is interrupted where it is told to."""

    fails = False

    def forward(self, x: Tensor) -> Tensor:
        if self.fails:
            raise KeyboardInterrupt
        return x


def test_a_chunk_that_is_refused_leaves_the_stream_as_it_was() -> None:
    module, x = nn.CausalConv1d(1, 2, 3), torch.randn(2, 1, 9)
    s, outputs = nn.stream(module), []
    for chunk in x.split(4, 2):
        with pytest.raises(ValueError, match=r"got 3 channels, this layer takes 1|does not continue"):
            s.push(torch.randn(2, 3, 4))
        outputs.append(s.push(chunk))
    close(torch.cat([*outputs, s.flush()], 2), module(x), None, "after refusals")


def test_a_stream_does_not_go_on_after_an_error_inside_the_module() -> None:
    failing = Failing()
    module = nn.Sequential(nn.CausalConv1d(1, 2, 3), failing, nn.Conv1d(2, 2, 3, padding="same"))
    x = torch.randn(2, 1, 9)
    s = nn.stream(module)
    first = s.push(x[..., :4])
    taken = s.get_state()
    failing.fails = True
    with pytest.raises(KeyboardInterrupt):
        s.push(x[..., 4:])
    failing.fails = False
    for use in lambda: s.push(x[..., 4:]), s.flush, s.get_state, s.state_dict, s.copy, lambda: s.reset([0]):
        with pytest.raises(ValueError, match="failed inside the module"):
            use()
    s.set_state(taken)
    close(torch.cat([first, run(s, [x[..., 4:]])], 2), module(x), None, "put back")
    s.reset()
    close(run(s, [x]), module(x), None, "reset")


def test_states_of_other_modules_are_refused() -> None:
    s = nn.stream(nn.CausalConv1d(1, 1, 2))
    s.push(torch.ones(1, 1, 3))
    with pytest.raises(ValueError, match="another module"):
        nn.stream(nn.CausalConvTranspose1d(1, 1, 2)).load_state_dict(s.state_dict())
    with pytest.raises(ValueError, match="another module"):
        nn.stream(tn.ReLU()).set_state(s.get_state())


@pytest.mark.parametrize("layer", [tn.Dropout(0.5), nn.BatchNorm1d(1), tn.BatchNorm1d(1), tn.RReLU()])
def test_training_mode_is_refused_by_name(layer: tn.Module) -> None:
    module = nn.Sequential(nn.CausalConv1d(1, 1, 2), copy.deepcopy(layer))
    with pytest.raises(ValueError, match=f"1: {type(layer).__name__} in training mode"):
        nn.stream(module)
    verify_contract(module, (2, 1, 6), [2, 1])


def test_unknown_layers_are_named_with_their_place() -> None:
    module = nn.Sequential(nn.CausalConv1d(1, 1, 2), nn.Residual(nn.Sequential(tn.LSTM(1, 1))))
    for ask in nn.stream, nn.geometry, nn.noncausal_layers:
        with pytest.raises(TypeError, match=r"1\.layers\.0: LSTM .*register_converter"):
            ask(module)


def test_known_torch_layers_stream_as_they_are() -> None:
    torch.manual_seed(0)  # of some weights the ReLU leaves nothing, and no gradient tells what is read
    model = tn.Sequential(
        tn.Conv2d(1, 2, 3, padding=1), tn.Sequential(tn.ReLU(), nn.CausalConv2d(2, 2, 3), tn.MaxPool2d(2))
    )
    verify_contract(model, (2, 1, 7, 5), [1, 0, 3])
    assert nn.geometry(model, axis=1).total_stride == nn.stream(model, axis=1).stride == 2
    assert [(name, ahead) for name, _, ahead in nn.noncausal_layers(model)] == [("0", 1), ("1.2", 1)]


@pytest.mark.parametrize("axis", [-1, 2])
def test_an_axis_that_is_not_there_is_refused(axis: int) -> None:
    module = nn.Sequential(tn.ReLU(), nn.Conv2d(1, 1, 3))
    with pytest.raises(ValueError, match=f"axis: got {axis}, expected 0 to 1"):
        nn.stream(module, axis=axis)


def test_unequal_branches_are_refused() -> None:
    with pytest.raises(ValueError, match="strides 1, 2 cannot be merged"):
        nn.stream(nn.Branches([nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 1, 2)]))
    with pytest.raises(ValueError, match="expected one of add, concat, mul"):
        nn.Branches([tn.ReLU()], "sub")


@pytest.mark.parametrize("merge", ["add", "mul", "concat"])
def test_a_branch_of_length_one_is_not_repeated(merge: str) -> None:
    longer = nn.Sequential(nn.Conv1d(1, 1, 1, 3), nn.Upsample1d(3))
    module = nn.Branches([nn.Conv1d(1, 1, 1), longer], merge)
    with pytest.raises(ValueError, match=rf"shapes \(1, 1, 1\), \(1, 1, 3\), which {merge} cannot merge"):
        module(torch.randn(1, 1, 1))
    with pytest.raises(ValueError, match="add cannot merge"):
        nn.Residual(nn.Conv1d(1, 2, 1))(torch.randn(1, 1, 4))


def test_memory_depends_on_the_window_not_on_the_length() -> None:
    s = nn.stream(deep())
    sizes = set()
    for _ in range(50):
        s.push(torch.ones(1, 2, 4))
        sizes.add(sum(t.numel() for t in s.state_dict().values()))
    assert len(sizes) <= 3


class Threads(Pointwise, tn.Module):
    """Notes the threads that torch may use."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self._seen = seen

    def forward(self, x: Tensor) -> Tensor:
        self._seen.append(torch.get_num_threads())
        return x


def test_a_short_chunk_of_sound_stays_on_one_thread() -> None:
    seen: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        failing = Failing()
        s = nn.stream(nn.Sequential(Threads(seen), nn.CausalConv1d(8, 8, 3), failing))
        s.push(torch.zeros(1, 8, 64))
        s.push(torch.zeros(1, 8, 50_000))  # ten million products
        s.push(torch.zeros(1, 8, 200_000))
        failing.fails = True
        with pytest.raises(KeyboardInterrupt):
            s.push(torch.zeros(1, 8, 64))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1, 2, 1]
