"""Libraries are loaded without the collector, which is then as it was."""

import gc

import pytest

from mediaconv.run.gc_pause import gc_paused


@pytest.fixture
def _unfrozen():
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_unfrozen")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_inside_and_is_as_it_was_afterwards(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with gc_paused():
            assert not gc.isenabled()
            made = [[] for _ in range(2000)]
        assert gc.isenabled() == enabled
        assert gc.get_freeze_count() > len(made)
    finally:
        (gc.enable if before else gc.disable)()
