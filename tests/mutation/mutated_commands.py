"""A command line, a configuration and a folder of anybody's files, drawn at random by a case's number.

What is drawn is nearly right, so that most cases get past the first check and meet the second and the third.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.mutation.command_choices import (
    COMMANDS,
    FILES,
    INPUTS,
    KEYS,
    KINDS,
    NAMES,
    NASTY,
    OUTPUTS,
    PATTERNS,
    PLACES,
    READ,
    REQUIRED,
    STACKS,
    WRITE,
)


@dataclass
class Command:
    """Words after the program's name, and what happens to the program meanwhile."""

    words: list[str]
    signal: tuple[int, float] | None = None
    open_files: int | None = None
    file_bytes: int | None = None
    streams: str = ""
    lay: list[tuple[str, str]] = field(default_factory=list)


class Case:
    """One case: `lay()` fills a folder, `commands()` are what is run in it, one after the other."""

    def __init__(self, number: int, samples: Path) -> None:
        self.rng = random.Random(number)
        self.samples = samples
        self.pipeline = self.rng.choice(tuple(FILES))
        self.inputs: list[str] = []

    def some(self, choices: dict[str, tuple[Any, ...]], chance: float = 0.3) -> dict[str, Any]:
        rng = self.rng
        found = {key: rng.choice(values) for key, values in choices.items() if rng.random() < chance}
        for key in found:
            if rng.random() < 0.04:
                found[key] = rng.choice((None, -1, 10**30, "", [], {}, "x", 0.5, True, *NASTY[:20]))
        return found

    def lay(self, home: Path) -> None:
        """Inputs, models, a configuration, and files of somebody's in places that the program uses."""
        rng = self.rng
        elsewhere = home.parent / "elsewhere"
        for folder in (home / "in" / "sub", elsewhere / "folder", home.parent / "tmp"):
            folder.mkdir(parents=True)
        (elsewhere / "file").write_text("mine\n")
        (elsewhere / "folder" / "file").write_text("mine too\n")
        for name in ("model.onnx", "w.safetensors"):
            shutil.copy(self.samples / name, home / name)
        for _ in range(rng.randint(1, 4)):
            suffix = rng.choice(FILES[self.pipeline if rng.random() < 0.9 else "image"])
            name = f"{'a' if rng.random() < 0.5 else rng.choice(NAMES)}.{suffix}"
            path = home / "in" / ("sub" if rng.random() < 0.2 else "") / name
            data = (self.samples / f"a.{suffix}").read_bytes()
            if rng.random() < 0.15:
                data = data[: rng.randrange(len(data))]
            with contextlib.suppress(OSError):  # a name too long for a file
                path.write_bytes(data)
                self.inputs.append(str(path.relative_to(home / "in")))
        for name, kind in (("fifo", "fifo"), ("link", "link"), ("hole", "hole"), ("loop", "loop")):
            place(home / name, kind, elsewhere)
        for _ in range(rng.choice((0, 0, 1, 2, 4))):
            self.place_one(home, *self.foreign())
        text = yaml.safe_dump(self.configuration(), allow_unicode=False)
        if rng.random() < 0.03:
            text = text[: rng.randrange(len(text))]
        (home / "c.yaml").write_text(text)

    def foreign(self) -> tuple[str, str]:
        name = self.rng.choice(self.inputs or ["a.png"])
        return self.rng.choice(PLACES).replace("{input}", name), self.rng.choice(KINDS)

    def place_one(self, home: Path, where: str, kind: str) -> None:
        with contextlib.suppress(OSError):  # where a file lies in the way of a folder, or names are too long
            path = home / where
            path.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(path):
                place(path, kind, home.parent / "elsewhere")

    def configuration(self) -> dict[str, Any]:
        rng = self.rng
        write = self.some(WRITE[self.pipeline])
        if rng.random() < 0.3:
            write["pattern"] = rng.choice(PATTERNS)
        if rng.random() < 0.2:
            write["names"] = rng.choice(
                (["l", "r"], ["a/b"], ["", ""], ["é", "é"], ["x" * 300], [".h"], ["run"], [])
            )
        if rng.random() < 0.06:
            write["plots"] = True
        content: dict[str, Any] = {
            "pipeline": self.pipeline,
            "input": rng.choice(INPUTS),
            "output": rng.choice(OUTPUTS),
            "stack": rng.choice(STACKS),
            "executor": "serial" if rng.random() < 0.95 else "process",
            **({"write": write} if write else {}),
            **self.some(KEYS, 0.08),
        }  # fmt: skip
        if rng.random() < 0.2:
            content["read"] = self.some(READ[self.pipeline])
        if rng.random() < 0.03:
            del content[rng.choice(list(content))]
        return content

    def commands(self) -> list[Command]:
        rng = self.rng
        found = [Command(self.words()) for _ in range(rng.choice((1, 1, 2, 3)))]
        for command in found:
            chance = rng.random()
            if chance < 0.10:
                command.signal = rng.choice((2, 15, 1)), rng.expovariate(3)
            elif chance < 0.18:
                command.signal = 9, rng.expovariate(3)
            elif chance < 0.22:
                command.open_files = rng.randint(4, 40)
            elif chance < 0.26:
                command.file_bytes = rng.choice((0, 1, 100, 1000, 5000, 50000))
            elif chance < 0.32:
                command.streams = rng.choice(("full", "closed", "pipe"))
            if command is not found[0] and rng.random() < 0.3:
                command.lay = [self.foreign()]
        return found

    def words(self) -> list[str]:
        rng = self.rng
        name = rng.choice(("run",) * 14 + tuple(COMMANDS))
        words = [name]
        if name == "forecast":
            words = ["demo", "forecast"]
        positional, options = COMMANDS[name]
        words += [rng.choice(NASTY) if rng.random() < 0.04 else rng.choice(choices) for choices in positional]
        chance = min(0.5, 2 / (len(options) or 1))
        for option, values in options.items():
            for _ in range(rng.random() < chance):
                words.append(option)
                if values:
                    words.append(rng.choice(NASTY) if rng.random() < 0.1 else rng.choice(values))
        if name == "run" and rng.random() < 0.9 and "--set" not in words:
            key = rng.choice(
                (
                    "seed=1",
                    "write.plots=true",
                    "write.layout=tensor",
                    "write.format=npy",
                    "causal=true",
                    "write.pattern={stem}_{name}{suffix}",
                    "write.names=[q]",
                    "stack=[]",
                    "workers=2",
                    "x=1",
                )
            )
            words += ["--set", key] if rng.random() < 0.3 else []
        for required, values in REQUIRED.get(name, {}).items():
            if required not in words and rng.random() < 0.95:
                words += [required, rng.choice(values)]
        if rng.random() < 0.03:
            del words[rng.randrange(len(words))]
        if rng.random() < 0.03:
            words.insert(rng.randrange(len(words) + 1), rng.choice(NASTY))
        return words


def place(path: Path, kind: str, elsewhere: Path) -> None:
    """Something of somebody's under a name."""
    if kind in ("file", "unreadable"):
        path.write_text(json.dumps({"a note": "of mine"}) + "\n")
        if kind == "unreadable":
            path.chmod(0)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
        (path / "diary.txt").write_text("dear diary\n")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as end, contextlib.chdir(path.parent):
            end.bind(path.name)
    elif kind == "hole":
        with open(path, "wb") as file:
            file.truncate(3 << 30)
    else:
        ends = {"link": "file", "dangling": "nothing", "folder link": "folder", "loop": str(path)}
        path.symlink_to(elsewhere / ends[kind])
