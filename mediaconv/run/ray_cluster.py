"""Jobs on a Ray cluster, a task each: for more than one machine, over storage that all of them see.

Tasks carry paths and configuration; errors come back as values, and only lost workers are retried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mediaconv.config.run_config import RayOptions
from mediaconv.run.executor import Outcomes, Perform, Watch
from mediaconv.run.plan import Job


class RayExecutor:
    workers = 1

    def __init__(
        self,
        make: Callable[[], Perform],
        *,
        workers: int | str,
        options: RayOptions,
        timeout_seconds: float | None,
    ) -> None:
        raise NotImplementedError

    def run(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
        raise NotImplementedError
