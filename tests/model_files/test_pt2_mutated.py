"""Archives of torch.export whose JSON was changed at random: each is opened, or refused in words of ours."""

import copy
import json
import random
import re
import zipfile

import pytest
import torch
from torch import nn
from torch.export import Dim

from mediaconv.errors import UsageError
from mediaconv.model_files.open_model import open_model

VALUES = (None, 7, -3, 99, "x", "", [], {}, [1, "a"], {"a": 1}, True, 3.5)
PYTHON = re.compile(r"Error\b|' object|NoneType|__init__|Traceback|assert|subscriptable|positional")
"""What Python and torch say of values that they cannot take."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4)
        self.down = nn.Conv1d(4, 2, 4, 2, 1)
        self.register_buffer("gain", torch.ones(2, 1))

    def forward(self, x):
        y = self.down(torch.relu(self.norm(self.conv(x))))
        return nn.functional.interpolate(y, scale_factor=2.0)[..., : x.shape[2] // 2 * 2] * self.gain


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    shapes = ({2: Dim.AUTO},)
    torch.export.save(
        torch.export.export(Net().eval(), (torch.randn(1, 2, 32),), dynamic_shapes=shapes), path
    )
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def places(value, path=()):
    """Where the values of a document stand."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(document, rng, hostile):
    document = copy.deepcopy(document)
    *path, key = rng.choice(list(places(document)))
    around = document
    for step in path:
        around = around[step]
    kind = rng.choice(["replace", "replace", "hostile", "remove", "repeat"])
    if kind == "remove":
        del around[key]
    elif kind == "repeat" and isinstance(around, list):
        around.append(around[key])
    else:
        around[key] = hostile if kind == "hostile" else rng.choice(VALUES)
    return document


def told(path):
    """Why a file is refused; nothing where it is not. Anything else that is raised fails the test."""
    try:
        open_model(str(path))
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(6))
def test_a_mutated_archive_is_opened_or_refused_in_our_words(entries, tmp_path, seed):
    rng, mark, refused = random.Random(seed), tmp_path / "mark", 0
    hostile = f"__import__('os').mkdir({str(mark)!r})"
    names = [name for name in entries if name.endswith(".json")]
    (graph,) = [name for name in names if "/models/" in name]
    for _ in range(20):
        name = rng.choice([graph] * 3 + names)
        content = json.dumps(mutated(json.loads(entries[name]), rng, hostile)).encode()
        path = tmp_path / "m.pt2"
        with zipfile.ZipFile(path, "w") as out:
            for other, stored in entries.items():
                out.writestr(other, content if other == name else stored)
        said = told(path)
        refused += said != ""
        assert not said or (said.startswith("model: ") and "export" in said), said
        assert not PYTHON.search(said), said
    assert refused
    assert not mark.exists()


def test_another_version_of_the_format_is_told(entries, tmp_path):
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(path, "w") as out:
        for name, stored in entries.items():
            document = json.loads(stored) if "/models/" in name and name.endswith(".json") else None
            if document is not None:
                document["schema_version"]["major"] = 99
            out.writestr(name, stored if document is None else json.dumps(document))
    with pytest.raises(
        UsageError, match=r"has version 99 of torch's format.*install the torch that wrote it"
    ):
        open_model(str(path))
