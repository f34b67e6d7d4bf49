"""What the pipelines say of `read` and `write` before any file is opened."""

from __future__ import annotations

import pytest
import yaml

from mediaconv.config import parse_config
from mediaconv.errors import ConfigError

WRITES = [  # what a pipeline's own check says, at the key that it is about
    ("video", "{format: webm, codec: h264}", "write.codec: got 'h264', .webm holds vp9"),
    ("video", "{crf: 60}", "write.crf: got 60, codec h264 takes 0 (best) to 51"),
    ("video", "{format: mkv, codec: ffv1, crf: 3}", "write.crf: codec ffv1 is lossless"),
    ("video", "{lossless: true, crf: 3}", "write.crf: a lossless file has no quality setting"),
    ("video", "{bit_depth: 16}", "write.bit_depth: got 16, expected 8 or 10 in .mp4; 16 needs format: mkv"),
    ("video", "{lossless: true, bit_depth: 10, layout: rgb}", "write.bit_depth: got 10, codec h264 holds 8"),
    ("image", "{format: jpeg, lossless: true}", "write.lossless: got true, jpeg cannot be"),
    ("image", "{format: webp, bit_depth: 16}", "write.bit_depth: got 16, webp stores 8 bits"),
    ("audio", "{format: flac, bit_depth: float}", "write.bit_depth: got float, expected 16 or 24 in flac"),
    ("video", "{sound: keep}", "write.sound: is called audio now; write audio: keep"),
    ("audio", "{format: wav, layout: tensor}", "write.format: got wav, which does not fit layout tensor"),
]


@pytest.mark.parametrize(("pipeline", "write", "said"), WRITES)
def test_what_no_file_can_hold_is_said_of_the_configuration(pipeline: str, write: str, said: str) -> None:
    lines = write[1:-1].replace(", ", "\n  ")
    text = f"pipeline: {pipeline}\ninput: in\noutput: out\nstack: [relu]\nwrite:\n  {lines}\n"
    key = said.partition(":")[0].partition(".")[2]
    number = 1 + next(i for i, line in enumerate(text.splitlines()) if line.startswith(f"  {key}:"))
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="x.yaml")
    assert str(caught.value).startswith(f"x.yaml:{number}: {said}")


@pytest.mark.parametrize(
    "write",
    [{"bit_depth": 16, "format": "mkv"}, {"lossless": True, "bit_depth": 10}, {"layout": "rgb"}],
)
def test_what_a_film_can_hold_is_taken(write: dict[str, object]) -> None:
    given = {"pipeline": "video", "input": "in", "output": "out", "stack": ["relu"], "write": write}
    assert parse_config(yaml.safe_dump(given)).write.model_dump(exclude_unset=True) == write


KINDS = [  # no kind of value passes for another in silence
    ("audio", "read", "sample_rate: true", "read.sample_rate: got true, expected an integer"),
    ("audio", "read", "start_seconds: true", "read.start_seconds: got true, expected a number"),
    ("video", "read", "duration_seconds: '3'", "read.duration_seconds: got '3', expected a number"),
    (
        "video",
        "read",
        "sequence: 1",
        "read.sequence: got 1, expected true, false, or a pattern of names such as 'frame_*.png'",
    ),
    ("video", "write", "crf: true", "write.crf: got true, expected an integer"),
    ("video", "write", "lossless: 'yes'", "write.lossless: got 'yes', expected true or false"),
    ("image", "write", "quality: 90.5", "write.quality: got 90.5, expected an integer"),
]


@pytest.mark.parametrize(("pipeline", "section", "line", "said"), KINDS)
def test_no_value_is_taken_for_one_of_another_kind(pipeline: str, section: str, line: str, said: str) -> None:
    text = f"pipeline: {pipeline}\ninput: in\noutput: out\nstack: [relu]\n{section}: {{{line}}}\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="x.yaml")
    assert str(caught.value) == f"x.yaml:5: {said}"


def test_whole_numbers_and_powers_of_ten_are_numbers() -> None:
    text = "pipeline: video\ninput: in\noutput: out\nstack: [relu]\n"
    text += "read: {start_seconds: 1, duration_seconds: 5e-1}\n"
    assert parse_config(text).read.duration_seconds == 0.5
