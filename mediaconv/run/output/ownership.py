"""What in an output folder is the run's own: what a row of its manifest names, or what it had claimed.

Everything else that lies where outputs would go is refused before any work, and never replaced or removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mediaconv.errors import UsageError
from mediaconv.filesystem import NotAFileError, in_the_way, is_regular, open_to_read
from mediaconv.media.output_names import is_output_name, stem_for_pattern, stem_in_pattern
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.folder import RUN_NAME, Output
from mediaconv.run.resume.rows import Rows
from mediaconv.run.resume.safe_name import is_safe_name

_MARK = re.compile(rb"# written by mediaconv run, sha256 ([0-9a-f]{64})[^\n]*\n")
_MAX_BYTES = 1 << 26


class Everything:
    """Holds every name: after a torn row it is not known which outputs had none yet."""

    def __contains__(self, name: object) -> bool:
        return True


def marked(text: str) -> bytes:
    """run.yaml with its full mark: a comment that holds the hash of all that follows it."""
    body = text.encode()
    digest = hashlib.sha256(body).hexdigest()
    return f"# written by mediaconv run, sha256 {digest}; copy it to change it\n".encode() + body


def check_run_yaml(folder: Path, rows: Rows) -> bool:
    """Whether the folder holds a run.yaml, which then is a run's: it bears its mark, as it was written.

    Version 0.1.0 wrote none: there a manifest's rows beside it tell. Raises UsageError where it is another's.
    """
    path = folder / RUN_NAME
    if not os.path.lexists(path):
        return False
    try:
        with open_to_read(path) as file:
            content = file.read(_MAX_BYTES)
    except NotAFileError:
        raise in_the_way(path) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    mark = _MARK.match(content)
    if mark is None and rows and content.startswith(b"pipeline: "):
        return True
    if mark is None or hashlib.sha256(content[mark.end() :]).hexdigest().encode() != mark[1]:
        was = "a file that no run wrote" if mark is None else "it was changed after a run wrote it"
        raise in_the_way(path, was)
    return True


def with_replacements(
    jobs: Sequence[Job],
    rows: Rows,
    claimed: Container[str],
    output: Output,
    root: Path,
    names: Sequence[str] | None = None,
) -> list[Job]:
    """The jobs, each with the names of the files in its target that it may replace.

    names: what the configuration calls outputs, beside the standard names.

    Raises UsageError, naming it, where anything else lies in a target or on the way to it. Hidden files and
    folders in a target stay as they are.
    """
    if rows.torn:
        claimed = Everything()
    known: set[str] = set()
    listed = _Listed(output, names)
    owning = []
    for job in jobs:
        above = ""
        for part in job.name.split("/")[:-1]:
            above += f"{part}/"
            if above not in known:
                _refuse_no_folder(root / above, output)
                known.add(above)
        own = rows.owned(job.name)
        _refuse_other_layout(job, rows, output)
        replaced = []
        for name, regular in listed.of(job, own):
            if not (regular and (name in own or (job.name in claimed and listed.may_be_output(job, name)))):
                raise in_the_way(f"{job.destination}/{name}", "" if regular else "not a regular file")
            replaced.append(name)
        owning.append(replace(job, replaces=tuple(sorted(replaced))) if replaced else job)
    return owning


class _Listed:
    """What lies where jobs write. In a flat folder, listed once: a job's are the files of its stem."""

    def __init__(self, output: Output, names: Sequence[str] | None) -> None:
        self._output, self._names = output, names
        self._there: dict[str, dict[str, bool]] = {}
        self._flat: dict[str, dict[str, list[tuple[str, bool]]]] = {}

    def of(self, job: Job, own: Collection[str]) -> list[tuple[str, bool]]:
        """Names, and whether they are regular files. own: those that the job's row names."""
        if not job.pattern:
            return self._output.entries(job.name)
        if job.output_folder not in self._flat:
            stems: dict[str, list[tuple[str, bool]]] = {}
            there = dict(self._output.entries(job.output_folder.rstrip("/")))
            self._there[job.output_folder] = there
            for name, regular in there.items():
                stem = stem_in_pattern(name, job.pattern, self._names)
                if stem is not None:
                    stems.setdefault(stem, []).append((name, regular))
            self._flat[job.output_folder] = stems
        stem = stem_for_pattern(job.pattern, job.name)
        names = dict(self._flat[job.output_folder].get(stem, []))
        there = self._there[job.output_folder]
        return list({**names, **{name: there[name] for name in own if name in there}}.items())

    def may_be_output(self, job: Job, name: str) -> bool:
        """Whether a killed run's output, which has no row, may be called so."""
        return bool(job.pattern) or is_output_name(name, self._names)


def _refuse_other_layout(job: Job, rows: Rows, output: Output) -> None:
    """Raises UsageError where an earlier run left this input's outputs in a folder, and this is flat."""
    if not job.pattern and rows.fingerprint(job.name) is not None:
        return  # of outputs that lie in their input's folder, as these will
    row = rows.get(job.name)
    for file in row.outputs if row else ():
        folder, slash, _ = file["path"].rpartition("/")
        if f"{folder}{slash}" != job.output_folder and output.find(file["path"]) is not None:
            raise UsageError(
                f"write.pattern: {file['path']} in the output folder was written with another layout; "
                "choose another output folder"
            )


def remove_unclaimed(
    jobs: Iterable[str], rows: Rows, output: Output, names: Sequence[str] | None = None
) -> None:
    """Remove the outputs of a killed run that no row names; what else lies there stays, and flat files."""
    for job in jobs:
        if is_safe_name(job):
            own = rows.owned(job)
            for name, regular in output.entries(job):
                if regular and name not in own and is_output_name(name, names):
                    output.remove(output.folder / job / name)
            with contextlib.suppress(OSError):
                (output.folder / job).rmdir()


def _refuse_no_folder(path: Path, output: Output) -> None:
    if output.is_local and os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
        raise in_the_way(path, "" if is_regular(path) else "not a folder of its own but a link or a device")
