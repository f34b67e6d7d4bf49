"""The two pictures about the order of axes say what torch does."""

from __future__ import annotations

import runpy
from pathlib import Path

import torch

from tests.draw.boxes import text_box

FIGURES = runpy.run_path(str(Path(__file__).parents[2] / "docs/tools/layout_pictures.py"))["FIGURES"]


def test_the_wrong_view_is_torchs():
    x = torch.arange(12).reshape(1, 2, 2, 3) + torch.tensor([0, 4]).reshape(1, 2, 1, 1)
    moved, wrong = x.permute(0, 2, 3, 1), x.view(1, 2, 3, 2)
    parts = [x[0], x, moved[0].movedim(-1, 0), moved, wrong[0].movedim(-1, 0), x]
    expected = [value for part in parts for value in part.flatten().tolist()]
    drawn = [int(t.text) for t in FIGURES["view_mixes_channels"]().scene.texts() if t.text.isdigit()]
    assert drawn == expected


def test_labels_stay_apart():
    for make in FIGURES.values():
        figure = make()
        boxes = [text_box(t) for t in figure.scene.texts()]
        for place, a in enumerate(boxes):
            assert 0 <= a[0] < a[2] <= figure.scene.width
            assert 0 <= a[1] < a[3] <= figure.scene.height
            for b in boxes[place + 1 :]:
                assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])
