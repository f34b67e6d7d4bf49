"""Workers forked from a warm template: which programs have one, and what its end and theirs lead to."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import psutil
import pytest

from tests.run.running import rows, start, wait_for_work, write_config
from tests.run.trees import images, outputs, unfinished

LAYERS = [{"conv": {"out_channels": 2, "kernel_size": 9}}] * 2

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


def begun(folder: Path, count: int) -> subprocess.Popen[str]:
    """A run over so many images, in two workers, once it is at work."""
    images(folder / "in", count, side=600)
    config = write_config(
        folder / "c.yaml", folder / "in", folder / "out", stack=LAYERS, executor="process", workers=2
    )
    process = start(config)
    wait_for_work(folder / "out", process)
    return process


def test_a_program_that_has_loaded_torch_or_has_threads_gets_none() -> None:
    told = (
        "import threading, time\n"
        "from mediaconv.run.executors.template import begin_template\n"
        "template = begin_template(); assert template is not None; template.close(); template.close()\n"
        "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
        "assert begin_template() is None\n"
    )
    subprocess.run([sys.executable, "-c", told], check=True)
    told = "import torch\n" + told.partition("template = ")[0] + "assert begin_template() is None\n"
    subprocess.run([sys.executable, "-c", told], check=True)


def test_the_template_forks_all_workers_and_ends_with_the_run(tmp_path: Path) -> None:
    process = begun(tmp_path, 6)
    (template,) = psutil.Process(process.pid).children()
    workers = template.children()
    assert 1 <= len(workers) <= 2
    assert template.num_threads() == 1
    assert len(template.open_files()) <= 1  # /dev/null at most: no lock, no manifest
    assert process.wait(120) == 0
    assert psutil.wait_procs([template, *workers], timeout=1)[1] == []
    numbers = {row["place"] for row in rows(tmp_path / "out").values()}
    assert {f"process {worker.pid}" for worker in workers} <= numbers
    process.communicate()


PLUG_IN = """
import torch
from mediaconv.pipelines.image import ImagePipeline

class HeavyPipeline(ImagePipeline):
    name = "heavy"
"""
ORDER = """
import json, sys
from mediaconv.config import load_config
from mediaconv.run import runner

begin, seen = runner.begin_template, []

def watched():
    loaded = [name in sys.modules for name in ("torch", "mediaconv.pipelines.image")]
    template = begin()
    seen.append([*loaded, template is not None])
    return template

runner.begin_template = watched
done = runner.run_folder(load_config(sys.argv[1])).files
print(json.dumps([done, seen]))
"""


@pytest.mark.parametrize(("pipeline", "has_torch"), [("image", False), ("heavy", True)])
def test_what_the_template_and_the_program_both_need_is_loaded_before_the_fork(
    tmp_path: Path, pipeline: str, has_torch: bool
) -> None:
    """With a plug-in that loads torch nothing can be forked: workers are started anew."""
    site = tmp_path / "site"
    info = site / "heavy-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "heavy_plug_in.py").write_text(PLUG_IN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heavy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mediaconv.pipelines]\nheavy = heavy_plug_in:HeavyPipeline\n")
    images(tmp_path / "in", 2)
    config = write_config(tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out", pipeline=pipeline)
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}{os.pathsep}{site}"}
    command = [sys.executable, "-c", ORDER, str(config)]
    told = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    assert json.loads(told) == [2, [[has_torch, True, not has_torch]]]


def test_a_run_whose_template_is_killed_goes_on_with_fresh_workers(tmp_path: Path) -> None:
    process = begun(tmp_path, 4)
    (template,) = psutil.Process(process.pid).children()
    workers = template.children()
    os.kill(template.pid, signal.SIGKILL)
    assert process.wait(120) == 0, process.communicate()
    assert not any(_runs(worker) for worker in workers)
    found = rows(tmp_path / "out")
    assert {row["status"] for row in found.values()} == {"done"}
    assert max(row["attempts"] for row in found.values()) == 2
    assert len(outputs(tmp_path / "out")) == 8
    assert unfinished(tmp_path / "out") == []
    process.communicate()


def test_a_killed_program_takes_template_and_workers_with_it(tmp_path: Path) -> None:
    process = begun(tmp_path, 4)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    process.kill()
    process.communicate()
    until = time.monotonic() + 2
    while any(_runs(member) for member in family):
        assert time.monotonic() < until
        time.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    """Not over: also where nobody asks for an orphan's end."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_a_model_is_captured_once_for_all_workers(tmp_path: Path) -> None:
    import torch
    from torch.export import Dim, export, save

    images(tmp_path / "in", 100, side=200)  # a worker lives long enough to be seen
    (image,) = list((tmp_path / "in").rglob("*.png"))[:1]
    channels = {2: 1}.get(cv2.imread(str(image), cv2.IMREAD_UNCHANGED).ndim, 3)
    model = torch.nn.Sequential(torch.nn.Conv2d(channels, 2, 3, padding=1), torch.nn.Tanh()).eval()
    sizes = ({2: Dim.AUTO, 3: Dim.AUTO},)
    save(export(model, (torch.zeros(1, channels, 32, 32),), dynamic_shapes=sizes), tmp_path / "m.pt2")
    config = write_config(
        tmp_path / "c.yaml", tmp_path / "in", tmp_path / "out",
        stack=[{"model": str(tmp_path / "m.pt2")}], executor="process", workers=2,
    )  # fmt: skip
    process = start(config)
    template, spent = None, {}
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):  # what ends meanwhile
            for found in psutil.Process(process.pid).children():
                template = template or found
                for worker in [found, *found.children()]:
                    spent[worker.pid] = sum(worker.cpu_times()[:2])
        time.sleep(0.02)
    assert process.returncode == 0, process.communicate()
    process.communicate()
    captured = spent.pop(template.pid)
    assert len(spent) >= 1
    assert max(spent.values()) < captured / 2, (captured, spent)
    assert {row["status"] for row in rows(tmp_path / "out").values()} == {"done"}
