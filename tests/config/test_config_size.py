"""Files of absurd size: told in little time and memory, with key, line and the first errors of many."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from mediaconv.config import load_config, parse_config
from mediaconv.config.problems import MOST_PROBLEMS
from mediaconv.errors import ConfigError

HEAD = "pipeline: audio\ninput: in\noutput: out\n"
MANY = 100_000
KEYS = ", ".join(f"key{i}: 1" for i in range(900))
LARGE = {  # the text, and a line that its error has
    "anchors": (
        HEAD + "stack:\n" + "".join(f"- &a{i} relu\n" for i in range(MANY)),
        "x.yaml:4: stack: got more than 50000 values in the file",
    ),
    "aliases": (HEAD + "stack:\n- &a relu\n" + "- *a\n" * MANY, "x.yaml:4: stack: got more than 5"),
    "keys": (
        HEAD + "".join(f"key{i}: 1\n" for i in range(MANY)) + "stack: [relu]\n",
        "x.yaml:4: key0: got an unknown key",
    ),
    "keys of a layer": (
        HEAD + "stack:\n- conv:\n" + "".join(f"    key{i}: 1\n" for i in range(MANY)),
        "x.yaml:6: stack[0].conv.key0: got an unknown key",
    ),
    "layers": (HEAD + "stack:\n" + "- relu\n" * 40_000, "x.yaml:4: stack: got 40000 layers"),
    "nested layers": (
        HEAD + "stack:\n" + ("- residual: [" + "relu, " * 900 + "relu]\n") * 40,
        "x.yaml:4: stack: got 36080 layers, expected at most 1000",
    ),
    "wrong layers": (HEAD + "stack:\n" + "- rely\n" * MANY, "x.yaml:5: stack[0]: got 'rely', expected"),
    "numbers": (
        HEAD + "stack: [{conv: {weight: [[[" + "1, " * MANY + "1]]]}}]\n",
        "x.yaml:4: stack: got more than 50000 values in the file",
    ),
    "a name": (HEAD + "stack: [" + "a" * 15_000_000 + "]\n", "x.yaml:4: stack[0]: got 'aaaa"),
    "a key": (HEAD + "stack: [relu]\n? " + "a" * 5_000_000 + "\n: 1\n", "x.yaml:5: aaaa"),
    "a path": (HEAD.replace("in\n", "a" * 15_000_000 + "\n") + "stack: [relu]\n", "x.yaml:2: input: got 'a"),
    "a number": (HEAD + "stack: [relu]\nseed: " + "1" * 15_000_000, "x.yaml:5: seed: got '1111"),
    "brackets": (HEAD + "stack: " + "[" * MANY, "x.yaml:4: nested too deeply, expected at most 200 levels"),
    "merges": (
        HEAD + f"a: &a {{{KEYS}}}\nstack:\n" + "- relu: {<<: *a}\n" * 900,
        "x.yaml:4: stack: got more than 50000 values, aliases counted in full",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_is_told_at_once(name: str) -> None:
    text, said = LARGE[name]
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="x.yaml")
    # two seconds are promised on a quiet machine of two cores; others may share this one's clock and caches
    assert time.process_time() - began < 4
    lines = str(caught.value).splitlines()
    assert any(line.startswith(said) for line in lines), lines[:3]
    assert len(lines) <= MOST_PROBLEMS + 1
    assert max(map(len, lines)) < 2000


def test_memory_follows_what_is_read_and_not_what_is_there() -> None:
    text = HEAD + "stack:\n" + "- [1, 2]\n" * 60_000
    tracemalloc.start()
    with pytest.raises(ConfigError, match="got more than 50000 values"):
        parse_config(text, name="x.yaml")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 2**20


def test_of_many_errors_the_first_are_told_in_order() -> None:
    wrong = "".join(f"- conv: {{out_channels: 0, kernel_size: {i}}}\n" for i in range(1, 101))
    with pytest.raises(ConfigError) as caught:
        parse_config(HEAD + "stack:\n" + wrong, name="x.yaml")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        *(f"x.yaml:{number}" for number in range(5, 5 + MOST_PROBLEMS)),
        "x.yaml:1",
    ]
    assert lines[-1] == f"x.yaml:1: ... and more: these are the first {MOST_PROBLEMS}"


def test_a_pipe_is_read_as_a_file_and_one_that_nobody_writes_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaconv.config.load.PIPE_SECONDS", 0.2)
    pipe = tmp_path / "c.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match=r"c\.yaml: cannot be read: is a pipe that nobody writes to"):
        load_config(pipe)
    text = "pipeline: image\ninput: in\noutput: out\nstack:\n- relu\n" + "# a comment\n" * 20_000
    writer = threading.Thread(target=pipe.write_text, args=[text])
    writer.start()
    assert load_config(pipe).pipeline == "image"
    writer.join()
