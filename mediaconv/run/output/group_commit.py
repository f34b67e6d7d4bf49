"""Group commit: outputs of many finished jobs are synced together, then put in place, then told.

A thread does it while other jobs run. In that order for each: a file's bytes are durable before it has its
name, its name before its row. Until then its outputs lie in hidden folders with the program's mark: a kill
loses the work of the last window at most, and never a file.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mediaconv.errors import WriteError
from mediaconv.run.jobs.perform import failure_of
from mediaconv.run.jobs.result import Outcome
from mediaconv.run.output.durability import Disk
from mediaconv.run.output.staging import Staged, commit_error, remove_folder

WINDOW_SECONDS = 0.25
"""How long a finished job's outputs wait for others."""
WINDOW_JOBS = 128
"""Jobs that are put in place at once, without waiting."""
MOST_WAITING = 2 * WINDOW_JOBS
"""Jobs whose outputs may wait, also while the disk is slow."""
STOP_SECONDS = 1.0
"""How long an interrupted run waits for the call to the disk that is under way."""


class GroupCommit:
    """Puts the outputs of finished jobs below a folder in place. One thread adds and asks."""

    def __init__(self, folder: Path) -> None:
        self._disk = Disk(folder)
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._placing = threading.Lock()
        self._waiting: list[Outcome] = []
        self._under_way: list[Outcome] = []
        self._ended: deque[Outcome] = deque()
        self._first = 0.0
        self._closing = self._dropped = False
        self._error: Exception | None = None

    def add(self, outcome: Outcome) -> None:
        """Take a job whose outputs are complete and staged; waits while too many do.

        Raises what ended the thread; then `drop` removes what waits.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="commit", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads
                remove_folder(_staged(outcome).folder)
                raise
            self._thread = thread
        with self._changed:
            if not self._waiting:
                self._first = time.monotonic()
            self._waiting.append(outcome)
            if len(self._waiting) in (1, WINDOW_JOBS):
                self._changed.notify_all()
            # it is among them already: an interrupt that ends the wait must not leave it to nobody
            while len(self._waiting) + len(self._under_way) > MOST_WAITING and self._thread.is_alive():
                self._changed.wait(0.1)
            self._raise_error()

    def ended(self) -> Iterator[Outcome]:
        """Those that came to their end since it was last asked: in place, or failed to be. Those that are not
        taken, for an interrupt came in between, stay for the next time."""
        while self._ended:
            yield self._ended.popleft()

    def finish(self) -> Iterator[Outcome]:
        """The same of all that wait; then nothing more can be added. Raises what ended the thread."""
        self._close()
        if self._thread is not None:
            while self._thread.is_alive():
                self._thread.join(0.1)
        self._disk.close()
        self._raise_error()
        return self.ended()

    def drop(self) -> Iterator[Outcome]:
        """Stop, and remove the outputs that are not in place yet; those that ended before it."""
        self._close()
        with self._placing:
            self._dropped = True
            with self._changed:
                left = [*self._under_way, *self._waiting]
                self._waiting = []
        for outcome in left:
            remove_folder(_staged(outcome).folder)
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        return self.ended()

    def _close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            self._commit_windows()
        except Exception as error:  # who adds and asks must hear of it, or jobs would be left without a word
            self._error = error

    def _commit_windows(self) -> None:
        while batch := self._window():
            self._ended.extend(self._committed(batch))
            with self._changed:
                self._under_way = []
                self._changed.notify_all()

    def _window(self) -> list[Outcome]:
        """Wait for jobs, and a moment for more; none at the end."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            while self._waiting and len(self._waiting) < WINDOW_JOBS and not self._closing:
                rest = self._first + WINDOW_SECONDS - time.monotonic()
                if rest <= 0:
                    break
                self._changed.wait(rest)
            self._under_way, self._waiting = self._waiting, []
            return self._under_way

    def _committed(self, batch: Sequence[Outcome]) -> Iterable[Outcome]:
        """The jobs of a window, in place and durable, or as failures."""
        failed: dict[str, OSError | WriteError] = {}
        try:
            self._disk.sync_folders([_staged(outcome).folder for outcome in batch])
        except OSError:
            self._each_alone(batch, failed)
        replaced: set[str] = set()
        with self._placing:
            if self._dropped:
                return []
            for outcome in batch:
                if outcome.job.name not in failed:
                    try:
                        if _staged(outcome).place():
                            replaced.add(outcome.job.name)
                    except (OSError, WriteError) as error:
                        failed[outcome.job.name] = error
            self._under_way = []
        self._settle_names(batch, failed)
        for outcome in batch:
            if outcome.job.name in replaced or outcome.job.name in failed:
                remove_folder(_staged(outcome).folder)
        return [_with_error(outcome, failed.get(outcome.job.name)) for outcome in batch]

    def _each_alone(self, batch: Sequence[Outcome], failed: dict[str, OSError | WriteError]) -> None:
        """Find out whose outputs could not be made durable."""
        for outcome in batch:
            try:
                self._disk.sync_folders([_staged(outcome).folder])
            except OSError as error:
                failed[outcome.job.name] = error

    def _settle_names(self, batch: Sequence[Outcome], failed: dict[str, OSError | WriteError]) -> None:
        """Make the new names durable."""
        placed = [outcome for outcome in batch if outcome.job.name not in failed]
        try:
            self._disk.sync(sorted({_staged(outcome).parent for outcome in placed}))
        except OSError as error:
            failed |= {outcome.job.name: error for outcome in placed}


def _staged(outcome: Outcome) -> Staged:
    assert outcome.result is not None
    assert outcome.result.staged is not None
    return outcome.result.staged


def _with_error(outcome: Outcome, error: OSError | WriteError | None) -> Outcome:
    """The outcome of a job whose outputs are in place, or are not because of an error."""
    if error is None:
        assert outcome.result is not None
        return replace(outcome, result=replace(outcome.result, staged=None))
    return replace(
        outcome, result=None, failure=failure_of(commit_error(_staged(outcome), error), outcome.job)
    )
