"""A folder of work, from configuration to summary: lock, plan, skip what is done, run the rest, keep rows.

It neither computes nor starts processes: executors do. The manifest has this one writer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig
from mediaconv.config.dump import dump_config
from mediaconv.errors import UsageError, WriteError
from mediaconv.filesystem import write_whole
from mediaconv.interrupt import ends_promptly
from mediaconv.pipeline import find
from mediaconv.run.executors.executor import Executor, Perform, Watch
from mediaconv.run.executors.select_executor import select_executor
from mediaconv.run.executors.serial import CAUTION, SerialExecutor
from mediaconv.run.executors.template import begin_template
from mediaconv.run.gc_pause import gc_paused
from mediaconv.run.jobs.discover import discover
from mediaconv.run.jobs.identity import run_identity, versions
from mediaconv.run.jobs.perform import DISK_FULL
from mediaconv.run.jobs.plan import Job, make_plan
from mediaconv.run.jobs.result import Outcome, OutputFile
from mediaconv.run.output.folder import RUN_NAME, Output, open_output
from mediaconv.run.output.group_commit import GroupCommit
from mediaconv.run.output.ownership import check_run_yaml, marked, remove_unclaimed, with_replacements
from mediaconv.run.output.staging import clear_leftovers
from mediaconv.run.report.progress import QuietReporter, Reporter
from mediaconv.run.report.summary import Summary
from mediaconv.run.resume.manifest import Manifest, read_manifest
from mediaconv.run.resume.rows import BEGUN, DONE, FAILED, Row, Rows
from mediaconv.run.resume.survey import Survey, survey, survey_failed


@dataclass(frozen=True)
class Selection:
    """Which inputs are run. overwrite: those that are done too; retry_failed: only those that failed last."""

    overwrite: bool = False
    retry_failed: bool = False


RESUME = Selection()


def survey_run(config: RunConfig, selection: Selection = RESUME, *, looking: bool = False) -> Survey:
    """What `run_folder` would do now. Writes nothing; raises UsageError as that does.

    looking: nothing is to be run, so nothing can be in its way.
    """
    pipeline = find(config.pipeline)
    with gc_paused(), open_output(config.output, write=False) as output:
        listing = discover(config, pipeline)
        jobs = make_plan(config, pipeline, listing=listing, folder=output.folder)
        rows = read_manifest(output.folder)
        identity = run_identity(config, rows if looking else None)
        surveyed = _surveyed(jobs, rows, output, identity, selection)
        if not looking:
            check_run_yaml(output.folder, rows)
            surveyed = _cleared(surveyed, rows, output, config)
    return replace(surveyed, inputs=listing)


def run_folder(
    config: RunConfig,
    *,
    selection: Selection = RESUME,
    reporter: Reporter | None = None,
    make: Callable[[], Perform] | None = None,
) -> Summary:
    """Run every input that is not done yet, and return when all have their rows.

    make: makes what runs one job in a worker; default: what the configuration says.

    Raises UsageError where nothing can be run, WriteError where the output folder's disk is full at the
    start, and KeyboardInterrupt after a signal, with nothing partial left.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        # before any thread; the configuration has loaded its pipeline, and ours load no torch
        template = begin_template() if config.executor in ("auto", "process") else None
        if template is not None:
            stack.callback(template.close)
        run = _Run(config, reporter or QuietReporter())
        stack.enter_context(ends_promptly(run.clear))
        with gc_paused():  # what is known of many thousand files stays until the end
            surveyed = _begun(config, selection, run, stack)
        executor, workers = select_executor(config, [job for job, _ in surveyed.todo], make, template)
        stack.callback(run.reporter.close)
        caution = ""
        if isinstance(executor, SerialExecutor):
            run.notes_begun, caution = True, CAUTION
            executor.suspects = {row.input for row in run.manifest.rows.unfinished() if row.status == BEGUN}
        run.reporter.begin(len(surveyed.todo), len(surveyed.skipped), workers, caution=caution)
        run.all([job for job, _ in surveyed.todo], executor)
    run.summary.seconds = time.monotonic() - began
    return run.summary


def _begun(config: RunConfig, selection: Selection, run: _Run, stack: ExitStack) -> Survey:
    """Open the output folder for `run`, take away what killed runs left there, and see what is to be done."""
    pipeline = find(config.pipeline)
    inputs = discover(config, pipeline)
    jobs = make_plan(config, pipeline, listing=inputs)
    identity = run_identity(config)
    try:
        output = run.output = stack.enter_context(open_output(config.output, write=True))
        output.naming = (getattr(config.write, "pattern", None) or "", getattr(config.write, "names", None))
        rows = read_manifest(output.folder)
        check_run_yaml(output.folder, rows)
        if output.folder != Path(config.output):
            jobs = [replace(job, output=output.folder) for job in jobs]
        surveyed = _surveyed(jobs, rows, output, identity, selection)
        for path in output.leftovers(surveyed.closed):
            output.remove(path)
        surveyed = _cleared(surveyed, rows, output, config)
        todo = {job.name for job, _ in surveyed.todo}
        remove_unclaimed(output.claimed - todo, rows, output, getattr(config.write, "names", None))
        output.unsettled &= todo
        output.claim(sorted(todo))
        manifest = stack.enter_context(Manifest(output.folder, rows))
        _write_config(config, output.folder)
    except OSError as error:
        kind = WriteError if error.errno in DISK_FULL else UsageError
        raise kind(f"output: cannot write in {config.output}: {error.strerror or error}") from error
    stack.callback(output.send)
    run.begin(manifest, identity, replace(surveyed, inputs=inputs))
    return surveyed


def _cleared(surveyed: Survey, rows: Rows, output: Output, config: RunConfig) -> Survey:
    """The survey with what each job may replace. Raises UsageError where something else is in the way."""
    todo, names = [job for job, _ in surveyed.todo], getattr(config.write, "names", None)
    jobs = with_replacements(todo, rows, output.claimed, output, output.folder, names)
    return replace(
        surveyed, todo=[(job, reason) for job, (_, reason) in zip(jobs, surveyed.todo, strict=True)]
    )


def _surveyed(
    jobs: Sequence[Job],
    rows: Mapping[str, Row],
    output: Output,
    identity: Mapping[str, str],
    selection: Selection,
) -> Survey:
    if selection.retry_failed:
        return survey_failed(jobs, rows)
    return survey(jobs, rows, output, identity, overwrite=selection.overwrite)


def _verified(file: OutputFile, job: Job) -> dict[str, Any]:
    """What a row says of an output beside its path; on other storage it gets a time of the store's."""
    identity = {"bytes": file.bytes, "sha256": file.sha256}
    return identity if job.target_url else {**identity, "time": file.time}


def _write_config(config: RunConfig, output: Path) -> None:
    """`OUTPUT/run.yaml`: the resolved configuration, which runs again as it stands, from any folder."""
    content = marked(dump_config(config, base=Path.cwd()))
    path = output / RUN_NAME
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)


class _Run(Watch):
    """One run's state: rows go to the manifest, counts to the summary, news to the reporter.

    notes_begun: jobs run in this process, whose end would be the program's: the manifest tells which it was.
    """

    manifest: Manifest
    identity: dict[str, str]

    def __init__(self, config: RunConfig, reporter: Reporter) -> None:
        self.reporter = reporter
        self.summary = Summary(config.output)
        self.output: Output | None = None
        self.notes_begun = False
        self._config = config
        self._versions = versions()
        self._begun: dict[str, Job] = {}
        self._commits: GroupCommit | None = None

    def begin(self, manifest: Manifest, identity: dict[str, str], surveyed: Survey) -> None:
        """Count what is skipped; rows of files that were only touched get the new time."""
        self.manifest, self.identity = manifest, identity
        self.summary.skipped = len(surveyed.skipped)
        self.summary.notes += [(entry.path, entry.reason) for entry in surveyed.inputs.left_out if entry.lost]
        for row in surveyed.renewed:
            self.manifest.add(row)

    def all(self, jobs: Sequence[Job], executor: Executor) -> None:
        """Run the jobs, until all have ended or the run must stop."""
        if not jobs:
            return
        assert self.output is not None
        self._commits = GroupCommit(self.output.folder)
        try:
            with closing(executor.run(jobs, self)) as outcomes:
                for outcome in outcomes:
                    self._begun.pop(outcome.job.name, None)
                    if outcome.result is not None and outcome.result.staged is not None:
                        self._commits.add(outcome)
                    else:
                        self._keep(outcome)  # rows of the others come when the next job has begun
                    if self.summary.stopped:
                        break
            for outcome in self._commits.finish():
                self._keep(outcome)
        except BaseException:
            for outcome in self._commits.drop():
                self._keep(outcome)
            raise
        self.summary.left = len(jobs) - self.summary.files - len(self.summary.failures)

    def _settle(self) -> None:
        """Rows for the jobs whose outputs were put in place meanwhile."""
        if self._commits is not None:
            for outcome in self._commits.ended():
                self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        failure = outcome.failure
        if failure is not None and failure.stops_run:
            self.summary.stopped = self.summary.stopped or f"{outcome.job.name}: {failure.reason}"
            return
        try:
            self.manifest.add(self._row(outcome))
            if self.output is not None:
                if failure is None or failure.stage != "write":  # else they may lie there all the same
                    self.output.unsettled.discard(outcome.job.name)
                self.output.send(now=False)
        except WriteError as error:
            self.summary.stopped = str(error)
            return
        self.summary.add(outcome)
        self.reporter.ended(outcome)
        most = self._config.max_failures
        if most is not None and len(self.summary.failures) > most:
            self.summary.stopped = f"more files failed than max_failures: {most} allows"

    def _row(self, outcome: Outcome) -> Row:
        common: dict[str, Any] = {
            "input": outcome.job.name,
            "seconds": round(outcome.seconds, 3),
            "versions": self._versions,
            "attempts": outcome.attempts,
            "place": outcome.worker,
        }
        result = outcome.result
        if result is None:
            failure = outcome.failure
            return Row(
                **common,
                status=FAILED,
                stage=failure.stage if failure else "run",
                reason=failure.reason if failure else "no outcome",
                identity=dict(self.identity),
            )
        return Row(
            **common,
            status=DONE,
            outputs=[
                {"path": f"{outcome.job.output_folder}{file.name}", **_verified(file, outcome.job)}
                for file in result.outputs
            ],
            media_seconds=result.media_seconds,
            input_shape=list(result.input_shape),
            output_shape=list(result.output_shape),
            clipped=result.clipped,
            notes=result.notes,
            identity={**self.identity, **result.input_identity},
        )

    def clear(self) -> None:
        """Remove what jobs under way have begun to write, and let others write."""
        for job in list(self._begun.values()):
            clear_leftovers(job.target)
        if self._commits is not None:
            self._commits.drop()
        if self.output is not None:
            self.output.release()

    def started(self, worker: int, job: Job) -> None:
        self._settle()
        self._begun[job.name] = job
        if self.output is not None:
            self.output.unsettled.add(job.name)
        if self.notes_begun:
            with contextlib.suppress(WriteError):  # a full disk is told by the job itself
                self.manifest.begin(Row(job.name, BEGUN, versions=self._versions))
        self.reporter.started(worker, job)

    def advanced(self, worker: int, steps: int, total: int | None, media_seconds: float | None) -> None:
        self._settle()
        self.reporter.advanced(worker, steps, total, media_seconds)

    def lost(self, job: Job, reason: str) -> None:
        self.reporter.lost(job, reason)

    def stopped(self, worker: int) -> None:
        self.reporter.stopped(worker)
