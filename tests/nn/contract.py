"""`mediaconv.testing` as these tests use it: the formula must be met exactly unless a case says less."""

from functools import partial

from mediaconv.testing import check_streaming

verify_contract = partial(check_streaming, measure="exact")
