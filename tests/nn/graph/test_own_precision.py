"""Modules that compute a part in a type of their own: a run in float32 leaves that part as it is."""

import pickle

import pytest
import torch
from torch import Tensor
from torch import nn as tn
from torch.export import Dim

import mediaconv
from mediaconv.model_files.open_model import open_model
from mediaconv.nn import stream, to_streaming

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # captures


class Inside(tn.Module):
    def __init__(self, kind: torch.dtype, part: tn.Module) -> None:
        super().__init__()
        self.a, self.b = tn.Conv1d(3, 4, 3, padding=1), tn.Conv1d(4, 3, 3, padding=1)
        self.part, self.kind = part.to(kind), kind

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(self.a(x).to(self.kind).mT)
        y = y[0] if isinstance(y, tuple) else y
        return self.b(y.mT.to(torch.float32))


class Weights(Inside):
    """Its float32 weights are cast."""

    def forward(self, x: Tensor) -> Tensor:
        y = tn.functional.conv1d(x.double(), self.a.weight.double(), self.a.bias.double(), padding=1)
        return self.b(y.float())


MODULES = {
    "linear": lambda: Inside(torch.float64, tn.Linear(4, 4)),
    "half": lambda: Inside(torch.float16, tn.Linear(4, 4)),
    "recurrence": lambda: Inside(torch.float64, tn.GRU(4, 4, batch_first=True)),
    "weights": lambda: Weights(torch.float64, tn.Identity()),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("file", [False, True])
def test_a_part_in_another_precision_runs_as_the_module_does(tmp_path, name, file):
    torch.manual_seed(0)
    module, x = MODULES[name]().eval(), torch.randn(1, 3, 60)
    with torch.no_grad():
        whole = module(x)
    if file:
        program = torch.export.export(module, (torch.zeros(1, 3, 40),), dynamic_shapes=({2: Dim.AUTO},))
        torch.export.save(program, tmp_path / "m.pt2")
        module = open_model(str(tmp_path / "m.pt2"))
    graph = to_streaming(module, example=torch.zeros(1, 3, 24)).to(torch.float32)
    # float32 sums in another order; float16 has 1e-3
    near = 2e-3 if name == "half" else 1e-6
    with torch.no_grad():
        s = stream(graph)
        ours = torch.cat([s.push(x[..., :7]), s.push(x[..., 7:]), s.flush()], 2)
    torch.testing.assert_close(ours, whole, rtol=0, atol=near)
    torch.testing.assert_close(mediaconv.convert(graph, x[0], normalize="none"), whole[0], rtol=0, atol=near)
    assert mediaconv.trace(graph, (3, 24)).rows


class Typed(tn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = tn.Conv1d(3, 4, 3, padding=1), tn.Conv1d(4, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        return self.b((y.float() / y.float().norm(dim=1, keepdim=True)).to(x.dtype))


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_a_program_of_another_type_is_computed_in_float32(tmp_path, kind):
    """Its graph names the type to which it casts back."""
    torch.manual_seed(0)
    module, x = Typed().to(kind).eval(), torch.randn(1, 3, 60)
    example = torch.zeros(1, 3, 40, dtype=kind)
    program = torch.export.export(module, (example,), dynamic_shapes=({2: Dim.AUTO},))
    torch.export.save(program, tmp_path / "m.pt2")
    graph = to_streaming(open_model(str(tmp_path / "m.pt2")), example=torch.zeros(1, 3, 24))
    with torch.no_grad():
        s = stream(graph)
        ours, whole = torch.cat([s.push(x), s.flush()], 2), module.float()(x)
    torch.testing.assert_close(ours, whole, rtol=0, atol=1e-5)


def test_a_graph_that_was_pickled_is_captured_anew():
    graph = to_streaming(Typed().eval(), example=torch.zeros(1, 3, 24))
    again, x = pickle.loads(pickle.dumps(graph)), torch.randn(1, 3, 40)
    with torch.no_grad():
        s = stream(again)
        ours = torch.cat([s.push(x[..., :9]), s.push(x[..., 9:]), s.flush()], 2)
        torch.testing.assert_close(ours, graph(x), rtol=0, atol=1e-6)
    assert again.latency == graph.latency
