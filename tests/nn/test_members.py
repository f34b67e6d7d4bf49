"""The public names, and what importing them costs."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from types import ModuleType

import pytest
from torch import nn

import mediaconv.nn


def test_all_lists_every_public_name() -> None:
    values = vars(mediaconv.nn).items()
    public = {n for n, value in values if not n.startswith("_") and not isinstance(value, ModuleType)}
    later = {name for name in mediaconv.nn.__all__ if name not in public}
    assert later == {"export_step", "write_step"}  # loaded where they are used
    assert all(callable(getattr(mediaconv.nn, name)) for name in later)
    assert public | later == set(mediaconv.nn.__all__)
    assert list(mediaconv.nn.__all__) == sorted(mediaconv.nn.__all__)


def test_every_public_name_is_documented() -> None:
    assert [name for name in mediaconv.nn.__all__ if not getattr(mediaconv.nn, name).__doc__] == []


def test_torchaudio_is_imported_only_by_a_resample() -> None:
    code = (
        "import sys, mediaconv.nn as nn; before = 'torchaudio' in sys.modules; nn.Resample(3, 2); "
        "print(before, 'torchaudio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_every_layer_streams() -> None:
    exported = [getattr(mediaconv.nn, name) for name in mediaconv.nn.__all__]
    kinds = [k for k in exported if isinstance(k, type) and issubclass(k, nn.Module)]
    assert len(kinds) > 50
    assert [k.__name__ for k in kinds if not issubclass(k, mediaconv.nn.Streamable)] == []


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolutions_take_torchs_arguments_in_torchs_order_and_defaults(dims: int) -> None:
    torchs = list(inspect.signature(getattr(nn, f"Conv{dims}d")).parameters.values())
    expected = [(p.name, p.default) for p in torchs]
    ours = inspect.signature(getattr(mediaconv.nn, f"Conv{dims}d")).parameters.values()
    assert [(p.name, p.default) for p in ours] == expected
    causal = inspect.signature(getattr(mediaconv.nn, f"CausalConv{dims}d")).parameters
    positional = [(p.name, p.default) for p in causal.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    assert positional == [(name, "same" if name == "padding" else value) for name, value in expected]
    assert (causal["mode"].default, causal["time_axis"].default) == ("pad", 0)


WINDOWED = ["ConvTranspose", "MaxPool", "AvgPool"]


@pytest.mark.parametrize("kind", WINDOWED)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_transposed_layers_and_pools_take_torchs_arguments_too(kind: str, dims: int) -> None:
    torchs = {p.name: p for p in inspect.signature(getattr(nn, f"{kind}{dims}d")).parameters.values()}
    names = [name for name in torchs if kind != "AvgPool" or dims > 1 or name != "divisor_override"]
    for causal in ("", "Causal"):
        ours = inspect.signature(getattr(mediaconv.nn, f"{causal}{kind}{dims}d")).parameters
        assert list(ours)[: len(names)] == names
        for name in names:
            default = "same" if causal and name == "padding" else torchs[name].default
            assert ours[name].default == default, name


def test_every_docstring_is_written_out_where_an_editor_reads_it() -> None:
    """In the class's own source, with its shapes; what a program makes is shown by no editor."""
    missing = []
    for name in mediaconv.nn.__all__:
        kind = getattr(mediaconv.nn, name)
        if isinstance(kind, type) and issubclass(kind, nn.Module):
            tree = ast.parse(inspect.getsource(kind).lstrip())
            words = ast.get_docstring(tree.body[0]) or ""  # type: ignore[arg-type]
            missing += [name] if "Shape" not in words and "shape" not in words else []
    assert missing == []


def test_a_layer_says_in_one_place_whether_it_is_causal() -> None:
    for name in mediaconv.nn.__all__:
        kind = getattr(mediaconv.nn, name)
        if name.endswith(("1d", "2d", "3d")) and "Conv" in name:
            layer = kind(2, 2, 3, padding="same")
            assert layer.causal == ("Causal" in name), name
            assert (layer.latency == 0) == layer.causal, name
