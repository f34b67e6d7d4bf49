"""Times of a film whose frames last unequally: told from the frames' own times."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

import mediaconv
from mediaconv.compare.measure.step_times import Timeline
from mediaconv.media.video.writer import VideoWriter

EVENT = 10


def durations(pause_ms: int = 40) -> list[int]:
    """Milliseconds of 24 frames: 40 and 80 in turn, one of them longer."""
    found = [40, 80] * 12
    found[16] = pause_ms
    return found


def film(path, lengths_ms):
    """A flash from frame `EVENT` on."""
    frames = np.full((len(lengths_ms), 16, 16), 40, np.uint8)
    frames[EVENT:] = 200
    times = [Fraction(sum(lengths_ms[:i]), 1000) for i in range(len(lengths_ms))]
    with VideoWriter(path, codec="ffv1", lossless=True, time_base=Fraction(1, 1000)) as out:
        out.write(frames, times)
    return [float(t) for t in times]


def compared(tmp_path, lengths_ms):
    times = film(tmp_path / "film.mkv", lengths_ms)
    conv = {"kernel_size": [9, 1, 1], "weight": np.full((1, 3, 9, 1, 1), 1 / 27).tolist()}
    config = {"pipeline": "video", "stack": [{"conv": conv}], "normalize": "none"}
    mediaconv.compare(config, input=str(tmp_path / "film.mkv"), output=str(tmp_path / "out"), device="cpu")
    found = json.loads((tmp_path / "out/compare.json").read_text())
    return times, found["files"][0], found["sides"], (tmp_path / "out/report.html").read_text()


def test_milliseconds_and_seconds_are_those_of_the_frames(tmp_path):
    times, row, sides, page = compared(tmp_path, durations())
    assert [event["step"] for event in row["events"]] == [EVENT]
    assert row["events"][0]["seconds"] == pytest.approx(times[EVENT]) == pytest.approx(0.6)
    assert row["sides"]["standard"]["latency_ms"] == pytest.approx(240)
    assert row["sides"]["standard"]["latency_ms_range"] == pytest.approx([240, 240])
    assert "latency 4 frames, 240 ms" in sides[1]["facts"]
    assert row["channels"][0]["shift_steps"] == 4
    assert row["channels"][0]["shift_ms"] == pytest.approx(240)
    assert "frames a second" not in page


def test_where_frames_differ_a_range_is_told(tmp_path):
    times, row, sides, _ = compared(tmp_path, durations(pause_ms=140))
    spans = [1000 * (b - a) for a, b in zip(times, times[4:], strict=False)]
    assert (min(spans), max(spans)) == pytest.approx((240, 340))
    assert row["sides"]["standard"]["latency_ms_range"] == pytest.approx([240, 340])
    assert row["sides"]["standard"]["latency_ms"] == pytest.approx(340)
    assert row["channels"][0]["shift_ms_range"] == pytest.approx([240, 340])
    assert "latency 4 frames, 240 to 340 ms" in sides[1]["facts"]


def test_a_folder_tells_the_range_over_its_films(tmp_path):
    (tmp_path / "in").mkdir()
    film(tmp_path / "in/a.mkv", [40] * 20)
    film(tmp_path / "in/b.mkv", [120, 40] * 10)
    conv = {"kernel_size": [5, 1, 1], "weight": np.full((1, 3, 5, 1, 1), 1 / 15).tolist()}
    config = {"pipeline": "video", "stack": [{"conv": conv}], "normalize": "none"}
    mediaconv.compare(config, input=str(tmp_path / "in"), output=str(tmp_path / "out"), device="cpu")
    found = json.loads((tmp_path / "out/compare.json").read_text())
    ranges = [row["sides"]["standard"]["latency_ms_range"] for row in found["files"]]
    assert ranges == [pytest.approx([80, 80]), pytest.approx([160, 160])]
    assert found["sides"][1]["latency_ms_range"] == pytest.approx([80, 160])
    assert found["sides"][1]["latency_ms"] == pytest.approx(160)
    assert "latency 2 frames, 80 to 160 ms" in found["sides"][1]["facts"]
    assert "latency 2 frames, 80 to 160 ms" in (tmp_path / "out/report.html").read_text()


def test_even_times_are_those_of_the_rate():
    ntsc = Fraction(30000, 1001)
    rounded = [Fraction(round(1000 * i / ntsc), 1000) for i in range(100)]  # as Matroska keeps them
    line = Timeline(ntsc, rounded)
    assert (line.even, line.times) == (True, None)
    assert line.at(50) == 50 / ntsc
    assert line.span_ms(-3) == (float(-3000 / ntsc),) * 2
    assert Timeline(None).span_ms(4) is None


def test_steps_beyond_the_film_count_by_the_mean():
    line = Timeline(Fraction(25), [Fraction(n, 10) for n in (0, 1, 3)])
    assert float(line.at(4)) == pytest.approx(0.3 + 2 * 0.15)
    assert line.span_ms(8) == pytest.approx((1200, 1200))
    assert line.span_ms(Fraction(1, 2)) == pytest.approx((50, 100))
