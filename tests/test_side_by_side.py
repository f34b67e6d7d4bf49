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
    leave, came = threading.Event(), threading.Semaphore(0)
    other = threading.Thread(target=lambda: two.map(lambda x: (came.release(), leave.wait(10)), range(2)))
    other.start()
    try:
        for _ in range(2):
            assert came.acquire(timeout=10)  # the helper is busy, as one whose core another program has
        here = threading.current_thread().name
        assert two.map(lambda x: threading.current_thread().name, range(5)) == [here] * 5
        assert other.is_alive()
    finally:
        leave.set()
        other.join()


def test_helpers_end_with_what_they_help():
    workers = SideBySide(3, "helper")
    both = threading.Barrier(3, timeout=10)
    workers.map(lambda x: both.wait(), range(3))
    helpers = list(workers._helpers)
    assert len(helpers) == 2
    del workers
    for helper in helpers:
        helper.join(10)
        assert not helper.is_alive()


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
