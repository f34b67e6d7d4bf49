"""The pipeline that docs/how-to/plugins.md shows, installed from its own package and run by the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

ROOT = Path(__file__).parents[2]
CONFIG = """
pipeline: volume
input: scans
output: out
causal: true
chunk: 2
stack:
  - conv:
      weight: [[[[[0.25]], [[0.5]]]], [[[[0.5]], [[0.0]]]]]
      bias: false
normalize: none
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """An environment in which the example package is installed."""
    site = tmp_path_factory.mktemp("site")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
    ]
    source = tmp_path_factory.mktemp("source") / "volumes"
    source.mkdir()
    for path in (ROOT / "docs/examples/volumes").glob("*.*"):
        (source / path.name).write_bytes(path.read_bytes())
    subprocess.run([*map(str, pip), str(source)], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(site)}


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_a_volume_runs_through_an_installed_plugin(tmp_path, installed, suffix):
    volume = np.random.default_rng(3).integers(0, 65536, (5, 7, 6), dtype=np.uint16)
    (tmp_path / "scans").mkdir()
    path = tmp_path / "scans" / f"brain{suffix}"
    np.save(path, volume) if suffix == ".npy" else tifffile.imwrite(path, volume)
    (tmp_path / "volume.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "mediaconv.cli.main", "run", "volume.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    x = torch.tensor(volume / 65535.0)
    before = torch.cat([torch.zeros(1, 7, 6, dtype=x.dtype), x[:-1]])
    expected = [0.25 * before + 0.5 * x, 0.5 * before]
    for channel, values in enumerate(expected):
        stored = tifffile.imread(tmp_path / f"out/brain{suffix}/channel_{channel}.tiff")
        # one level: float32 against float64 at the rounding of 16 bits
        assert np.abs(stored - torch.round(values * 65535).numpy()).max() <= 1


def test_what_is_no_volume_is_told_as_of_any_other_pipeline(tmp_path, installed):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/notes.npy").write_text("no volume")
    (tmp_path / "scans/page.tif").write_text("no volume either")
    (tmp_path / "volume.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "mediaconv.cli.main", "run", "volume.yaml", "-q", "--executor", "serial"]
    done = subprocess.run(command, cwd=tmp_path, env=installed, capture_output=True, text=True)
    assert done.returncode == 1
    assert "failed: notes.npy: read: scans/notes.npy: no volume that can be read" in done.stderr
    assert "failed: page.tif: read: scans/page.tif: no volume that can be read" in done.stderr
    done = subprocess.run(
        [*command, "--set", "write.bit_depth=12"], cwd=tmp_path, env=installed, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "write.bit_depth: got 12, expected 8 or 16" in done.stderr


def test_a_volume_is_compared_like_any_other_medium(tmp_path, installed):
    """Numbers of its own kind, in its own words, played and proven."""
    volume = np.random.default_rng(3).integers(0, 65536, (12, 16, 18), dtype=np.uint16)
    (tmp_path / "scans").mkdir()
    np.save(tmp_path / "scans/brain.npy", volume)
    (tmp_path / "volume.yaml").write_text(CONFIG.replace("normalize: none", "normalize: sigmoid"))
    program = [sys.executable, "-m", "mediaconv.cli.main"]
    done = subprocess.run(
        [*program, "compare", "volume.yaml", "-o", "out"],
        cwd=tmp_path,
        env=installed,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out/compare.json").read_text())
    causal, standard = found["sides"]
    assert (causal["causal"], standard["causal"]) == (True, False)
    assert standard["unit"] == "slices"
    assert "up to 1 slice later" in standard["verdict"]
    (file,) = found["files"]
    assert {"psnr_db", "ssim", "shift_steps"} <= file["channels"][0].keys()
    target = tmp_path / "out/brain.npy"
    a, b = (tifffile.imread(target / f"{side}/channel_0.tiff") / 65535 for side in ("causal", "standard"))
    # 16 bits: each stored value is within half a step of what was compared
    assert abs(np.abs(a - b).mean() - file["channels"][0]["mean_difference"]) < 1 / 65535
    page = (tmp_path / "out/report.html").read_text()
    assert (
        page.count("data:video/mp4") == 1 + 3 * 2
    )  # the input, and both channels of both and the difference
    assert "12 slices × 16 rows × 18 columns, 1 channel" in page

    proof = subprocess.run(
        [*program, "prove", "volume.yaml", "--json"],
        cwd=tmp_path,
        env=installed,
        capture_output=True,
        text=True,
    )
    assert proof.returncode == 0, proof.stderr
    assert json.loads(proof.stdout)["files"]["causal"] is True


def test_the_documentation_names_what_the_example_holds():
    text = (ROOT / "docs/how-to/plugins.md").read_text()
    assert "examples/volumes" in text
    assert "mediaconv.pipelines" in (ROOT / "docs/examples/volumes/pyproject.toml").read_text()
