"""What the documents say is so: code runs, links lead somewhere, pages made from it are up to date."""

from __future__ import annotations

import re
import runpy
import textwrap
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import yaml

from mediaconv.config import parse_config
from tests.program import run_program

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(path: Path, language: str) -> list[str]:
    """The fenced code of a language in a page."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)


def test_the_readme_code_streams_exactly():
    for code in blocks(ROOT / "README.md", "python"):
        names: dict = {}
        exec(code, names)
        assert torch.allclose(
            names["y"], names["conv"](names["x"]), atol=1e-6
        )  # float32 sums in another order


def indented(path: Path) -> list[str]:
    """The code of a page that stands indented by four spaces, a block each."""
    found = re.findall(r"(?:(?:^    .*)?\n)+", path.read_text(), re.M)
    return [text for text in map(textwrap.dedent, found) if text.strip()]


def test_the_first_code_of_the_streaming_page_runs_as_it_stands():
    names: dict = {}
    exec(indented(ROOT / "docs/reference/streaming.md")[0], names)
    # float32 sums in another order
    torch.testing.assert_close(names["y"], names["conv"](names["x"]), rtol=0, atol=1e-6)


def test_each_layer_of_the_kernels_page_is_a_stack_of_its_own():
    from mediaconv.model.build import build_stack
    from mediaconv.pipeline import find

    layers = yaml.safe_load(indented(ROOT / "docs/reference/kernels.md")[0])
    for layer, channels in zip(layers, (3, 3, 1), strict=True):
        text = yaml.safe_dump({"pipeline": "image", "input": "in", "output": "out", "stack": [layer]})
        config = parse_config(text, name="page")
        stack = build_stack(config, find("image"), channels=channels)
        assert stack(torch.rand(1, channels, 9, 9)).shape[2:] == (9, 9)


def test_the_readme_configuration_is_valid():
    (text,) = blocks(ROOT / "README.md", "yaml")
    assert parse_config(text).pipeline == yaml.safe_load(text)["pipeline"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_the_python_page_is_what_the_docstrings_say():
    made = runpy.run_path(str(ROOT / "docs/tools/python_page.py"))["page"]()
    assert made == (ROOT / "docs/reference/python.md").read_text(), "run: python docs/tools/python_page.py"


def test_the_configuration_page_is_what_the_program_says():
    made = runpy.run_path(str(ROOT / "docs/tools/configuration_page.py"))["page"]()
    assert made == (ROOT / "docs/reference/configuration.md").read_text(), (
        "run: python docs/tools/configuration_page.py"
    )


def test_a_reader_comes_from_the_readme_to_every_page():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            targets = re.findall(r"\]\(([^)#]+\.md)[^)]*\)", page.read_text())
            ahead += [(page.parent / target).resolve() for target in targets if "://" not in target]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_the_tutorial_does_what_it_says(tmp_path):
    page = ROOT / "docs/tutorial/first-video.md"
    (tmp_path / "data").symlink_to(ROOT / "data")
    (configuration,) = blocks(page, "yaml")
    (tmp_path / "first.yaml").write_text(configuration)
    for line in "".join(blocks(page, "sh")).splitlines():
        program, *words = line.split()
        done = run_program(*words, cwd=tmp_path)
        assert (program, done.returncode) == ("mediaconv", 0), done.stderr
        if "compare" in words:
            assert re.search(r"pre-echo causal +0 % +0 %", done.stdout)
    named = re.findall(r"`(out/[^`]*\.\w+)`", page.read_text())
    assert len(named) == 4
    assert all((tmp_path / name).is_file() for name in named)


def test_every_command_is_in_the_readme():
    from mediaconv.cli.main import COMMANDS

    readme = (ROOT / "README.md").read_text()
    assert [c.__name__ for c in COMMANDS if f"`mediaconv {c.__name__}" not in readme] == []


def test_the_blocks_of_published_models_that_are_declared_stream_exactly(monkeypatch, request):
    pytest.importorskip("torchvision")
    pytest.importorskip("transformers")
    import torch

    from mediaconv.nn import convert, stream
    from mediaconv.nn.streaming import protocol

    monkeypatch.setattr(convert, "CONVERTERS", dict(convert.CONVERTERS))
    registered = patch.dict(protocol.POINTWISE)
    registered.start()
    request.addfinalizer(registered.stop)
    names = {}
    (declared,) = (b for b in blocks(ROOT / "docs/how-to/your-model.md", "python") if "resnet18" in b)
    exec(declared, names)
    modules = {
        "trunk": (torch.nn.Sequential(*list(names["resnet"].children())[:-2]), (1, 3, 96, 64)),
        "encoder": (names["dac"], (1, 16, 64)),
        "stem": (names["google"], (1, 3, 20, 16)),
    }
    for name, (module, shape) in modules.items():
        module, x = module.double(), torch.randn(shape, dtype=torch.float64)
        streamed = stream(names[name].double())
        with torch.no_grad():
            parts = [streamed.push(x[:, :, :7]), streamed.push(x[:, :, 7:]), streamed.flush()]
            whole = module(x)
        # sums of chunks in another order
        torch.testing.assert_close(torch.cat(parts, 2), whole, rtol=0, atol=1e-10 * float(whole.abs().max()))


def test_the_model_of_the_page_on_ones_own_is_read(tmp_path, monkeypatch):
    from mediaconv.model.build import build_stack
    from mediaconv.pipeline import find

    monkeypatch.chdir(tmp_path)
    page, names = ROOT / "docs" / "how-to" / "your-model.md", {}
    exec(blocks(page, "python")[0], names)
    config = parse_config(blocks(page, "yaml")[0], name="page")
    stack = build_stack(config, find("audio"), channels=2)
    x = torch.randn(1, 2, 1000)
    # float32 sums in another order
    torch.testing.assert_close(stack(x), names["model"](x), rtol=1e-6, atol=1e-6)
