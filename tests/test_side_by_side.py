"""Pieces of work beside the caller's thread: results, errors, and helpers that come too late."""

import threading

import pytest

from mediaconv.side_by_side import SideBySide


@pytest.fixture
def two():
    workers = SideBySide(2, "helper")
    yield workers
    workers.close()


def test_results_stand_in_the_order_of_the_items(two):
    for _ in range(200):
        assert two.map(lambda x: x * x, range(7)) == [0, 1, 4, 9, 16, 25, 36]
    assert two.map(lambda x: x, []) == []


def test_a_helper_works_beside_the_caller(two):
    both = threading.Barrier(2, timeout=10)
    names = two.map(lambda x: (both.wait(), threading.current_thread().name)[1], range(2))
    assert threading.current_thread().name in names
    assert any(name.startswith("helper") for name in names)


def test_a_helper_that_does_not_come_is_not_waited_for(two):
    leave = threading.Event()
    busy = two._pool.submit(leave.wait)  # as one whose core another program has
    try:
        here = threading.current_thread().name
        assert two.map(lambda x: threading.current_thread().name, range(5)) == [here] * 5
        assert not busy.done()
    finally:
        leave.set()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_first_error_is_raised_when_all_is_done(threads):
    workers, done = SideBySide(threads, "helper"), []

    def work(x):
        done.append(x)
        if x in (2, 4):
            raise IndexError(x)

    try:
        with pytest.raises(IndexError, match="2"):
            workers.map(work, range(6))
    finally:
        workers.close()
    assert sorted(done) == list(range(6))


def test_an_interrupt_leaves_out_what_was_not_begun_and_waits_for_what_was(two):
    begun, ended, caller = threading.Event(), [], threading.current_thread()

    def work(x):
        if threading.current_thread() is caller:
            begun.wait(10)
            raise KeyboardInterrupt
        begun.set()
        threading.Event().wait(0.05)
        ended.append(x)

    with pytest.raises(KeyboardInterrupt):
        two.map(work, range(100))
    assert 1 <= len(ended) < 100
    before = list(ended)
    assert two.map(lambda x: x, range(3)) == [0, 1, 2]
    assert ended == before
