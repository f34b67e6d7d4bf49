"""Machine code of the loops on disk: the same results as from Numba itself, renewed where it is damaged."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mediaconv.compute import kernel_types as k
from mediaconv.compute import native

PROGRAM = """
import sys
import numpy as np
from mediaconv.compute import kernel_types as k, native
folder = sys.argv[1]
native._folders = lambda: iter([native.Path(folder)])
values = np.linspace(-3, 3, 5000, dtype=np.float32)
out = np.empty(5000, np.uint8)
quantum = k.Quantum(255.0, 0.0, 255.0, -0.5, 255.5)
print(native.finish(values, np.array([k.SIGMOID]), np.zeros((1, 3), np.float32), quantum, out))
expected = np.rint(255 / (1 + np.exp(-np.linspace(-3, 3, 5000, dtype=np.float32).astype(np.float64))))
assert np.abs(out - expected).max() <= 1 and (out != expected).mean() < 1e-3, out
print("numba" in sys.modules)
"""


def finished(folder: Path) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:2]


@pytest.mark.slow
def test_code_is_kept_and_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    assert finished(folder) == ["(True, 0)", "True"]
    (file,) = folder.iterdir()
    assert finished(folder) == ["(True, 0)", "False"]
    whole = file.read_bytes()
    for damaged in (whole[:-100], whole[:200] + b"x" + whole[201:], b""):
        file.write_bytes(damaged)
        assert finished(folder) == ["(True, 0)", "True"]
        assert file.read_bytes().partition(b"\n")[2].partition(b"\n")[2]  # a digest, a symbol and code again
    assert [path.name for path in folder.iterdir()] == [file.name]


def test_code_is_used_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert finished(tmp_path / "file" / "below") == ["(True, 0)", "True"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_results_are_those_of_numba_to_the_bit(dtype: str) -> None:
    from mediaconv.compute import loops

    values = np.random.default_rng(0).normal(0, 3, 9001).astype(np.float32)
    functions = np.array([k.AFFINE, k.GELU, k.TANH])
    parameters = np.array([[0.1, 2, 0.3], [0, 0, 0], [0, 0, 0]], np.float32)
    quantum = k.UNROUNDED if dtype == "float32" else k.Quantum(100.0, 0.0, 90.0, -0.5, 90.5)
    found, expected = (np.empty(9001, dtype) for _ in range(2))
    told = native.finish(values.copy(), functions, parameters, quantum, found)
    assert told == loops.finish(values.copy(), functions, parameters, quantum, expected)
    assert (found == expected).all()
    values[7000] = np.nan
    assert native.finish(values, functions, parameters, quantum, found)[0] is False
