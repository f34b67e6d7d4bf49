"""Libraries are loaded where they are used, and without the collector, which is then as it was."""

import ast
import gc
import subprocess
import sys
from pathlib import Path

import pytest

from mediaconv.run.gc_pause import gc_paused
from tests.run.running import write_config
from tests.run.trees import images


@pytest.fixture
def _unfrozen():
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_unfrozen")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_inside_and_is_as_it_was_afterwards(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with gc_paused():
            assert not gc.isenabled()
            made = [[] for _ in range(2000)]
        assert gc.isenabled() == enabled
        assert gc.get_freeze_count() > len(made)
    finally:
        (gc.enable if before else gc.disable)()


def loaded(program: str, names: set[str]) -> set[str]:
    """Which of these modules a fresh interpreter has loaded after a program."""
    ending = f"import sys; print(sorted({names!r} & set(sys.modules)), file=sys.stderr)"
    command = [sys.executable, "-c", f"{program}\n{ending}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(ast.literal_eval(found.stderr.splitlines()[-1]))


COMMAND = """
from mediaconv.cli.main import app
try:
    app({arguments})
except SystemExit:
    pass
"""


def test_help_and_mistakes_in_a_configuration_load_no_torch(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "c.yaml", tmp_path, tmp_path / "out", stack=[{"conv": {"kernel_size": 0}}]
    )
    for arguments in (["--help"], ["run", "--help"], ["run", str(config)], ["validate", str(config)]):
        assert loaded(COMMAND.format(arguments=arguments), {"torch", "numba", "mediaconv.cli.main"}) == {
            "mediaconv.cli.main"
        }


def test_a_run_loads_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    images(tmp_path / "in", 1)
    config = write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out", executor="serial")
    unused = {
        "sympy",
        "triton",
        "torchaudio",
        "librosa",
        "matplotlib",
        "scipy.linalg",
        "onnx",
        "torch._dynamo",
        "PIL.Image",
        "tifffile",
        "simplejpeg",
        "mediaconv.layers.pooling",
        "mediaconv.layers.activations",
    }
    arguments = ["run", str(config), "--overwrite"]
    loaded(COMMAND.format(arguments=arguments), set())  # may have to compile the loops, which Numba does
    assert loaded(COMMAND.format(arguments=arguments), {*unused, "torch", "numba"}) == {"torch"}


def test_products_are_counted_whichever_module_is_loaded_first() -> None:
    program = (
        "import torch\nfrom mediaconv.nn import Conv3d\n"
        "from torch.utils.flop_counter import FlopCounterMode\n"
        "with FlopCounterMode(display=False) as counter:\n"
        "    Conv3d(3, 4, 3)(torch.zeros(1, 3, 4, 40, 40))\n"
        "assert counter.get_total_flops() == 2 * 4 * 3 * 27 * 2 * 38 * 38, counter.get_total_flops()\n"
        "import mediaconv.nn.backends.algorithms as counted"
    )
    assert loaded(program, {"torch.utils.flop_counter"}) == {"torch.utils.flop_counter"}
