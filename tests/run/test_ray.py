"""Ray: a local cluster as users start it, and one of several nodes of which one is lost without grace."""

from __future__ import annotations

import functools
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mediaconv.errors import MediaconvError, UsageError
from mediaconv.run.executors.executor import Watch
from mediaconv.run.executors.ray_cluster import RayExecutor, _Flight, run_in_task
from mediaconv.run.executors.select_executor import select_executor
from mediaconv.run.jobs.perform import Performer
from mediaconv.run.runner import run_folder
from tests.run.fakes import HeldUntilANodeIsLost, Reverser, Surroundings, jobs_of
from tests.run.running import ROOT, parsed, rows, run, start, wait_for_work, write_config
from tests.run.trees import images, outputs, unfinished

ray = pytest.importorskip("ray", reason="needs the extra: pip install 'mediaconv[ray]'")
pytestmark = [pytest.mark.ray, pytest.mark.long]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without CPUs for jobs, and two nodes of one CPU; `address` is its address."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the nodes' workers unpickle what tests define
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    found.add_node(num_cpus=1)
    found.add_node(num_cpus=1)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


def test_a_node_lost_mid_run_costs_nothing(cluster: Any, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    images(source, 24)
    config = parsed(source, output, executor="ray", ray={"address": cluster.address})
    (tmp_path / "held").mkdir()
    held = HeldUntilANodeIsLost(functools.partial(Performer, config), tmp_path / "held")
    node = next(iter(cluster.worker_nodes))

    def lose_it() -> None:
        """Once both nodes have a job under way, the processes of one are killed."""
        until = time.monotonic() + 120
        while len(held.waiting()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        held.lose(node.node_id)

    thread = threading.Thread(target=lose_it)
    thread.start()
    summary = run_folder(config, make=held)
    thread.join()
    assert len(held.waiting()) == 2
    assert (summary.files, summary.exit_code) == (24, 0)
    run(source, tmp_path / "serial")
    assert outputs(output) == outputs(tmp_path / "serial")
    assert unfinished(output) == []
    again = [row for row in rows(output).values() if row["attempts"] > 1]
    assert again
    assert all(row["place"] != f"node {node.node_id}" for row in again)
    assert summary.retried >= 1


def test_a_job_that_kills_its_worker_is_tried_twice_and_others_go_on(cluster: Any, tmp_path: Path) -> None:
    contents = {"x.bin": b"die", "once.bin": b"once", **{f"{i}.bin": b"%d" % i for i in range(4)}}
    jobs = jobs_of(tmp_path, contents)
    config = parsed(tmp_path, tmp_path / "out", executor="ray", ray={"address": cluster.address})
    executor, _ = select_executor(config, jobs, Reverser())
    found = {o.job.name: o for o in executor.run(jobs, Watch())}
    assert set(found) == set(contents)
    failure = found["x.bin"].failure
    assert failure is not None
    assert (failure.stage, found["x.bin"].attempts) == ("run", 2)
    assert str(tmp_path / "in" / "x.bin") in failure.reason
    assert found["once.bin"].result is not None
    assert found["once.bin"].attempts == 2
    assert unfinished(tmp_path / "out") == []


@pytest.mark.parametrize("timeout_seconds", [None, 60])
def test_every_job_gets_the_resources_that_it_asks_for(
    timeout_seconds: float | None, cluster: Any, tmp_path: Path
) -> None:
    """Only the third node has them all; torch's threads are as many as the job's CPUs."""
    cluster.add_node(num_cpus=4, num_gpus=1, resources={"disk": 2})
    cluster.wait_for_nodes()
    wanted = {"num_cpus": 3, "num_gpus": 0.5, "resources": {"disk": 1}}
    keys = {"executor": "ray", "timeout_seconds": timeout_seconds}
    config = parsed(tmp_path, tmp_path / "out", ray={"address": cluster.address, **wanted}, **keys)
    jobs = jobs_of(tmp_path, {f"{i}.bin": b"x" for i in range(3)})
    executor, _ = select_executor(config, jobs, Surroundings())
    found = [json.loads(o.failure.reason) for o in executor.run(jobs, Watch()) if o.failure]
    resources = {"CPU": 3.0, "GPU": 0.5, "disk": 1.0} if timeout_seconds is None else {}
    assert found == [{"threads": 3, **resources}] * len(jobs)


def test_a_job_over_its_time_is_ended(cluster: Any, tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, {"x.bin": b"hang", "y.bin": b"quick"})
    keys = {"executor": "ray", "ray": {"address": cluster.address}, "timeout_seconds": 2}
    executor, _ = select_executor(parsed(tmp_path, tmp_path / "out", **keys), jobs, Reverser())
    found = {o.job.name: o for o in executor.run(jobs, Watch())}
    failure = found["x.bin"].failure
    assert failure is not None
    assert "timeout_seconds: 2" in failure.reason
    assert found["y.bin"].result is not None
    assert unfinished(tmp_path / "out") == []


def test_the_program_starts_a_local_cluster_and_shuts_it_down(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    images(source, 6)
    inputs = sorted(source.rglob("*.png"))
    inputs[0].write_bytes(b"no image")
    config = write_config(tmp_path / "c.yaml", source, output)
    process = start(config, "--executor", "ray", cwd=tmp_path)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "5 files" in out
    assert "Traceback" not in errors
    run(source, tmp_path / "serial")
    assert outputs(output) == outputs(tmp_path / "serial")
    (failed,) = [row for row in rows(output).values() if row["status"] == "failed"]
    assert failed["stage"] == "read"
    assert all(row["place"].startswith("node ") for row in rows(output).values())


def test_an_interrupt_ends_a_ray_run(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    images(source, 4, side=3000)
    layers = [
        {"conv": {"out_channels": 32, "kernel_size": 9}},
        {"conv": {"out_channels": 2, "kernel_size": 9}},
    ]
    process = start(write_config(tmp_path / "c.yaml", source, output, stack=layers), "--executor", "ray")
    wait_for_work(output, process)
    family = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert not (output / ".mediaconv.lock").exists()
    assert unfinished(output) == []
    assert psutil.wait_procs(family, timeout=60)[1] == []


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto", "nonsense"])
def test_no_cluster_at_an_address_is_said(address: str, tmp_path: Path) -> None:
    images(tmp_path / "in", 1)
    with pytest.raises(UsageError, match=f"no cluster at {address}"):
        run(tmp_path / "in", tmp_path / "out", executor="ray", ray={"address": address})


def test_a_run_without_its_cluster_ends_and_blames_no_file(tmp_path: Path) -> None:
    """Every task is lost with its node, as when the raylet of a lone machine has died."""

    class Gone:
        exceptions = ray.exceptions

        def remote(self, *given: Any) -> Any:
            return self if given == (run_in_task,) else object()

        def options(self, **given: Any) -> Any:
            return self

        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 2.0}

        def wait(self, tasks: list[Any], **given: Any) -> tuple[list[Any], list[Any]]:
            return tasks[:1], tasks[1:]

        def cancel(self, task: Any, **given: Any) -> None:
            return

        def get(self, task: Any) -> Any:
            raise ray.exceptions.LocalRayletDiedError

    jobs = jobs_of(tmp_path, {f"{i}.bin": b"x" for i in range(9)})
    options = parsed(tmp_path, tmp_path / "out", executor="ray").ray
    flight = _Flight(Gone(), RayExecutor(Reverser(), options=options), jobs, Watch())
    with pytest.raises(MediaconvError, match=r"cluster is gone .*raylet died.*; the same command"):
        list(flight.outcomes())
