"""Models that remember all their past (a GRU, a cumulative sum) through the commands, among other layers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn
from torch.export import Dim

import mediaconv
from mediaconv.nn import Conv1d, Sequential, geometry, stream, to_streaming
from tests.program import run_program

pytestmark = pytest.mark.slow  # captures


class Recurrent(nn.Module):
    def __init__(self, kind: Callable[[int, int, int], nn.Module] = nn.GRU) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv1d(2, 4, 9, padding=4), nn.Conv1d(4, 2, 1)
        self.recurrent = kind(4, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.recurrent(self.inner(x).permute(2, 0, 1))
        return self.outer(hidden.permute(1, 2, 0))


class Summed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        steps = torch.arange(1, x.shape[-1] + 1, device=x.device)
        return x - x.cumsum(-1) / steps


@pytest.mark.parametrize(("make", "ahead"), [(Recurrent, 5), (Summed, 1)])
def test_a_stack_with_a_memory_of_all_the_past_says_so(make: Callable[[], nn.Module], ahead: int) -> None:
    graph = to_streaming(make().eval(), example=torch.zeros(1, 2, 32))
    along = geometry(Sequential(Conv1d(2, 2, 3, padding=1), graph))
    assert (along.latency, along.lookback, along.receptive_field) == (ahead, torch.inf, torch.inf)
    assert (along.window_lookback, along.window_field) == (ahead, 2 * ahead + 1)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_an_exported_program_streams_at_any_length(kind: Callable[[int, int, int], nn.Module]) -> None:
    """torch exports recurrent layers for the example's length alone, and unrolls them if exported again."""
    model, x = Recurrent(kind).eval(), torch.randn(1, 2, 77)
    program = torch.export.export(model, (torch.zeros(1, 2, 20),), dynamic_shapes=({2: Dim.AUTO},))
    s = stream(to_streaming(program))
    ours = torch.cat([s.push(x[..., :3]), s.push(x[..., 3:40]), s.push(x[..., 40:]), s.flush()], 2)
    torch.testing.assert_close(ours, model(x), rtol=0, atol=1e-6)


def test_convert_chooses_a_chunk_for_it() -> None:
    model, x = Recurrent().eval(), torch.randn(2, 3000)
    with torch.no_grad():
        whole = model(x[None])[0]
    torch.testing.assert_close(mediaconv.convert(model, x, normalize="none"), whole, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recurrent")
    soundfile.write(
        path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (3000, 2)), 8000, subtype="FLOAT"
    )
    torch.manual_seed(0)
    model = Recurrent().eval()
    torch.save(model.state_dict(), path / "weights.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (torch.zeros(1, 2, 40),), dynamic_shapes=({2: Dim.AUTO},))
        torch.export.save(program, path / "m.pt2")
    (path / "c.yaml").write_text(
        "pipeline: audio\ninput: a.wav\noutput: out\nnormalize: none\nexecutor: serial\n"
        "stack:\n- conv: {out_channels: 2, kernel_size: 3}\n- model: m.pt2\n"
    )
    return path


def test_it_runs_over_a_file_and_is_forecast(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forecast = run_program("run", "c.yaml", "--dry-run", cwd=folder)
    assert forecast.returncode == 0
    assert "no estimate" not in forecast.stdout
    done = run_program("run", "c.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    x, _ = soundfile.read(folder / "a.wav", dtype="float32")
    model = Recurrent().eval()
    model.load_state_dict(torch.load(folder / "weights.pt"))
    monkeypatch.chdir(folder)  # the path of a model is taken from there
    conv, _ = mediaconv.load_stack("c.yaml", channels=2)
    with torch.no_grad():
        wanted = model(conv(torch.from_numpy(x.T[None])))[0].numpy()
    files = sorted((folder / "out" / "a.wav").glob("*.wav"))
    ours = np.stack([soundfile.read(file, dtype="float32")[0] for file in files])
    # float32 sums of chunks in another order
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-6)


def test_it_is_traced_and_measured(folder: Path) -> None:
    trace = run_program("trace", "c.yaml", "--json", cwd=folder)
    assert trace.returncode == 0, trace.stderr
    total = json.loads(trace.stdout)["totals"]
    assert (total["latency"], total["receptive_field"]) == (5, [None])
    measured = run_program("receptive", "c.yaml", "-o", "cone.svg", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    assert "receptive field all, look-ahead 5, look-back all, measured and by formula" in measured.stdout
