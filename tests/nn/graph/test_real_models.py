"""Published models are captured as docs/reference/models.md says, and stream exactly."""

from __future__ import annotations

import pytest

from tests.nn.graph.real_models import AS_IS, MODELS, PAGE, REFUSED, Model, row, tried

CASES = [
    pytest.param(m, id=f"{m.package}-{m.name}".replace(" ", "-"), marks=() if m.quick else pytest.mark.models)
    for m in MODELS
]


@pytest.mark.parametrize("model", CASES)
def test_a_published_model_streams_as_the_page_says(model: Model) -> None:
    if not model.installed:
        pytest.skip(f"{model.package} is not installed: pip install mediaconv[models]")
    result = tried(model)
    assert result.outcome == model.outcome, result.why
    assert (result.error is None) == (model.outcome == REFUSED)
    assert result.error is None or result.error < model.tolerance
    page = PAGE.read_text()
    assert row(model, result).split("|")[1:4] in [line.split("|")[1:4] for line in page.splitlines()]


def test_most_of_the_page_streams_as_it_is() -> None:
    assert len(MODELS) >= 32
    assert sum(m.outcome == AS_IS for m in MODELS) >= 26
