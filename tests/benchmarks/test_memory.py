"""Memory helpers: what is touched is seen, what is gone is not an error."""

import mmap
import subprocess
import sys
import time

from benchmarks.memory import PeakMemory, tree_rss_bytes


def test_the_peak_sees_memory_that_was_given_back():
    size = 64 * 2**20
    before = tree_rss_bytes()
    # of the system itself: what malloc gives may be resident already
    with PeakMemory(interval_seconds=0.005) as peak, mmap.mmap(-1, size) as block:
        block.write(b"x" * size)
        until = time.monotonic() + 10
        while peak.bytes < before + size // 2 and time.monotonic() < until:
            time.sleep(0.005)  # until it was looked at, on however busy a machine
    assert size * 3 // 4 < peak.bytes - before < size * 4


def test_children_count():
    alone = tree_rss_bytes()
    child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=-1, stdout=-1)
    with child:
        child.stdout.readline()
        assert tree_rss_bytes() > alone + 2**20
        child.communicate(b"\n")


def test_a_process_that_is_gone_holds_nothing():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert tree_rss_bytes(child.pid) == 0
