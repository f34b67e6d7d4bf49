"""What a user is told of modules that cannot be captured as they stand: the cause, its line, what to do."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import nn as tn

from mediaconv import nn
from mediaconv.nn.graph.capture.export_failure import reasons_of
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.streaming.protocol import run_chunks
from tests.nn.graph.asserting_module import Asserted

X = torch.randn(1, 2, 40, generator=torch.Generator().manual_seed(0))


class Given(tn.Module):
    """A convolution, and a forward that is given."""

    def __init__(self, way: Callable[..., Any]) -> None:
        super().__init__()
        self.conv = tn.Conv1d(2, 2, 3, padding=1)
        self.way = way

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


class Branch(tn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 0:  # the line that is told
            return x
        return -x


class Counter(tn.Module):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


class Pair(tn.Module):
    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return x + other


def refused(module: Any, example: Any = X) -> str:
    with pytest.raises(CaptureError) as error:
        nn.to_streaming(module, example=example)
    return str(error.value)


def test_a_way_that_depends_on_values_is_told_with_module_and_line() -> None:
    said = refused(tn.Sequential(tn.Conv1d(2, 2, 3), Branch()))
    for words in ("in 1 (Branch)", "test_refusals.py:", "if x.mean() > 0:", "torch.where"):
        assert words in said, words
    assert "in 1 (Given)" in refused(tn.Sequential(tn.ReLU(), Given(lambda m, x: x * float(x.max()))))


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Pair(), "more than one input (1 required positional argument: 'other')"),
        (Given(lambda m, x: m.conv(x.mul_(2)) + x), "x = x.clone()"),
        (Given(lambda m, x: None), "gives a NoneType"),
        (Given(lambda m, x: torch.from_numpy(x.numpy() * 2)), "numpy"),
        (Given(lambda m, x: m.conv(x) * m.conv.bias.data[:, None]), "write .detach() there"),
        (Counter(), "called again on the same input"),
        (tn.Sequential(tn.LazyConv1d(2, 3), Branch()), "lazy layer"),
        (Given(lambda m, x: m.conv(x)).to("meta"), "meta device"),
        (lambda x: x, "expected a torch.nn.Module"),
    ],
)
def test_the_cause_is_told(module: Any, words: str) -> None:
    assert words in refused(module)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused_by_name() -> None:
    part = torch.jit.trace(tn.Conv1d(2, 2, 3), X)
    assert "TorchScript" in refused(part)
    assert "TorchScript (1)" in refused(tn.Sequential(tn.ReLU(), part))


@pytest.mark.parametrize("example", [X.numpy(), [X], X[..., :0], X[0]])
def test_an_example_that_is_none_is_told_of(example: Any) -> None:
    assert "example" in refused(Given(lambda m, x: m.conv(x)), example)


def joined(graph: tn.Module, x: Tensor) -> Tensor:
    s = nn.stream(graph)
    return torch.cat([s.push(x[..., :1]), s.push(x[..., 1:8]), s.push(x[..., 8:]), s.flush()], 2)


@torch.no_grad()
def test_values_that_are_no_floats_are_compared() -> None:
    embedded = Given(lambda m, x: m.conv(m.table(x[:, 0]).transpose(1, 2)))
    embedded.table = tn.Embedding(3, 2)
    tokens = torch.randint(0, 3, (1, 1, 40), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(joined(nn.to_streaming(embedded, example=tokens), tokens), embedded(tokens))
    signs = Given(lambda m, x: m.conv(x) > 0)
    assert torch.equal(joined(nn.to_streaming(signs, example=X), X), signs(X))
    turned = Given(
        lambda m, x: torch.view_as_real(
            torch.view_as_complex(x.transpose(1, 2).contiguous()) * (1 + 1j)
        ).transpose(1, 2)
    )
    torch.testing.assert_close(joined(nn.to_streaming(turned, example=X), X), turned(X))


@torch.no_grad()
def test_a_first_parameter_of_another_type_changes_nothing() -> None:
    module = tn.Sequential(Given(lambda m, x: x * m.scale.float()), tn.Conv1d(2, 2, 3, padding=1))
    module[0].scale = tn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    torch.testing.assert_close(joined(nn.to_streaming(module, example=X), X), module(X))


@torch.no_grad()
def test_compiled_parts_are_captured_without_being_compiled() -> None:
    def backend(*_: Any) -> Any:
        raise AssertionError("compiled")

    module = tn.Sequential(torch.compile(tn.Conv1d(2, 2, 3, padding=1), backend=backend), tn.ReLU())
    graph = nn.to_streaming(module, example=X)
    with torch.compiler.set_stance("force_eager"):
        torch.testing.assert_close(joined(graph, X), module(X))


@torch.no_grad()
def test_what_data_writes_is_seen_by_the_next_stream() -> None:
    """`.data` leaves a tensor's version as it is: the normed weight is computed again for each stream."""
    conv = tn.utils.parametrizations.weight_norm(tn.Conv1d(2, 2, 3, padding=1))
    graph = nn.to_streaming(tn.Sequential(conv), example=X)
    joined(graph, X)
    conv.parametrizations.weight.original0.data.mul_(2)
    torch.testing.assert_close(joined(graph, X), conv(X))


@torch.no_grad()
def test_a_model_that_rounds_more_than_is_usual_is_judged_in_float64() -> None:
    torch.manual_seed(0)

    class Cancels(tn.Module):
        """Float32 keeps some three digits of what is left of a large sum."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = tn.Conv1d(2, 2, 31, padding=15)

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x + 3000.0) - self.conv(x + 2999.0)) * 10

    graph = nn.to_streaming(Cancels().eval(), example=X)
    assert any("rounding" in note for note in graph.notes)
    exact = nn.to_streaming(Cancels().double().eval(), example=X.double())
    assert exact.notes == []


def test_hooks_on_what_streams_by_its_own_steps_are_told_or_captured() -> None:
    own = nn.Sequential(nn.Conv1d(2, 2, 3), tn.ReLU())
    for part in (own, own[0], own[1]):
        handle = part.register_forward_hook(lambda m, args, y: y * 2)
        with pytest.raises(TypeError, match="hooks"):
            nn.stream(own)
        with torch.no_grad():
            graph = nn.to_streaming(own, example=X)
            torch.testing.assert_close(joined(graph, X), own(X))
        assert "hooks" in graph.notes[0]
        handle.remove()
    assert nn.stream(own).module is own


@torch.no_grad()
def test_a_forward_put_on_one_layer_is_captured() -> None:
    model = tn.Sequential(tn.Conv1d(2, 2, 3, padding=1), tn.ReLU())
    model[0].forward = lambda x: x * 2
    with pytest.raises(TypeError, match="a forward of its own"):
        nn.stream(model)
    torch.testing.assert_close(joined(nn.to_streaming(model, example=X), X), model(X))


def test_a_class_that_is_wrongly_called_pointwise_is_refused_alone_too() -> None:
    class Difference(tn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - tn.functional.pad(x, (1, 0))[..., :-1]

    nn.register_pointwise(Difference)
    for module in (Difference(), nn.Sequential(Difference())):
        with pytest.raises(TypeError, match="in chunks, gives other values"):
            nn.stream(module, example=X)


def test_registrations_of_what_is_no_class_or_no_names_are_refused() -> None:
    with pytest.raises(TypeError, match="expected a class"):
        nn.register_pointwise("Snake")
    with pytest.raises(TypeError, match="several names"):
        nn.register_chain(Branch, layers="conv")


def test_a_state_of_another_module_is_refused() -> None:
    def half_done(kernel: int) -> nn.Stream:
        s = nn.stream(nn.Sequential(nn.Conv1d(2, 2, kernel)))
        s.push(X)
        return s

    with pytest.raises(ValueError, match="another module"):
        half_done(3).load_state_dict(half_done(5).state_dict())
    with pytest.raises(ValueError, match="another module"):
        half_done(3).set_state(half_done(5).get_state())
    half_done(3).set_state(half_done(3).get_state())


def test_an_opaque_module_of_impossible_numbers_or_values_is_refused() -> None:
    conv = tn.Conv1d(2, 2, 3)
    with pytest.raises(ValueError, match="lookback"):
        nn.opaque(conv, -1, 2, 1, example=X)
    with pytest.raises(ValueError, match="stride"):
        nn.opaque(conv, 2, 2, 0, example=X)
    with pytest.raises(CaptureError, match=r"eval\(\)"):
        nn.opaque(tn.Dropout(), example=X)
    both = Given(lambda m, x: (x, 2 * x))
    with pytest.raises(CaptureError, match="gives 2 tensors: choose one by output, of 0, 1"):
        nn.opaque(both, example=X)
    assert torch.equal(nn.opaque(both, 0, 0, 1, example=X, output=1)(X), 2 * X)


def to_a_multiple(m: Given, x: Tensor) -> Tensor:
    whole = operator.index(math.ceil(x.shape[2] / 16))
    return m.conv(torch.nn.functional.pad(x, (16, whole * 16 - x.shape[2])))


def test_a_size_that_became_a_number_is_told_of_with_the_way_out() -> None:
    said = refused(Given(to_a_multiple).eval())
    for words in ("grows with the input's length, 48 - T", "math.ceil", "-(-x.shape[-1] // hop)"):
        assert words in said, words


def test_assertions_on_values_are_taken_as_true_and_told() -> None:
    module = Asserted().eval()
    graph = nn.to_streaming(module, example=X)
    (note,) = graph.notes
    assert "not checked in a stream" in note
    assert "assert (x.abs() < 100).all()" in note
    assert "assert not x.isnan().any()" in note
    torch.testing.assert_close(joined(graph, X), module(X))
    with pytest.raises(AssertionError, match="too large"):
        module(X + 200)


def test_a_size_that_was_found_by_dividing_the_length_is_told() -> None:
    def windowed(module: Any, x: Tensor) -> Tensor:
        y = module.conv(x).unflatten(2, (x.shape[2] // 8, -1))
        return (y + torch.arange(y.shape[3])).flatten(2)

    said = refused(Given(windowed))
    assert "arange" in said
    assert "a tensor of (T//((T//8))) values, a size that follows from the input's length" in said
    assert "give it as a number" in said


class Mixed(tn.Module):
    """Colours mixed by a matrix, as libraries of colour spaces write it."""

    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation
        self.register_buffer("matrix", torch.randn(3, 3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum(self.equation, self.matrix, x)


@pytest.mark.parametrize("equation", ["ij,...jhw->...ihw", "ij, ...jhw -> ...ihw", "ij,bjhw->bihw"])
def test_an_einsum_over_any_leading_axes_streams(equation: str) -> None:
    module = Mixed(equation).eval()
    x = torch.randn(1, 3, 12, 5, dtype=torch.float64)
    streamed = run_chunks(nn.to_streaming(module, example=x), x.split(5, 2), 0)
    torch.testing.assert_close(streamed, torch.einsum("ij,bjhw->bihw", module.matrix, x), rtol=0, atol=1e-12)


def test_what_torch_says_of_sizes_and_loops_is_told_in_words() -> None:
    said = "The inequality, Eq(-2*(17*x - 32)*(((x/16)//2)), 0) cannot be solved"
    assert "made for inputs of one size; opaque(" in reasons_of(RuntimeError(said), tn.Identity())[0]
    said = "Attempting to use FunctionalTensor on its own. While executing %while_loop"
    assert "whose reach is not known: opaque(" in reasons_of(RuntimeError(said), tn.Identity())[0]
