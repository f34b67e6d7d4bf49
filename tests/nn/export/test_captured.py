"""Captured models as exported steps: in torch against the model on the whole, and by onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor
from torch.nn import functional as F

from mediaconv import nn
from mediaconv.errors import UsageError
from mediaconv.nn import geometry
from mediaconv.nn.export.export_step import export_step
from mediaconv.nn.export.exported_step import run_step
from mediaconv.nn.export.step_files import write_step
from tests.nn.graph.test_capture import BOUNDED, PAST, WHOLE, Net, captured, frames

GROWING = "attention"
"""Keeps all the past, which no state of fixed shape holds."""
STEPS = [name for name in [*BOUNDED, *PAST] if name != GROWING]
NO_FORM = "cumprod", "cummax", "cummin of equals"
"""Have none in ONNX, which is told by name."""


def assert_step_is_the_call(graph: torch.nn.Module, shape: tuple[int, ...], length: int, chunk: int) -> None:
    x = torch.randn(shape[0], shape[1], length, *shape[3:], dtype=torch.float64)
    step = export_step(graph, x.new_zeros(*shape[:2], chunk, *shape[3:]))
    with torch.no_grad():
        y, whole = run_step(step, step.info, step.start(), x), graph(x)
    # float64 has 2e-16; sums of a chunk run in another order
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-12 * max(1.0, float(whole.abs().max())))


@cache
def made(name: str) -> torch.nn.Module:
    """One capture for all tests that do not change it."""
    return captured((BOUNDED | PAST)[name])


@pytest.mark.parametrize("name", STEPS)
def test_a_captured_model_as_a_step_is_the_model(name: str) -> None:
    graph = made(name)
    for length, chunk in ((24, 4), (31, 8), (6, 2), (40, 12)):
        if chunk % geometry(graph).input_period:
            continue
        assert_step_is_the_call(graph, (2, 4, 24), length - length % 2 * (name == "every second"), chunk)


@pytest.mark.parametrize("name", STEPS)
def test_a_captured_model_after_layers_of_another_rate_is_the_stack(name: str) -> None:
    """Lengths within the model are not those of the input."""
    torch.manual_seed(0)
    graph = made(name)
    for before, length in ((nn.Upsample1d(2), 13), (nn.Conv1d(4, 4, 5, stride=2, padding="same"), 44)):
        assert_step_is_the_call(nn.Sequential(before.double(), graph).eval(), (2, 4, 24), length, 8)


def test_resampling_before_a_captured_model_as_a_step() -> None:
    graph = captured(lambda m, x: m.a(x).tanh())
    for length in (147, 400, 1000):
        assert_step_is_the_call(
            nn.Sequential(nn.Resample(44100, 16000), graph).double().eval(), (2, 4, 24), length, 441
        )


def test_frames_folded_into_the_batch_as_a_step() -> None:
    graph = captured(frames, (2, 3, 7, 6, 8))
    assert_step_is_the_call(graph, (2, 3, 7, 6, 8), 11, 3)
    assert_step_is_the_call(graph, (2, 3, 7, 5, 9), 11, 4)


@pytest.mark.parametrize("name", [*WHOLE, GROWING])
def test_what_no_fixed_state_holds_is_refused(name: str) -> None:
    reasons = r"no step to export: .*(held to the end|all the past)|reads the whole input"
    with pytest.raises(ValueError, match=reasons):
        export_step(captured((BOUNDED | PAST | WHOLE)[name]), torch.zeros(2, 4, 8, dtype=torch.float64))


def written(graph: torch.nn.Module, folder: Path, chunk: int = 8) -> dict:
    """The facts of the file, which `write_step` runs over random chunks."""
    return write_step(export_step(graph, torch.zeros(2, 4, chunk)), folder / "step.onnx", graph)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first apart", "upsampled", "pooled", "lstm"])
def test_a_captured_model_runs_in_onnxruntime(name: str, tmp_path: Path) -> None:
    facts = written(captured((BOUNDED | PAST)[name]).float(), tmp_path)
    assert facts["checked"]["largest_difference"] <= 1e-5


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in STEPS if name not in NO_FORM])
def test_every_captured_model_runs_in_onnxruntime(name: str, tmp_path: Path) -> None:
    facts = written(captured((BOUNDED | PAST)[name]).float(), tmp_path)
    assert facts["checked"]["largest_difference"] <= 1e-5


@pytest.mark.slow
def test_another_export_of_the_name_does_not_lose_the_state_that_one_starts_from(tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = nn.to_streaming(Begins().eval(), example=torch.randn(2, 4, 24))
    written(graph, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    plain = nn.CausalConv1d(4, 4, 3).eval()
    for module in (graph, plain):
        step = export_step(module, torch.zeros(2, 4, 8))
        with pytest.raises(UsageError, match=r"state\.safetensors is in the way.*the state that step\.onnx"):
            write_step(step, tmp_path / "step.pt2", module)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write_step(step, tmp_path / "step.pt2", plain, overwrite=True)
    step = export_step(plain, torch.zeros(2, 4, 8))
    write_step(step, tmp_path / "other.onnx", plain)


class Newer(torch.nn.Module):
    """Operations that the older of torch's exporters to ONNX has no form for."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = torch.nn.BatchNorm1d(4), torch.nn.RMSNorm(4)
        self.a, (self.batch, self.rms) = torch.nn.Conv1d(4, 4, 3, padding=1), self.norms
        torch.nn.init.normal_(self.batch.running_mean)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.batch(self.a(x)) + (x > 0).to(x.dtype)
        y[:, :2] = torch.expm1(x[:, 2:])
        return self.rms(y.transpose(1, 2)).transpose(1, 2) + torch.sinc(x)


@pytest.mark.slow
def test_operations_that_one_exporter_alone_writes_run_in_onnxruntime(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    graph = nn.to_streaming(Newer().eval(), example=torch.randn(2, 4, 24))
    facts = written(graph, tmp_path)
    assert facts["checked"]["largest_difference"] <= 1e-5
    assert capfd.readouterr().out == ""
    assert str(Path(torch.__file__).parents[1]).encode() not in (tmp_path / "step.onnx").read_bytes()


@pytest.mark.slow
def test_an_operation_without_a_form_in_onnx_is_named(tmp_path: Path) -> None:
    graph = nn.to_streaming(Net(lambda m, x: torch.hypot(x, m.a(x))).eval(), example=torch.randn(2, 4, 24))
    with pytest.raises(UsageError, match=r"prims\.hypot.*\.pt2 may hold it"):
        written(graph, tmp_path)
    assert not list(tmp_path.iterdir())
    write_step(export_step(graph, torch.zeros(2, 4, 8)), tmp_path / "step.pt2", graph)


def test_padding_to_a_multiple_follows_from_the_length() -> None:
    graph = captured(lambda m, x: m.down(F.pad(m.a(x), (0, -x.shape[-1] % 4))))
    for length in (24, 25, 27, 34):
        assert_step_is_the_call(graph, (2, 4, 24), length, 8)


class Begins(torch.nn.Module):
    """A recurrence whose first state is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(4, 4, batch_first=True)
        self.first = torch.nn.Parameter(torch.randn(1, 1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.gru(x.transpose(1, 2), self.first.expand(-1, x.shape[0], -1).contiguous())
        return y.transpose(1, 2)


@pytest.mark.slow
def test_a_learned_first_state_lies_beside_the_file(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    module = Begins().eval()
    graph = nn.to_streaming(module, example=torch.randn(2, 4, 24))
    facts = written(graph, tmp_path)
    assert facts["checked"]["largest_difference"] <= 1e-5
    assert facts["initial_state"] == "step.state.safetensors"
    state = load_file(tmp_path / "step.state.safetensors")
    assert list(facts["state"]) == facts["inputs"][1:]
    assert set(state) == set(facts["state"])
    x = torch.randn(2, 4, 8)
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    y = session.run(["outputs"], {"chunk": x.numpy(), **state})[0]
    # float32 sums in another order
    torch.testing.assert_close(torch.from_numpy(y), module(x).detach(), rtol=0, atol=1e-6)
    (tmp_path / "step.state.safetensors").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"step\.state\.safetensors is in the way"):
        written(graph, tmp_path)
    assert (tmp_path / "step.state.safetensors").read_bytes() == b"precious"


def written_out(
    opened: Callable[[Tensor], Tensor], weigh: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[Net, Tensor], Any]:
    """Attention of two heads out of products. opened: of distances; weigh: weights of scores and a mask."""

    def forward(m: Net, x: Tensor) -> Tensor:
        n, c, t = x.shape
        q, k, v = (y.unflatten(1, (2, c // 2)).transpose(2, 3) for y in (x, m.a(x), m.b(x)))
        i = torch.arange(t)
        weights = weigh(q @ k.transpose(-1, -2) * 0.5, opened(i[:, None] - i[None]))
        return x + (weights @ v).transpose(2, 3).reshape(n, c, t)

    return forward


def by_softmax(scores: Tensor, opened: Tensor) -> Tensor:
    return scores.masked_fill(~opened, -torch.inf).softmax(-1)


def by_sums(scores: Tensor, opened: Tensor) -> Tensor:
    weights = torch.exp(scores) * opened
    return weights / weights.sum(-1, keepdim=True)


WRITTEN = {
    "window": written_out(lambda d: (d >= 0) & (d < 6), by_softmax),
    "both ways": written_out(lambda d: d.abs() < 4, by_softmax),
    "ahead alone": written_out(lambda d: (d <= 0) & (d > -3), by_softmax),
    "own sums": written_out(lambda d: (d >= -1) & (d < 5), by_sums),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_attention_out_of_products_as_a_step_is_the_model(name: str) -> None:
    graph = captured(WRITTEN[name])
    for length, chunk in ((24, 4), (31, 8), (5, 2), (40, 12)):
        assert_step_is_the_call(graph, (2, 4, 24), length, chunk)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["both ways", "own sums"])
def test_attention_out_of_products_runs_in_onnxruntime(name: str, tmp_path: Path) -> None:
    facts = written(captured(WRITTEN[name]).float(), tmp_path)
    assert facts["checked"]["largest_difference"] <= 1e-5


def test_attention_out_of_products_over_all_the_past_has_no_step() -> None:
    graph = captured(written_out(lambda d: d >= 0, by_softmax))
    with pytest.raises(ValueError, match=r"no step to export: .*all the past"):
        export_step(graph, torch.zeros(2, 4, 8, dtype=torch.float64))


class Same(torch.nn.Module):
    """TensorFlow's SAME under a stride: what is padded in front follows from the length."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 2, 5, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        missing = max((-(-x.shape[2] // 4) - 1) * 4 + 5 - x.shape[2], 0)
        return self.conv(F.pad(x, (missing // 2, missing - missing // 2)))


@pytest.mark.parametrize(("length", "before"), [(100, 1), (101, 1), (100, 2)])
def test_a_step_for_some_lengths_says_which_and_refuses_others(
    length: int, before: int, tmp_path: Path
) -> None:
    """before: how many steps an input step becomes before the model, whose lengths are as much longer."""
    torch.manual_seed(0)
    model = Same().double().eval()
    example = torch.zeros(1, 1, 100, dtype=torch.float64)
    captured_at = nn.to_streaming(model, example=example, length=length)
    stack = nn.Sequential(nn.Upsample1d(before), captured_at) if before > 1 else captured_at
    step = export_step(stack.eval(), example[:, :, :8])
    period, rest = 4 // before, length % 4 // before
    for n in range(20, 30):
        x = torch.randn(1, 1, n, dtype=torch.float64)
        state = step.start()
        state[1] = torch.tensor(n)
        _, *after = step(x[:, :, :8], *state)
        if n % period == rest:
            whole = model(x.repeat_interleave(before, 2))
            assert int(after[2]) == whole.shape[2]
            y = run_step(step, step.info, step.start(), x)
            # float64 has 2e-16; sums of a chunk run in another order
            torch.testing.assert_close(y, whole, rtol=0, atol=1e-12)
        else:
            assert int(after[2]) == -1
            with pytest.raises(
                ValueError, match=rf"length {n}: .* that leave {rest} when divided by {period}"
            ):
                run_step(step, step.info, step.start(), x)
    facts = write_step(step, tmp_path / "step.pt2", stack)
    assert (facts["lengths"]["period"], facts["lengths"]["rests"]) == (period, (rest,))


class OtherwiseBetween(torch.nn.Module):
    """Goes another way at lengths that are no multiple of a number."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.conv, self.multiple = torch.nn.Conv1d(1, 1, 3, padding=1), multiple

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * (2 if x.shape[2] % self.multiple else 1)


@pytest.mark.parametrize(("multiple", "period"), [(2, 2), (768, None)])
def test_lengths_that_repeat_too_seldom_to_tell_have_no_step(multiple: int, period: int | None) -> None:
    example = torch.zeros(1, 1, 2 * multiple)
    graph = nn.to_streaming(OtherwiseBetween(multiple).eval(), example=example)
    if period is not None:
        lengths = export_step(graph, example[:, :, :8]).info.lengths
        assert lengths is not None
        assert (lengths.period, lengths.rests) == (period, (0,))
        return
    with pytest.raises(ValueError, match="repeat after more than 512 steps or never"):
        export_step(graph, example[:, :, :8])


class OtherwiseSeldom(torch.nn.Module):
    """Goes another way at lengths of which none is near those that are tried."""

    def __init__(self, seldom: Callable[[int], bool]) -> None:
        super().__init__()
        self.conv, self.seldom = torch.nn.Conv1d(1, 1, 3, padding=1), seldom

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * (2 if self.seldom(x.shape[2]) else 1)


SELDOM = {
    "multiples": (lambda n: n % 5000 == 0, 5000, "all but 5000 n"),
    "of frames": (lambda n: (n // 4 + 1) // 7 % 311 == 0, 4 * 7 * 311, "T with .*"),
    "long ones": (lambda n: n > 20000, 20001, "up to 20000"),
}


@pytest.mark.parametrize("name", SELDOM)
def test_lengths_that_are_met_seldom_are_told_and_have_no_step(name: str) -> None:
    """What is said of lengths follows from the conditions: none of those tried need meet one."""
    seldom, length, words = SELDOM[name]
    graph = nn.to_streaming(OtherwiseSeldom(seldom).eval(), example=torch.zeros(1, 1, 64))
    assert any(re.match(rf"lengths {words} alone: ", note) for note in graph.notes), graph.notes
    assert seldom(length)
    with pytest.raises(ValueError, match=rf"length {length}: this capture holds for lengths {words} alone"):
        graph.check_length(length)
    with pytest.raises(ValueError, match="repeat after more than 512 steps or never"):
        export_step(graph, torch.zeros(1, 1, 8))


def test_a_step_says_how_short_an_input_may_be() -> None:
    """A reflection takes no fewer steps than it repeats: the model itself refuses them."""
    graph = captured(lambda m, x: m.a(F.pad(x, (5, 0), mode="reflect")))
    step = export_step(graph, torch.zeros(2, 4, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"length 5: the model takes none so short; .* from 6 on"):
        run_step(step, step.info, step.start(), torch.zeros(2, 4, 5, dtype=torch.float64))
    assert_step_is_the_call(graph, (2, 4, 24), 6, 2)


class Spectra(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        window = torch.hann_window(16, dtype=x.dtype)
        z = torch.stft(x[:, 0], 16, 4, window=window, return_complex=True)
        return torch.istft(z * 0.5, 16, 4, window=window, length=x.shape[2])[:, None]


def test_frames_that_overlap_have_no_step_and_are_named() -> None:
    graph = nn.to_streaming(Spectra().eval(), example=torch.zeros(1, 1, 100))
    with pytest.raises(
        ValueError, match=r"frames that are added where they overlap.*end the model before them"
    ):
        export_step(graph, torch.zeros(1, 1, 8))


class Embedded(torch.nn.Module):
    """With a learned vector for each of 60 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = torch.nn.Embedding(60, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.positions(torch.arange(x.shape[2])).T


def test_a_table_that_is_read_by_positions_is_exported() -> None:
    """Past its end neither the model nor the step gives anything."""
    graph = nn.to_streaming(Embedded().double().eval(), example=torch.randn(1, 4, 24, dtype=torch.float64))
    assert_step_is_the_call(graph, (1, 4, 24), 60, 8)


class Features(torch.nn.Module):
    """A layer of numbers at one position behind a stride: torch asks how the batch divides by the length."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix = torch.nn.Conv1d(4, 3, 4, stride=2), torch.nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.conv(F.pad(x, (2, 0))).mT).mT


def test_a_linear_layer_behind_a_stride_has_a_step() -> None:
    graph = nn.to_streaming(Features().double().eval(), example=torch.randn(1, 4, 24, dtype=torch.float64))
    for length in (24, 31):
        assert_step_is_the_call(graph, (1, 4, 24), length, 8)
