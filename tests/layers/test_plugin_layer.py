"""A layer in one file of somebody else's package: in YAML, schema, documents, trace and the contract."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from mediaconv.config import config_schema, parse_config
from mediaconv.errors import ConfigError, UsageError
from mediaconv.layers import LAYERS, LayerSpec, register
from mediaconv.layers.registry import FAMILIES
from mediaconv.model.build import build_stack
from mediaconv.nn.summary.trace import trace
from mediaconv.pipeline import find
from tests.nn.contract import verify_contract

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/snake"
HEAD = "pipeline: audio\ninput: in\noutput: out\nstack:\n"
STACK = "- conv: {in_channels: 2, out_channels: 3, kernel_size: 3}\n- snake: {alpha: 0.5}\n"


def install(site: Path, name: str, entries: dict[str, str]) -> None:
    """What pip writes for a package: its entry points, beside its module."""
    info = site / f"{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
    (info / "entry_points.txt").write_text(f"[mediaconv.layers]\n{lines}")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder where packages are installed for one test; the registry looks anew, and forgets it after."""
    before = dict(LAYERS.usable())
    monkeypatch.setattr(LAYERS, "_kinds", before)
    monkeypatch.setattr(LAYERS, "_found", None)
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if name.startswith("mediaconv_"):
            del sys.modules[name]


@pytest.fixture
def snake(site):
    shutil.copy(EXAMPLE / "mediaconv_snake.py", site)
    entries = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    install(site, "mediaconv_snake", entries["mediaconv.layers"])


def built(text: str, channels: int = 2) -> torch.nn.Module:
    config = parse_config(text, name="x.yaml")
    return build_stack(config, find(config.pipeline), channels=channels)


def test_a_layer_of_another_package_runs_by_its_name(snake):
    stack = built(HEAD + STACK)
    x = torch.randn(1, 2, 50)
    y = stack[0](x)
    assert torch.equal(stack(x), y + torch.sin(0.5 * y) ** 2 / 0.5)
    assert list(stack.state_dict()) == ["0.weight", "0.bias", "1.alpha"]
    assert stack.state_dict()["1.alpha"].tolist() == [0.5] * 3


@pytest.mark.parametrize("plan", [[1] * 20, [7, 0, 13]])
def test_it_keeps_the_contract_of_streaming(snake, plan):
    verify_contract(built("causal: true\n" + HEAD + STACK), (2, 2, 20), plan)


def test_its_errors_name_file_line_and_key(snake):
    with pytest.raises(
        ConfigError, match=r"^x\.yaml:5: stack\[0\]\.snake\.alpha: got -1, expected a number > 0"
    ):
        parse_config(HEAD + "- snake: {alpha: -1}\n", name="x.yaml")
    with pytest.raises(ConfigError, match=r"x\.yaml:5: stack\[0\]: got 'snak', .*did you mean 'snake'"):
        parse_config(HEAD + "- snak\n", name="x.yaml")


def test_schema_documents_and_trace_show_it(snake):
    bare, spelt = config_schema()["$defs"]["layer"]["anyOf"]
    assert "snake" in bare["enum"]
    assert spelt["properties"]["snake"]["properties"]["alpha"]["exclusiveMinimum"] == 0
    page = runpy.run_path(str(ROOT / "docs/tools/configuration_page.py"))["page"]()
    assert "### `snake`" in page
    assert "| `alpha` | number > 0 | `1.0` | the first value of a, which weights replace |" in page
    assert "Snake" in [layer.layer for layer in trace(built(HEAD + STACK), [2, 20], axes=["time"]).rows]


def test_a_layer_that_cannot_be_loaded_is_told_where_it_is_used_and_harms_nothing_else(site):
    install(site, "mediaconv_gone", {"gone": "mediaconv_gone:Gone", "text": "string:ascii_letters"})
    assert parse_config(HEAD + "- relu\n").stack[0].name == "relu"
    assert "relu" in config_schema()["$defs"]["layer"]["anyOf"][0]["enum"]
    for name, said in (("gone", "No module named 'mediaconv_gone'"), ("text", "string:ascii_letters is no")):
        with pytest.raises(ConfigError, match=rf"x\.yaml:5: stack\[0\]: .*{said}"):
            parse_config(HEAD + f"- {name}\n", name="x.yaml")


def test_a_name_has_one_owner(site):
    class Mine(LayerSpec):
        name = "relu"

    with pytest.raises(UsageError, match=r"relu is taken by mediaconv\.layers\.activations\.ReLU"):
        register(Mine)
    (site / "mediaconv_mine.py").write_text(
        "from mediaconv.layers import LayerSpec\nclass Relu(LayerSpec):\n    name = 'relu'\n"
    )
    install(site, "mediaconv_mine", {"relu": "mediaconv_mine:Relu"})
    with pytest.raises(ConfigError, match="relu is taken by"):
        parse_config(HEAD + "- relu\n")


def test_each_layer_is_looked_for_in_the_module_that_defines_it():
    defined: dict[str, list[str]] = {}
    for kind in LAYERS.usable().values():
        if kind.__module__.startswith("mediaconv.layers."):
            defined.setdefault(kind.__module__.rpartition(".")[2], []).append(kind.name)
    assert defined == {family: list(names) for family, names in FAMILIES.items()}
    assert list(defined) == list(FAMILIES)


def test_a_name_of_ours_is_taken_before_its_module_is_loaded():
    """In a fresh process, in which no family of layers has been imported yet."""
    program = """
import sys
from mediaconv.errors import UsageError
from mediaconv.layers import LAYERS, LayerSpec, register
assert "max_pool" in LAYERS and "mediaconv.layers.pooling" not in sys.modules
class Mine(LayerSpec):
    name = "max_pool"
try:
    register(Mine)
except UsageError as error:
    print(error)
print(LAYERS["max_pool"].__module__, "mediaconv.layers.norms" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "layer: the name max_pool is taken by mediaconv.layers.pooling.MaxPool",
        "mediaconv.layers.pooling False",
    ]


def test_a_layer_registered_in_a_notebook_is_known_in_its_process(site):
    @register
    class Twice(LayerSpec):
        """Twice the same."""

        name = "twice"

        def build(self, context):
            return torch.nn.Identity()

    assert built(HEAD + "- twice\n")(torch.ones(1, 2, 3)).tolist() == [[[1.0] * 3] * 2]
