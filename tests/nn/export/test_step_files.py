"""Exported steps as files, run by onnxruntime and by torch.export: random stacks, and every layer."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn as tn

from mediaconv import nn
from mediaconv.errors import UsageError
from mediaconv.nn import geometry
from mediaconv.nn.export.checking import check
from mediaconv.nn.export.export_step import export_step
from mediaconv.nn.export.step_files import write_step
from mediaconv.nn.export.to_onnx import OPSET
from mediaconv.nn.export.whole import write_whole_call
from tests.nn.export.test_exported_step import FRAME, SAME
from tests.nn.strategies import LAYERS, Case, seeded, single_layers, stacks
from tests.tally import passed

pytestmark = pytest.mark.slow


def assert_onnx_keeps(case: Case, seed: int, folder: Path) -> None:
    """One module to an ONNX file, which `write_step` runs against the module before it keeps it."""
    seeded(case, seed)
    module, found = case.module.float().eval(), geometry(case.module)
    if found.whole:
        return
    frame = tuple(n + case.shortest for n in FRAME[case.dims])
    example = torch.zeros(1, case.channels, (2 + case.shortest) * found.input_period, *frame)
    try:
        with torch.no_grad():
            whole = module(example)
    except (RuntimeError, ValueError):
        return  # an input that this module does not take
    if 0 in whole.shape[:2] + whole.shape[3:]:
        return
    facts = write_step(export_step(module, example), folder / "step.onnx", module)
    assert facts["checked"]["largest_difference"] <= 1e-5
    passed["steps in onnxruntime"] += 1


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_runs_in_onnxruntime(kind: str, tmp_path: Path) -> None:
    @settings(SAME, max_examples=3)
    @given(single_layers(kind), st.integers(0, 999))
    def each(case: Case, seed: int) -> None:
        assert_onnx_keeps(case, seed, tmp_path)

    each()


def assert_stacks_run(dims: int, folder: Path, count: int) -> None:
    before = passed["steps in onnxruntime"]

    @settings(SAME, max_examples=count)
    @given(stacks(dims), st.integers(0, 999))
    def each(case: Case, seed: int) -> None:
        assert_onnx_keeps(case, seed, folder)

    each()
    assert passed["steps in onnxruntime"] - before >= 0.8 * count


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_random_stacks_run_in_onnxruntime(dims: int, tmp_path: Path) -> None:
    assert_stacks_run(dims, tmp_path, 10)


@pytest.mark.long
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_two_hundred_random_stacks_run_in_onnxruntime(dims: int, tmp_path: Path) -> None:
    assert_stacks_run(dims, tmp_path, 90)


def stack() -> tn.Module:
    """A stack that looks ahead, and one path of it later than the other."""
    torch.manual_seed(3)
    body = nn.Sequential(nn.Conv1d(4, 4, 5, padding="same"), tn.Tanh(), nn.CausalConv1d(4, 4, 3))
    layers = nn.Conv1d(2, 4, 3, stride=2, padding="same"), nn.Residual(body), nn.Conv1d(4, 1, 3, padding=1)
    return nn.Sequential(*layers).eval()


USER = """
import json
import numpy as np, onnxruntime
facts = json.load(open("step.json"))
x = np.load("x.npy")
session = onnxruntime.InferenceSession("step.onnx")
state = {name: np.zeros(s["shape"], s["type"]) for name, s in facts["state"].items()}
state["clock.length"][...] = length = x.shape[2]
outputs, chunk, come = [], facts["chunk"], 0
while x.shape[2] or come < facts["skip"] + state["clock.outputs"]:
    piece, x = x[:, :, :chunk], x[:, :, chunk:]
    piece = np.pad(piece, [(0, 0), (0, 0), (0, chunk - piece.shape[2])])
    y, *after = session.run(None, {"chunk": piece, **state})
    state = dict(zip(state, after))
    outputs.append(y)
    come += y.shape[2]
np.save("y.npy", np.concatenate(outputs, 2)[:, :, facts["skip"] : facts["skip"] + state["clock.outputs"]])
"""


def test_a_program_without_mediaconv_gets_the_whole_result(tmp_path: Path) -> None:
    module, x = stack(), torch.randn(1, 2, 77)
    write_step(export_step(module, torch.zeros(1, 2, 8)), tmp_path / "step.onnx", module)
    whole = module(x).detach().numpy()
    np.save(tmp_path / "x.npy", x.numpy())
    command = [sys.executable, "-c", "import sys; sys.modules['torch'] = None\n" + USER]
    subprocess.run(command, cwd=tmp_path, check=True)
    y = np.load(tmp_path / "y.npy")
    # float32 sums in another order
    np.testing.assert_allclose(y, whole, rtol=0, atol=1e-6 * np.abs(whole).max())


def test_a_pt2_file_runs_without_mediaconv(tmp_path: Path) -> None:
    module = stack()
    step = export_step(module, torch.zeros(1, 2, 8))
    write_step(step, tmp_path / "step.pt2", module)
    torch.save(
        ([torch.zeros(1, 2, 8), *step.start()], step(torch.zeros(1, 2, 8), *step.start())), tmp_path / "io.pt"
    )
    code = (
        "import sys; sys.modules['mediaconv'] = None; import torch; given, expected = torch.load('io.pt');"
        "got = torch.export.load('step.pt2').module()(*given);"
        "assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, expected));"
        "assert not any(a.requires_grad for a in got)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


LOADED = """
import sys
sys.modules["mediaconv"] = None
from pathlib import Path
import torch
torch.set_num_threads(1)
for path in sorted(Path().glob("*.pt2")):
    x, start, chunk, skip, whole = torch.load(path.with_suffix(".pt"))
    step, state, outputs, come = torch.export.load(path).module(), start, [], 0
    state[1] = torch.tensor(x.shape[2])
    while x.shape[2] or come < skip + int(state[2]):
        piece, x = x[:, :, :chunk], x[:, :, chunk:]
        missing = piece.new_zeros(*piece.shape[:2], chunk - piece.shape[2], *piece.shape[3:])
        y, *state = step(torch.cat([piece, missing], 2), *state)
        outputs.append(y)
        come += y.shape[2]
    y = torch.cat(outputs, 2)[:, :, skip : skip + int(state[2])]
    assert y.shape == whole.shape, path
    # float32 sums in another order
    assert not whole.numel() or float((y - whole).abs().max()) <= 1e-5 * float(whole.abs().max()), path
    print(path)
"""
"""A program that runs each file over an input of its own. It has no mediaconv."""
PT2_STACKS = 4
"""Of each dimension: torch.export takes seconds for one."""


@pytest.mark.long
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_random_stacks_run_from_pt2_without_mediaconv(dims: int, tmp_path: Path) -> None:
    made: list[Path] = []

    @settings(SAME, max_examples=2 * PT2_STACKS)
    @given(stacks(dims), st.integers(0, 999), st.integers(1, 40))
    def each(case: Case, seed: int, length: int) -> None:
        seeded(case, seed)
        module, found = case.module.float().eval(), geometry(case.module)
        if found.whole or len(made) == PT2_STACKS:
            return
        frame = tuple(n + case.shortest for n in FRAME[case.dims])
        chunk = 2 * found.input_period
        x = torch.randn(1, case.channels, length, *frame)
        with torch.no_grad():
            whole = module(x)
        if 0 in whole.shape[:2] + whole.shape[3:]:
            return
        made.append(tmp_path / f"{len(made):02}.pt2")
        step = export_step(module, x.new_zeros(1, case.channels, chunk, *frame))
        write_step(step, made[-1], module)
        torch.save((x, step.start(), chunk, step.info.skip, whole), made[-1].with_suffix(".pt"))

    each()
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [path.name for path in made]
    assert len(made) == PT2_STACKS


def test_a_state_saved_in_the_middle_goes_on_in_another_process(tmp_path: Path) -> None:
    module, x = stack(), torch.randn(1, 2, 32)
    step = export_step(module, torch.zeros(1, 2, 16))
    write_step(step, tmp_path / "step.onnx", module)
    _, *state = step(x[..., :16], *step.start())
    expected, *_ = step(x[..., 16:], *state)
    names = ["chunk", *step.info.state]
    given = [value.detach().numpy() for value in (x[..., 16:], *state)]
    np.savez(tmp_path / "state.npz", **dict(zip(names, given, strict=True)))
    code = (
        "import numpy as np, onnxruntime; s = onnxruntime.InferenceSession('step.onnx');"
        "np.save('y.npy', s.run(['outputs'], dict(np.load('state.npz')))[0])"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    # float32 sums in another order
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected.detach(), rtol=0, atol=1e-6)


def test_the_extra_pins_the_tools_that_run_here() -> None:
    root = Path(__file__).parents[3]
    extra = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["onnx"]
    names = "onnx", "onnxruntime", "onnxscript"
    assert set(extra) <= set((root / "constraints.txt").read_text().splitlines())
    assert extra == [f"{name}=={version(name)}" for name in names]
    assert f"opset {OPSET}" in (root / "docs/reference/export.md").read_text()


def test_an_axis_that_is_padded_to_whole_windows_runs_in_onnxruntime(tmp_path: Path) -> None:
    """Traced divisions do not floor: a pool that rounds up over an axis of one position."""
    torch.manual_seed(0)
    layers = (
        nn.Conv3d(1, 2, (1, 3, 1)),
        nn.MaxPool3d(2, 2, padding="same", ceil_mode=True),
        nn.Conv3d(2, 1, 1),
    )
    module = nn.Sequential(*layers).eval()
    facts = write_step(export_step(module, torch.zeros(1, 1, 4, 3, 5)), tmp_path / "step.onnx", module)
    assert facts["checked"]["largest_difference"] <= 1e-5


def test_the_file_tells_what_it_is(tmp_path: Path) -> None:
    import onnx

    module = stack()
    step = export_step(module, torch.zeros(1, 2, 8))
    write_step(step, tmp_path / "step.onnx", module, metadata={"rate_hz": 16000})
    told = {p.key: p.value for p in onnx.load(tmp_path / "step.onnx").metadata_props}
    facts = json.loads((tmp_path / "step.json").read_text())
    assert json.loads(told["skip"]) == facts["skip"] == step.info.skip
    assert facts["latency"] == geometry(module).latency
    assert (facts["rate_hz"], facts["stride"]) == (16000, "2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step.json", "step.onnx"]


def test_a_step_that_differs_is_not_written(tmp_path: Path) -> None:
    module, other = stack(), stack()
    torch.nn.init.normal_(other[0].bias)
    step = export_step(module, torch.zeros(1, 2, 8))
    with pytest.raises(UsageError, match="not written: what was exported differs from the stack by"):
        write_step(step, tmp_path / "step.onnx", other)
    assert not list(tmp_path.iterdir())
    assert check(lambda *t: list(step(*t)), step, other, torch.randn(1, 2, 40)) > 1e-5


@pytest.mark.parametrize("name", ["step.onnx", "step.json"])
def test_a_strangers_file_is_replaced_only_where_that_was_asked_for(name: str, tmp_path: Path) -> None:
    module = stack()
    step = export_step(module, torch.zeros(1, 2, 8))
    (tmp_path / name).write_text("precious")
    with pytest.raises(UsageError, match=f"{name} is in the way"):
        write_step(step, tmp_path / "step.onnx", module)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {name: b"precious"}
    write_step(step, tmp_path / "step.onnx", module, overwrite=True)
    write_step(step, tmp_path / "step.onnx", module)  # its own files are replaced
    (tmp_path / name).unlink()
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / name).symlink_to("elsewhere")
    with pytest.raises(UsageError, match=f"{name} is in the way"):
        write_step(step, tmp_path / "step.onnx", module, overwrite=True)
    assert (tmp_path / "elsewhere").read_text() == "precious"


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_the_call_on_the_whole_takes_every_length(suffix: str, tmp_path: Path) -> None:
    module = stack()
    facts = write_whole_call(module, torch.zeros(1, 2, 16), tmp_path / f"whole{suffix}")
    assert facts["checked"]["largest_difference"] <= 1e-5
    for length in (5, 16, 33):
        x = torch.randn(1, 2, length)
        if suffix == ".onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(tmp_path / "whole.onnx")
            (y,) = session.run(["output"], {"input": x.numpy()})
        else:
            y = torch.export.load(tmp_path / "whole.pt2").module()(x).detach().numpy()
        expected = module(x).detach().numpy()
        # float32 sums in another order
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("pool", [nn.CausalMaxPool1d(3, 2), nn.MaxPool1d(3, 2, ceil_mode=True)])
def test_a_call_on_the_whole_that_torch_cannot_keep_is_refused_with_the_reason(
    pool: tn.Module, tmp_path: Path
) -> None:
    module = nn.Sequential(pool, tn.Tanh()).eval()
    with pytest.raises(UsageError, match=r"does not take 17 steps: |torch\.export: ") as told:
        write_whole_call(module, torch.zeros(1, 2, 16), tmp_path / "whole.pt2")
    assert ".onnx may" in str(told.value)
    assert not list(tmp_path.iterdir())
    write_whole_call(module, torch.zeros(1, 2, 16), tmp_path / "whole.onnx")


def test_the_call_on_the_whole_resamples_in_both_files(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Resample(44100, 16000), nn.Conv1d(1, 1, 5, padding=2)).eval()
    for name in ("whole.onnx", "whole.pt2"):
        facts = write_whole_call(module, torch.zeros(1, 1, 900), tmp_path / name)
        assert facts["checked"]["random_steps"] == [900, 901, 1805]


def test_flush_gives_what_is_still_to_come_after_whole_chunks(tmp_path: Path) -> None:
    import onnxruntime

    module, x = stack(), torch.randn(1, 2, 24)
    facts = write_step(export_step(module, torch.zeros(1, 2, 8)), tmp_path / "step.onnx", module)
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    state = {name: np.zeros(s["shape"], s["type"]) for name, s in facts["state"].items()}
    outputs = []
    for i in range(3 + facts["flush"]["chunks"]):
        if i == 3:
            state["clock.length"] = np.array(24)
        chunk = x[..., 8 * i : 8 * i + 8].numpy() if i < 3 else np.zeros((1, 2, 8), np.float32)
        y, *after = session.run(None, {"chunk": chunk, **state})
        state = dict(zip(state, after, strict=True))
        outputs.append(y)
    joined = np.concatenate(outputs, 2)[..., : 3 * facts["outputs"] + facts["flush"]["outputs"]]
    whole = module(x).detach().numpy()
    assert (facts["flush"]["chunks"], facts["flush"]["outputs"]) == (1, facts["skip"])
    assert "clock.length" in facts["flush"]["how"]
    # float32 sums in another order
    np.testing.assert_allclose(joined[..., facts["skip"] :], whole, rtol=0, atol=1e-6 * np.abs(whole).max())


def test_a_chunk_of_another_length_is_an_error_of_onnxruntime(tmp_path: Path) -> None:
    import onnxruntime

    module = stack()
    facts = write_step(export_step(module, torch.zeros(1, 2, 8)), tmp_path / "step.onnx", module)
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    state = {name: np.zeros(s["shape"], s["type"]) for name, s in facts["state"].items()}
    with pytest.raises(Exception, match="Got invalid dimensions for input: chunk"):
        session.run(None, {"chunk": np.zeros((1, 2, 6), np.float32), **state})
