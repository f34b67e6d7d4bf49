"""A warm template of workers: a process that has loaded what they need, and forks one in some milliseconds.

It is forked itself, from a program that has not loaded torch yet and has one thread, so that no thread is
lost by it and nothing is loaded twice; elsewhere (a notebook, a program with threads, no Linux) there is none
and workers are started anew. It never runs a job, so it keeps its one thread, and holds no file but standard
streams and its own pipe. When the program ends, however it does, it ends, and its workers with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

from mediaconv.run.executors.worker import READY, broken, die_with, obey_only, serve

MAKE, SPAWN, WAIT = "make", "spawn", "wait"
POLL_SECONDS = 0.005
GONE_SECONDS = 0.25
"""How long a thread that was ended for a fork may still be seen on a busy machine."""
_kept: list[Any] = []
"""Streams of the program in the template: their descriptors are closed, they themselves must not be."""


def begin_template() -> Template | None:
    """Fork a template, which loads nothing yet; None where a thread would be lost by it."""
    if not sys.platform.startswith("linux") or "torch" in sys.modules or threading.active_count() > 1:
        return None
    if threading.current_thread() is not threading.main_thread():
        return None
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    ours, theirs = Pipe()
    parent = os.getpid()
    try:
        process = os.fork()
    except OSError:
        return None
    if process == 0:
        try:
            _run(theirs, parent)
        finally:
            os._exit(1)
    theirs.close()
    template = Template(ours, process)
    if _threads() > 1:  # a library's, which does not end itself before a fork as OpenBLAS does
        template.close()
        return None
    return template


class Template:
    """The program's end of it."""

    def __init__(self, pipe: Connection, process: int) -> None:
        self._pipe, self._process = pipe, process
        self._made, self._forks = False, True
        self.alive = True

    def spawn(self, make: Callable[[], Any], descriptor: int) -> ForkedProcess | None:
        """A new worker at that end of a pipe; None where it cannot fork, and a fresh process must do.

        make: as in ProcessExecutor; called in the template, once.
        """
        if not (self.alive and self._forks):
            return None
        try:
            if not self._made:
                self._pipe.send((MAKE, make))
                self._made = True
            self._pipe.send((SPAWN,))
            send_handle(self._pipe, descriptor, self._process)
            worker = self._pipe.recv()
        except (EOFError, OSError):
            self.close()
            return None
        except BaseException:  # interrupted between question and answer: what came next could not be trusted
            self.close()
            raise
        if worker is None:
            self._forks = False
            return None
        return ForkedProcess(self, worker)

    def wait(self, worker: int, timeout: float | None) -> int | None:
        """The exit status of a worker, as subprocess has it; None where it lives on."""
        if not self.alive:
            return -signal.SIGKILL
        try:
            self._pipe.send((WAIT, worker, timeout))
            return self._pipe.recv()  # type: ignore[no-any-return]
        except (EOFError, OSError):
            self.close()
            return -signal.SIGKILL
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it, and what workers it still has. May be called twice."""
        if self.alive:
            self.alive = False
            self._pipe.close()
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)


class ForkedProcess:
    """A worker of a template, in subprocess.Popen's words. The number is its own until `wait` returned."""

    def __init__(self, template: Template, pid: int) -> None:
        self.pid = pid
        self._template = template
        self._status: int | None = None

    def kill(self) -> None:
        """End it; with its template it has ended already."""
        if self._status is None and self._template.alive:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        if self._status is None:
            self._status = self._template.wait(self.pid, timeout)
        if self._status is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        return self._status


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _run(pipe: Connection, parent: int) -> None:
    """The template: load, fork and tell of ends, until the program is gone."""
    obey_only(parent)
    _keep_only(pipe.fileno())
    perform: Any = None
    with contextlib.suppress(EOFError):
        while True:
            kind, *rest = pipe.recv()
            if kind == MAKE:
                perform = _loaded(rest[0])
            elif kind == SPAWN:
                pipe.send(_spawned(recv_handle(pipe), perform, pipe))
            else:
                pipe.send(_end_of(*rest))


def _keep_only(own: int) -> None:
    """Standard streams as a worker's: no input, both outputs to stderr; no other file of the program's."""
    _kept.extend((sys.stdin, sys.stdout, sys.stderr))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # a plug-in's prints must not end in the summary
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor != own:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, "w" if number else "r", errors="backslashreplace", closefd=False)
        for number in range(3)
    )


def _loaded(make: Callable[[], Any]) -> Any:
    """What runs a job, prepared once for all workers, or the message of why there is none."""
    from mediaconv.run.executors.resources import set_threads

    try:
        perform = make()
        if prepare := getattr(perform, "prepare", None):
            set_threads(1)  # a second one would be lost by a fork
            prepare()
        return perform
    except Exception as error:
        return broken(error)
    finally:
        gc.freeze()  # the collector would touch, and so copy, every page of it in every worker


def _spawned(descriptor: int, perform: Any, pipe: Connection) -> int | None:
    """A worker's number; None where threads of a library would be lost by it."""
    template = os.getpid()
    try:
        worker = os.fork()
    except OSError:
        os.close(descriptor)
        return None
    if worker == 0:
        try:
            pipe.close()
            die_with(template)
            _work(descriptor, perform)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(0)
    os.close(descriptor)
    until = time.monotonic() + GONE_SECONDS
    while _threads() > 1 and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    if _threads() > 1:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        return None
    return worker


def _work(descriptor: int, perform: Any) -> None:
    with Connection(descriptor) as pipe:
        if isinstance(perform, tuple):
            pipe.send(perform)
            return
        pipe.send((READY,))
        serve(pipe, perform)


def _end_of(worker: int, timeout: float | None) -> int | None:
    """A worker's exit status, as soon as it has ended; None where it lives on after `timeout` seconds."""
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        ended, status = os.waitpid(worker, 0 if until is None else os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() >= until:
            return None
        time.sleep(POLL_SECONDS)
