"""Every configuration that is shipped runs as it stands, and shows what its comments promise."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mediaconv.config import load_config
from mediaconv.engine.computation import Computations
from mediaconv.pipeline import find
from mediaconv.run.jobs.convert_job import convert_job
from mediaconv.run.jobs.plan import make_plan

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
STRIKE = 20
CLAP_SECONDS = 2.4


def run(name: str, output: Path) -> dict[str, list[Path]]:
    """Every output file of a shipped configuration, by input."""
    config = load_config(ROOT / "configs" / name, output=str(output))
    pipeline = find(config.pipeline)
    computations = Computations(config, pipeline)
    results = {job: convert_job(job, config, pipeline, computations) for job in make_plan(config, pipeline)}
    return {job.name: [job.target / f.name for f in r.outputs] for job, r in results.items()}


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_runs_and_writes_a_file_per_channel(path, tmp_path):
    made = run(path.name, tmp_path)
    assert made
    for files in made.values():
        stems = [f.stem for f in files]
        assert stems in (["rgb"], [f"channel_{c}" for c in range(len(files))])
        assert all(f.stat().st_size > 0 for f in files)
    assert "# yaml-language-server: $schema=../docs/schema.json" in path.read_text()


def film(path: Path) -> np.ndarray:
    """Luma of all frames, (T, H, W)."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(int)


def test_a_standard_stack_reacts_before_the_lightning_and_a_causal_one_does_not(tmp_path):
    early = {}
    for form in ("causal", "standard"):
        (files,) = run(f"video_{form}.yaml", tmp_path / form).values()
        frames = film(files[0])
        steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
        early[form] = steps[STRIKE - 6 : STRIKE - 1].max() / np.median(steps[8 : STRIKE - 8])
    assert early["causal"] < 3
    assert early["standard"] > 10


def test_a_standard_stack_sounds_before_the_clap_and_a_causal_one_does_not(tmp_path):
    before = {}
    for form in ("causal", "standard"):
        (files,) = run(f"audio_{form}.yaml", tmp_path / form).values()
        sound, rate = soundfile.read(files[0])
        clap = int(CLAP_SECONDS * rate)
        quiet = sound[clap - 1500 : clap - 5]
        before[form] = float(np.abs(quiet - np.median(quiet)).max())
    assert before["causal"] < 1e-3
    assert before["standard"] > 10 * max(before["causal"], 1e-4)
